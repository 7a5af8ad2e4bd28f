"""Second differences of parts of rows, into scratch memory of a fixed layout."""

import numpy as np

from fastseg.kernels.jit import inner
from fastseg.kernels.voxel.hessian import around, second

WIDTH = 512
"""Columns of a part, and elements from one line of the scratch memory to the next.

A loop over several lines vectorises because the compiler knows this number, and thus that the lines do not overlap;
it gives up on more than a few arrays of which it must find out when the loop runs.
"""

_HALF = np.float32(0.5)


@inner
def _across(bh, bl, ah, al, upper_weight, lower_weight, factor, first, out):
    """Second differences between rows, in columns `first` and on."""
    bh, bl, ah, al = bh[first:], bl[first:], ah[first:], al[first:]
    for x in range(out.shape[0]):
        out[x] = second(bh[x], bl[x], ah[x], al[x], upper_weight, lower_weight, factor)


@inner
def _along_at(row, x, scale):
    x0, x1, wx = around(x, row.shape[0])
    a0, a1, wa = around(x0, row.shape[0])
    b0, b1, wb = around(x1, row.shape[0])
    return second(row[b1], row[b0], row[a1], row[a0], wb, wa, scale * wx)


@inner
def _along(row, scale, first, out):
    """Second differences along a row; the two columns at its ends have weights of their own."""
    end = first + out.shape[0]
    low = min(max(first, 2), end)
    high = max(min(end, row.shape[0] - 2), low)
    for x in range(first, low):
        out[x - first] = _along_at(row, x, scale)
    for x in range(high, end):
        out[x - first] = _along_at(row, x, scale)
    if low < high:
        upper, centre, lower, inner = row[low + 2 :], row[low:], row[low - 2 :], out[low - first :]
        factor = scale * _HALF
        for x in range(high - low):
            inner[x] = second(upper[x], centre[x], centre[x], lower[x], _HALF, _HALF, factor)


@inner
def _mixed_at(upper, lower, x, factor):
    x0, x1, wx = around(x, upper.shape[0])
    return second(upper[x1], upper[x0], lower[x1], lower[x0], wx, wx, factor)


@inner
def _mixed(upper, lower, factor, first, out):
    """Differences along the row of the difference of two rows."""
    end = first + out.shape[0]
    low = max(first, 1)
    high = min(end, upper.shape[0] - 1)
    if first < low:
        out[0] = _mixed_at(upper, lower, 0, factor)
    if high < end:
        out[end - 1 - first] = _mixed_at(upper, lower, end - 1, factor)
    if low < high:
        uh, ul, lh, ll = upper[low + 1 :], upper[low - 1 :], lower[low + 1 :], lower[low - 1 :]
        inner = out[low - first :]
        for x in range(high - low):
            inner[x] = second(uh[x], ul[x], lh[x], ll[x], _HALF, _HALF, factor)


@inner
def in_plane(image, z, y, first, count, scale, lines):
    """yy, xx and yx of `count` columns of a row from column `first`, into the first three of `lines`.

    Parameters
    ----------
    image : float32 (Z, Y, X)
    z, y, first, count : int
    scale : float32
        Factor of all elements.
    lines : float32 (at least 3 * WIDTH,)
    """
    ny = image.shape[1]
    y0, y1, wy = around(y, ny)
    a0, a1, wa = around(y0, ny)
    b0, b1, wb = around(y1, ny)
    factor = scale * wy
    rows = image[z]
    _across(rows[b1], rows[b0], rows[a1], rows[a0], wb, wa, factor, first, lines[:count])
    _along(rows[y], scale, first, lines[WIDTH : WIDTH + count])
    _mixed(rows[y1], rows[y0], factor, first, lines[2 * WIDTH : 2 * WIDTH + count])


@inner
def across_planes(image, z, y, first, count, scale, lines):
    """zz, zy and zx, otherwise as `in_plane`."""
    nz, ny = image.shape[0], image.shape[1]
    z0, z1, wz = around(z, nz)
    y0, y1, wy = around(y, ny)
    a0, a1, wa = around(z0, nz)
    b0, b1, wb = around(z1, nz)
    factor = scale * wz
    upper, lower = image[z1], image[z0]
    _across(image[b1, y], image[b0, y], image[a1, y], image[a0, y], wb, wa, factor, first, lines[:count])
    _across(upper[y1], upper[y0], lower[y1], lower[y0], wy, wy, factor, first, lines[WIDTH : WIDTH + count])
    _mixed(upper[y], lower[y], factor, first, lines[2 * WIDTH : 2 * WIDTH + count])
