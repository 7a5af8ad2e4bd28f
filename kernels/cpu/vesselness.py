"""Hessian eigenvalues and ridge response, row by row."""

import numpy as np
from numba import njit

from fastseg.kernels.cpu.hessian import WIDTH, across_planes, in_plane
from fastseg.kernels.cpu.rows import copy
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import spread
from fastseg.kernels.voxel.eigen import by_magnitude_2, by_magnitude_3, eigenvalues_2x2, eigenvalues_3x3
from fastseg.kernels.voxel.vesselness import response

_ROWS = 8
"""Rows that are computed one after the other with the same scratch memory."""
_INFINITY = np.float32(np.inf)
_ZERO = np.float32(0.0)


@njit(forceinline=True)
def _sorted_3d(lines, x):
    """Eigenvalues by rising magnitude from lines of zz, zy, zx, yy, xx, yx."""
    a, b, c = eigenvalues_3x3(
        np.float64(lines[x]),
        np.float64(lines[x + 3 * WIDTH]),
        np.float64(lines[x + 4 * WIDTH]),
        np.float64(lines[x + WIDTH]),
        np.float64(lines[x + 2 * WIDTH]),
        np.float64(lines[x + 5 * WIDTH]),
    )
    return by_magnitude_3(a, b, c)


@njit(forceinline=True)
def _sorted_2d(lines, x):
    """Eigenvalues by rising magnitude from lines of yy, xx, yx."""
    yy, xx, yx = lines[x], lines[x + WIDTH], lines[x + 2 * WIDTH]
    a, b = eigenvalues_2x2(np.float64(yy), np.float64(xx), np.float64(yx))
    return by_magnitude_2(a, b)


@inner
def _two_of_3d(lines, count):
    """The second and third eigenvalue, into the first two lines."""
    for x in range(count):
        _, second, third = _sorted_3d(lines, x)
        lines[x] = np.float32(second)
        lines[x + WIDTH] = np.float32(third)


@inner
def _one_of_3d(lines, count, index):
    for x in range(count):
        first, second, third = _sorted_3d(lines, x)
        lines[x] = np.float32(first if index == 0 else second if index == 1 else third)


@inner
def _one_of_2d(lines, count, index):
    for x in range(count):
        first, second = _sorted_2d(lines, x)
        lines[x] = np.float32(first if index == 0 else second)


@inner
def _clear_dark(lines, count):
    """Set the first line to 0 where the second is not negative."""
    for x in range(count):
        lines[x] = lines[x] if lines[x + WIDTH] < _ZERO else _ZERO


@inner
def _smallest(values):
    """The smallest value, by halves: a running minimum would not vectorise. The values are lost."""
    n = values.shape[0]
    while n > 1:
        half = (n + 1) // 2
        low, high = values[:half], values[half:n]
        for x in range(n - half):
            low[x] = min(low[x], high[x])
        n = half
    return values[0]


@compiled
def _eigenvalues_3d(begin, end, smooth, scale, start, middle, last, lowest):
    nz, ny, nx = middle.shape
    keep = last.size > 0
    factor = np.float32(scale)
    rows = nz * ny
    for block in range(begin, end):
        lines = np.empty(6 * WIDTH, np.float32)
        for row in range(block * _ROWS, min((block + 1) * _ROWS, rows)):
            z = row // ny
            y = row % ny
            low = _INFINITY
            for x in range(0, nx, WIDTH):
                count = min(WIDTH, nx - x)
                i, j, k = z + start[0], y + start[1], x + start[2]
                across_planes(smooth, i, j, k, count, factor, lines)
                in_plane(smooth, i, j, k, count, factor, lines[3 * WIDTH :])
                _two_of_3d(lines, count)
                if keep:
                    copy(lines[WIDTH:], last[z, y, x : x + count])
                else:
                    _clear_dark(lines, count)
                copy(lines, middle[z, y, x : x + count])
                low = min(low, _smallest(lines[WIDTH : WIDTH + count]))
            lowest[row] = low


