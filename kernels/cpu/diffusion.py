"""One iteration of gradient anisotropic diffusion, and the exact sum of squared gradients it needs."""

import numpy as np
from numba import njit, prange

from fastseg.kernels.voxel.diffusion import face_flux

_HALF = np.float32(0.5)


@njit(parallel=True, cache=True, nogil=True)
def squared_gradients(image, weights, start, stop, scale):
    """Sum over a box of the squared gradient magnitude, in fixed point.

    Parameters
    ----------
    image : float32 (Z, Y, X)
        Ends of the array count as ends of the image (the border voxel is repeated).
    weights : float32 (3,)
        1 / spacing along z, y, x.
    start, stop : 3 ints
        The box.
    scale : float
        Fixed-point units per unit of squared gradient.

    Returns
    -------
    int64 (rows,)
        One sum a row of the box; a sum of integers is the same in any order.
    """
    nz, ny, nx = image.shape
    dy = stop[1] - start[1]
    rows = np.zeros((stop[0] - start[0]) * dy, np.int64)
    for row in prange(rows.size):
        z = row // dy + start[0]
        y = row % dy + start[1]
        z0, z1 = max(z - 1, 0), min(z + 1, nz - 1)
        y0, y1 = max(y - 1, 0), min(y + 1, ny - 1)
        total = np.int64(0)
        for x in range(start[2], stop[2]):
            x0, x1 = max(x - 1, 0), min(x + 1, nx - 1)
            a = weights[0] * (image[z1, y, x] - image[z0, y, x]) * _HALF
            b = weights[1] * (image[z, y1, x] - image[z, y0, x]) * _HALF
            c = weights[2] * (image[z, y, x1] - image[z, y, x0]) * _HALF
            total += np.int64(np.float64(a * a + b * b + c * c) * scale + 0.5)
        rows[row] = total
    return rows


@njit
def _z_face(u, w, z, y, x, inverse):
    """Flux from voxel (z, y, x) to (z + 1, y, x)."""
    ny, nx = u.shape[1], u.shape[2]
    y0, y1, x0, x1 = max(y - 1, 0), min(y + 1, ny - 1), max(x - 1, 0), min(x + 1, nx - 1)
    a = w[1] * ((u[z, y1, x] - u[z, y0, x]) + (u[z + 1, y1, x] - u[z + 1, y0, x])) * _HALF
    b = w[2] * ((u[z, y, x1] - u[z, y, x0]) + (u[z + 1, y, x1] - u[z + 1, y, x0])) * _HALF
    return face_flux(w[0] * (u[z + 1, y, x] - u[z, y, x]), a, b, inverse)


@njit
def _y_face(u, w, z, y, x, inverse):
    """Flux from voxel (z, y, x) to (z, y + 1, x)."""
    nz, nx = u.shape[0], u.shape[2]
    z0, z1, x0, x1 = max(z - 1, 0), min(z + 1, nz - 1), max(x - 1, 0), min(x + 1, nx - 1)
    a = w[0] * ((u[z1, y, x] - u[z0, y, x]) + (u[z1, y + 1, x] - u[z0, y + 1, x])) * _HALF
    b = w[2] * ((u[z, y, x1] - u[z, y, x0]) + (u[z, y + 1, x1] - u[z, y + 1, x0])) * _HALF
    return face_flux(w[1] * (u[z, y + 1, x] - u[z, y, x]), a, b, inverse)


@njit
def _x_face(u, w, z, y, x, inverse):
    """Flux from voxel (z, y, x) to (z, y, x + 1)."""
    nz, ny = u.shape[0], u.shape[1]
    z0, z1, y0, y1 = max(z - 1, 0), min(z + 1, nz - 1), max(y - 1, 0), min(y + 1, ny - 1)
    a = w[0] * ((u[z1, y, x] - u[z0, y, x]) + (u[z1, y, x + 1] - u[z0, y, x + 1])) * _HALF
    b = w[1] * ((u[z, y1, x] - u[z, y0, x]) + (u[z, y1, x + 1] - u[z, y0, x + 1])) * _HALF
    return face_flux(w[2] * (u[z, y, x + 1] - u[z, y, x]), a, b, inverse)


@njit(parallel=True, cache=True, nogil=True)
def step(image, weights, inverse, time_step, start, stop, runs, out):
    """One explicit step of gradient anisotropic diffusion in a box.

    Each face's flux is computed once: the planes of the box are shared out in runs, and a run carries the fluxes of
    the plane and row before along.

    Parameters
    ----------
    image : float32 (Z, Y, X)
        Ends of the array count as ends of the image; the box must lie at least one voxel inside elsewhere.
    weights : float32 (3,)
        1 / spacing along z, y, x.
    inverse : float32
        ``-1 / (2 conductance**2 G)`` with G the mean squared gradient of the whole volume.
    time_step : float32
    start, stop : 3 ints
        The box.
    runs : int
        Into how many runs of planes the work is cut; the result does not depend on it.
    out : float32, shape of the box
        Written.
    """
    nz, ny, nx = image.shape
    z0, y0, x0 = start[0], start[1], start[2]
    dz, dy, dx = out.shape
    runs = max(1, min(dz, runs))
    zero = np.float32(0.0)
    for run in prange(runs):
        first = z0 + run * dz // runs
        end = z0 + (run + 1) * dz // runs
        below = np.zeros((dy, dx), np.float32)
        behind = np.zeros(dx, np.float32)
        if first > 0:
            for y in range(dy):
                for x in range(dx):
                    below[y, x] = _z_face(image, weights, first - 1, y + y0, x + x0, inverse)
        for z in range(first, end):
            for x in range(dx):
                behind[x] = zero if y0 == 0 else _y_face(image, weights, z, y0 - 1, x + x0, inverse)
            for y in range(y0, y0 + dy):
                left = zero if x0 == 0 else _x_face(image, weights, z, y, x0 - 1, inverse)
                for x in range(x0, x0 + dx):
                    front = zero if z == nz - 1 else _z_face(image, weights, z, y, x, inverse)
                    down = zero if y == ny - 1 else _y_face(image, weights, z, y, x, inverse)
                    right = zero if x == nx - 1 else _x_face(image, weights, z, y, x, inverse)
                    change = (front - below[y - y0, x - x0]) + (down - behind[x - x0]) + (right - left)
                    out[z - z0, y - y0, x - x0] = image[z, y, x] + time_step * change
                    below[y - y0, x - x0] = front
                    behind[x - x0] = down
                    left = right
