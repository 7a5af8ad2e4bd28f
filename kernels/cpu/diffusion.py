"""One iteration of gradient anisotropic diffusion, and the exact sum of squared gradients it needs.

Loops run over whole rows of the array, whose ends are computed apart, so that they vectorise without a branch; columns
outside the box are thrown away.
"""

import numpy as np

from fastseg.kernels.cpu.rows import fill
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import spread
from fastseg.kernels.voxel.diffusion import (
    face_factors,
    face_flux,
    fixed_point,
    inverse_of_mean,
    squared_gradient,
)

_ROWS = 32
_PLANES = 32
"""Rows and planes of a task. What its rows share stays in the cache of a core; at its first row and plane, fluxes are
computed once more."""


@inner
def _square_at(row, rear, front, upper, lower, x, weights, scale):
    last = row.shape[0] - 1
    c = row[min(x + 1, last)] - row[max(x - 1, 0)]
    return fixed_point(squared_gradient(front[x] - rear[x], lower[x] - upper[x], c, weights), scale)


@inner
def _squares(row, rear, front, upper, lower, start, stop, weights, scale):
    """Sum over the columns from `start` to `stop` of a row, given the rows around it."""
    nx = row.shape[0]
    first, end = max(start, 1), min(stop, nx - 1)
    total = np.int64(0)
    if start < first:
        total += _square_at(row, rear, front, upper, lower, 0, weights, scale)
    if end < stop and nx > 1:
        total += _square_at(row, rear, front, upper, lower, nx - 1, weights, scale)
    left, right = row[first - 1 :], row[first + 1 :]
    rear, front, upper, lower = rear[first:], front[first:], upper[first:], lower[first:]
    for x in range(end - first):
        value = squared_gradient(front[x] - rear[x], lower[x] - upper[x], right[x] - left[x], weights)
        total += fixed_point(value, scale)
    return total


@compiled
def _rows_of_squares(begin, end, image, weights, start, stop, scale, rows):
    """Sums over the rows of a box."""
    nz, ny = image.shape[0], image.shape[1]
    dy = stop[1] - start[1]
    for row in range(begin, end):
        z = row // dy + start[0]
        y = row % dy + start[1]
        rear, front = image[max(z - 1, 0), y], image[min(z + 1, nz - 1), y]
        upper, lower = image[z, max(y - 1, 0)], image[z, min(y + 1, ny - 1)]
        rows[row] = _squares(image[z, y], rear, front, upper, lower, start[2], stop[2], weights, scale)


def squared_gradients(image, weights, start, stop, scale, totals):
    """The sum over a box of the squared gradient magnitude, in fixed point.

    Parameters
    ----------
    image : float32 (Z, Y, X)
        Ends of the array count as ends of the image (the border voxel is repeated).
    weights : 3 float32
        1 / spacing along z, y, x.
    start, stop : 3 ints
        The box.
    scale : float
        Fixed-point units per unit of squared gradient; no voxel may have more than 2**51.
    totals : int64 (2,)
        Written: the sum is ``totals[0] 2**24 + totals[1]``. A sum of integers is the same in any order.
    """
    rows = np.empty((stop[0] - start[0]) * (stop[1] - start[1]), np.int64)
    spread(_rows_of_squares, len(rows), image, weights, start, stop, scale, rows)
    totals[0], totals[1] = (rows >> 24).sum(), (rows & 0xFFFFFF).sum()


def inverse_mean(totals, count, units, doubled, inverse):
    """The factor in the exponent of a flux, from the sum of squared gradients.

    Parameters
    ----------
    totals : int64 (2,)
        See `squared_gradients`.
    count : int
        Voxels of the volume.
    units : float
        Fixed-point units per unit of squared gradient.
    doubled : float
        ``2 conductance**2``.
    inverse : float32 (1,)
        Written: ``-1 / (2 conductance**2 G)`` with G the mean squared gradient; 1 where G is not above 0.
    """
    inverse[0] = inverse_of_mean(totals[0], totals[1], count, units, doubled)


@inner
def _flux_at(near, far, near_low, near_high, far_low, far_high, x, factors):
    left, right = max(x - 1, 0), min(x + 1, near.shape[0] - 1)
    a = (near_high[x] - near_low[x]) + (far_high[x] - far_low[x])
    b = (near[right] - near[left]) + (far[right] - far[left])
    return face_flux(far[x] - near[x], a, b, factors)