def eigenvalues_3d(smooth, scale, start, middle, last, lowest):
    """Eigenvalues of the Hessian that are second and third by magnitude, in a box of a volume.

    Parameters
    ----------
    smooth : float32 (Z, Y, X)
        Smoothed image with at least 2 samples an axis.
    scale : float
        Factor of the matrix.
    start : 3 ints
        First voxel of the box.
    middle, last : float32, shape of the box
        Written. An empty `last` is left alone; then `middle` is 0 where the last eigenvalue is not negative.
    lowest : float32 (rows of the box,)
        Written: the smallest last eigenvalue of each row.
    """
    spread(_eigenvalues_3d, -(-len(lowest) // _ROWS), smooth, scale, start, middle, last, lowest)


@compiled
def _eigenvalues_2d(begin, end, smooth, scale, first, columns, larger, lowest):
    nz, ny, nx = larger.shape
    factor = np.float32(scale)
    rows = nz * ny
    for block in range(begin, end):
        lines = np.empty(3 * WIDTH, np.float32)
        for row in range(block * _ROWS, min((block + 1) * _ROWS, rows)):
            z = row // ny
            y = row % ny
            low = _INFINITY
            for x in range(0, columns, WIDTH):
                count = min(WIDTH, columns - x)
                in_plane(smooth, z, y, x + first, count, factor, lines)
                _one_of_2d(lines, count, 1)
                kept = min(count, nx - x)
                if kept > 0:
                    copy(lines, larger[z, y, x : x + kept])
                low = min(low, _smallest(lines[:count]))
            lowest[z, y] = low


def eigenvalues_2d(smooth, scale, first, columns, larger, lowest):
    """The eigenvalue of larger magnitude of the Hessian within each plane.

    Parameters
    ----------
    smooth : float32 (Z, Y, X)
        Smoothed planes with at least 2 rows and columns.
    scale : float
        Factor of the matrix.
    first, columns : int
        First column to compute, and how many.
    larger : float32 (Z, Y, up to `columns`)
        Written; columns beyond it only count for `lowest`.
    lowest : float32 (Z, Y)
        Written: the smallest value of each row.
    """
    spread(_eigenvalues_2d, -(-lowest.size // _ROWS), smooth, scale, first, columns, larger, lowest)


@inner
def _response(middle, last, floor, out):
    for x in range(out.shape[0]):
        out[x] = response(middle[x], last[x], floor)


@inner
def _response_at_floor(middle, floor, out):
    for x in range(out.shape[0]):
        out[x] = response(middle[x], floor, floor)


@inner
def _at_least(before, out):
    for x in range(out.shape[0]):
        out[x] = max(before[x], out[x])


@compiled
def _ridge_response(begin, end, middle, last, floor, flat_last, before, first, out):
    ny = middle.shape[1]
    for row in range(begin, end):
        z = row // ny
        y = row % ny
        if flat_last:
            _response_at_floor(middle[z, y], floor[z], out[z, y])
        else:
            _response(middle[z, y], last[z, y], floor[z], out[z, y])
        if not first:
            _at_least(before[z, y], out[z, y])


def ridge_response(middle, last, floor, flat_last, before, first, out):
    """Ridge response of every voxel, or what was found before where that is larger.

    Parameters
    ----------
    middle, last : float32 (Z, Y, X)
        With `flat_last` the array `last` is not read and every last eigenvalue counts as lowered to `floor` (the
        case tau = 1).
    floor : float32 (Z,)
        Floor of the last eigenvalue of each plane.
    flat_last : bool
    before : float32 (Z, Y, X)
        Response of other scales; with `first` it is not read.
    first : bool
    out : float32 (Z, Y, X)
        Written.
    """
    rows = middle.shape[0] * middle.shape[1]
    spread(_ridge_response, rows, middle, last, floor, flat_last, before, first, out)


@compiled
def _eigenvalue_3d(begin, end, smooth, scale, index, out):
    _, ny, nx = smooth.shape
    factor = np.float32(scale)
    for row in range(begin, end):
        z = row // ny
        y = row % ny
        lines = np.empty(6 * WIDTH, np.float32)
        for x in range(0, nx, WIDTH):
            count = min(WIDTH, nx - x)
            across_planes(smooth, z, y, x, count, factor, lines)
            in_plane(smooth, z, y, x, count, factor, lines[3 * WIDTH :])
            _one_of_3d(lines, count, index)
            copy(lines, out[z, y, x : x + count])


def eigenvalue_3d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian of a volume; `out` float32 (Z, Y, X)."""
    spread(_eigenvalue_3d, out.shape[0] * out.shape[1], smooth, scale, index, out)


@compiled
def _eigenvalue_2d(begin, end, smooth, scale, index, out):
    _, ny, nx = smooth.shape
    factor = np.float32(scale)
    for row in range(begin, end):
        z = row // ny
        y = row % ny
        lines = np.empty(3 * WIDTH, np.float32)
        for x in range(0, nx, WIDTH):
            count = min(WIDTH, nx - x)
            in_plane(smooth, z, y, x, count, factor, lines)
            _one_of_2d(lines, count, index)
            copy(lines, out[z, y, x : x + count])


def eigenvalue_2d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian within each plane; `out` float32 (Z, Y, X)."""
    spread(_eigenvalue_2d, out.shape[0] * out.shape[1], smooth, scale, index, out)
