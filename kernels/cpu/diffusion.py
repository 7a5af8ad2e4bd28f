"""One iteration of gradient anisotropic diffusion, and the exact sum of squared gradients it needs."""

import numpy as np
from numba import prange

from fastseg.kernels.jit import compiled
from fastseg.kernels.voxel.diffusion import squared_gradient, x_face, y_face, z_face


@compiled(parallel=True)
def squared_gradients(image, weights, start, stop, scale, rows):
    """Sums over the rows of a box of the squared gradient magnitude, in fixed point.

    Parameters
    ----------
    image : float32 (Z, Y, X)
        Ends of the array count as ends of the image (the border voxel is repeated).
    weights : 3 float32
        1 / spacing along z, y, x.
    start, stop : 3 ints
        The box.
    scale : float
        Fixed-point units per unit of squared gradient.
    rows : int64 (rows of the box,)
        Written. A sum of integers is the same in any order.
    """
    dy = stop[1] - start[1]
    for row in prange(rows.size):
        total = np.int64(0)
        for x in range(start[2], stop[2]):
            value = squared_gradient(image, weights, row // dy + start[0], row % dy + start[1], x)
            total += np.int64(np.float64(value) * scale + 0.5)
        rows[row] = total


@compiled(parallel=True)
def step(image, weights, inverse, time_step, start, stop, runs, out):
    """One explicit step of gradient anisotropic diffusion in a box.

    Each face's flux is computed once: the planes of the box are shared out in runs, and a run carries the fluxes of
    the plane and row before along.

    Parameters
    ----------
    image : float32 (Z, Y, X)
        Ends of the array count as ends of the image; the box must lie at least one voxel inside elsewhere.
    weights : 3 float32
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
                    below[y, x] = z_face(image, weights, first - 1, y + y0, x + x0, inverse)
        for z in range(first, end):
            for x in range(dx):
                behind[x] = zero if y0 == 0 else y_face(image, weights, z, y0 - 1, x + x0, inverse)
            for y in range(y0, y0 + dy):
                left = zero if x0 == 0 else x_face(image, weights, z, y, x0 - 1, inverse)
                for x in range(x0, x0 + dx):
                    front = zero if z == nz - 1 else z_face(image, weights, z, y, x, inverse)
                    down = zero if y == ny - 1 else y_face(image, weights, z, y, x, inverse)
                    right = zero if x == nx - 1 else x_face(image, weights, z, y, x, inverse)
                    change = (front - below[y - y0, x - x0]) + (down - behind[x - x0]) + (right - left)
                    out[z - z0, y - y0, x - x0] = image[z, y, x] + time_step * change
                    below[y - y0, x - x0] = front
                    behind[x - x0] = down
                    left = right