@inner
def _fluxes(near, far, near_low, near_high, far_low, far_high, factors, out):
    """Fluxes from a row to the next one along z or y; the rows around each lie along the other of the two axes."""
    last = near.shape[0] - 1
    for x in range(1, last):
        a = (near_high[x] - near_low[x]) + (far_high[x] - far_low[x])
        b = (near[x + 1] - near[x - 1]) + (far[x + 1] - far[x - 1])
        out[x] = face_flux(far[x] - near[x], a, b, factors)
    out[0] = _flux_at(near, far, near_low, near_high, far_low, far_high, 0, factors)
    out[last] = _flux_at(near, far, near_low, near_high, far_low, far_high, last, factors)


@inner
def _fluxes_along(row, rear, front, upper, lower, factors, out):
    """Fluxes along a row; `out` holds that from x - 1 to x at x, and stays as it is at both ends."""
    for x in range(row.shape[0] - 1):
        a = (front[x] - rear[x]) + (front[x + 1] - rear[x + 1])
        b = (lower[x] - upper[x]) + (lower[x + 1] - upper[x + 1])
        out[x + 1] = face_flux(row[x + 1] - row[x], a, b, factors)


@inner
def _advance(row, below, front, behind, down, along, out):
    for x in range(out.shape[0]):
        out[x] = row[x] + ((front[x] - below[x]) + (down[x] - behind[x]) + (along[x + 1] - along[x]))


@inner
def _task(image, factors, start, first_z, end_z, first_y, end_y, out):
    """The step in a few rows of a few planes."""
    nz, ny, nx = image.shape
    z0, y0, x0 = start
    of_z, of_y, of_x = factors
    # fluxes that leave towards the next plane and row, of the current ones and those before in turn
    planes = np.zeros((2, end_y - first_y, nx), np.float32)
    rows = np.zeros((2, nx), np.float32)
    along = np.zeros(nx + 1, np.float32)
    for z in range(max(first_z - 1, 0), end_z):
        rear, here, front = image[max(z - 1, 0)], image[z], image[min(z + 1, nz - 1)]
        below, leaving = planes[(z + 1) & 1], planes[z & 1]
        for y in range(first_y, end_y):
            upper, lower = max(y - 1, 0), min(y + 1, ny - 1)
            if z + 1 < nz:
                _fluxes(
                    here[y],
                    front[y],
                    here[upper],
                    here[lower],
                    front[upper],
                    front[lower],
                    of_z,
                    leaving[y - first_y],
                )
            else:
                fill(leaving[y - first_y], np.float32(0.0))
        if z < first_z:
            continue
        # through the image's border, unless the row before says otherwise
        fill(rows[(first_y + 1) & 1], np.float32(0.0))
        for y in range(max(first_y - 1, 0), end_y):
            upper, lower = max(y - 1, 0), min(y + 1, ny - 1)
            behind, down = rows[(y + 1) & 1], rows[y & 1]
            if y + 1 < ny:
                _fluxes(here[y], here[lower], rear[y], front[y], rear[lower], front[lower], of_y, down)
            else:
                fill(down, np.float32(0.0))
            if y < first_y:
                continue
            _fluxes_along(here[y], rear[y], front[y], here[upper], here[lower], of_x, along)
            _advance(
                here[y, x0:],
                below[y - first_y, x0:],
                leaving[y - first_y, x0:],
                behind[x0:],
                down[x0:],
                along[x0:],
                out[z - z0, y - y0],
            )


@compiled
def _step(begin, end, image, weights, inverse, time_step, start, out):
    dz, dy = out.shape[0], out.shape[1]
    z0, y0 = start[0], start[1]
    blocks = (dy + _ROWS - 1) // _ROWS
    for task in range(begin, end):
        z = task // blocks * _PLANES
        y = task % blocks * _ROWS
        end_z, end_y = min(z + _PLANES, dz), min(y + _ROWS, dy)
        factors = face_factors(weights, inverse, time_step)
        _task(image, factors, start, z + z0, end_z + z0, y + y0, end_y + y0, out)


def step(image, weights, inverse, time_step, start, out):
    """One explicit step of gradient anisotropic diffusion in a box.

    Parameters
    ----------
    image : float32 (Z, Y, X)
        Ends of the array count as ends of the image; the box must lie at least one voxel inside elsewhere.
    weights : 3 float32
        1 / spacing along z, y, x.
    inverse : float32 (1,)
        See `inverse_mean`; above 0, the box is copied.
    time_step : float32
    start : 3 ints
        First voxel of the box.
    out : float32, shape of the box
        Written.
    """
    if inverse[0] > 0:
        out[:] = image[tuple(slice(a, a + n) for a, n in zip(start, out.shape, strict=True))]
        return
    blocks = -(-out.shape[0] // _PLANES) * -(-out.shape[1] // _ROWS)
    spread(_step, blocks, image, weights, inverse[0], time_step, start, out)
