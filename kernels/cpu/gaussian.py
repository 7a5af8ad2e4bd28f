"""Gaussian smoothing and its Laplacian: all axes in one pass over the volume, in parallel.

Bit for bit what `scipy.ndimage.gaussian_filter` gives: every axis is correlated in turn, sums are taken in float64 from
the centre's term and then from the farthest pair inwards, and each axis ends in a rounding to float32. Fused, nothing
but rows in the cache lies between the axes: the volume is read once and the result written once, where the
library moves each voxel twice an axis.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels.cpu.rows import copy
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import spread

__all__ = ["laplacian", "smooth"]

# Rows of a plane that are computed together: what they share along y stays in the cache of a core.
_ROWS = 32


@inner
def _start(total: np.ndarray, row: np.ndarray, weight: float) -> None:
    """Begin a sum with the centre's term."""
    for x in range(row.shape[0]):
        total[x] = row[x] * weight


@inner
def _add(total: np.ndarray, low: np.ndarray, high: np.ndarray, weight: float) -> None:
    """Add the term of a pair at the same distance."""
    for x in range(low.shape[0]):
        total[x] += (np.float64(low[x]) + np.float64(high[x])) * weight


@inner
def _round(total: np.ndarray, out: np.ndarray) -> None:
    for x in range(out.shape[0]):
        out[x] = np.float32(total[x])


@inner
def _across_planes(
    image: np.ndarray,
    z: int,
    y: int,
    weights: np.ndarray,
    planes: np.ndarray,
    total: np.ndarray,
    out: np.ndarray,
) -> None:
    """One row of the correlation along z; `planes` maps z shifted by the radius to a plane."""
    radius = weights.shape[0] - 1
    _start(total, image[planes[z + radius], y], weights[radius])
    for k in range(radius):
        _add(total, image[planes[z + k], y], image[planes[z + 2 * radius - k], y], weights[k])
    _round(total, out)


@inner
def _across_rows(
    held: np.ndarray,
    first: int,
    y: int,
    weights: np.ndarray,
    rows: np.ndarray,
    total: np.ndarray,
    out: np.ndarray,
) -> None:
    """One row of the correlation along y of rows `first` and on, held in a block."""
    radius = weights.shape[0] - 1
    _start(total, held[rows[y + radius] - first], weights[radius])
    for k in range(radius):
        _add(total, held[rows[y + k] - first], held[rows[y + 2 * radius - k] - first], weights[k])
    _round(total, out)


@inner
def _along(
    row: np.ndarray, weights: np.ndarray, columns: np.ndarray, wide: np.ndarray, total: np.ndarray
) -> None:
    """The correlation of a row along itself; `wide` takes the row with its border."""
    radius = weights.shape[0] - 1
    size = row.shape[0]
    for x in range(size + 2 * radius):
        wide[x] = row[columns[x]]
    _start(total, wide[radius : radius + size], weights[radius])
    for k in range(radius):
        _add(total, wide[k : k + size], wide[2 * radius - k : 2 * radius - k + size], weights[k])


@inner
def _reach(rows: np.ndarray, first: int, last: int, radius: int) -> tuple[int, int]:
    """The lowest and the highest row that rows `first` to `last` need."""
    low, high = rows[first], rows[first]
    for y in range(first, last + 2 * radius):
        low, high = min(low, rows[y]), max(high, rows[y])
    return low, high


@compiled
def _smooth(
    begin: int,
    end: int,
    image: np.ndarray,
    wz: np.ndarray,
    wy: np.ndarray,
    wx: np.ndarray,
    planes: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    out: np.ndarray,
) -> None:
    _, height, width = image.shape
    blocks = (height + _ROWS - 1) // _ROWS
    rz, ry, rx = wz.shape[0] - 1, wy.shape[0] - 1, wx.shape[0] - 1
    for task in range(begin, end):
        z, first = task // blocks, task % blocks * _ROWS
        last = min(first + _ROWS, height)
        low, high = _reach(rows, first, last, ry)
        total = np.empty(width, np.float64)
        wide = np.empty(width + 2 * rx, np.float32)
        row = np.empty(width, np.float32)
        held = np.empty((high - low + 1, width), np.float32)
        for y in range(low, high + 1):
            if rz > 0:
                _across_planes(image, z, y, wz, planes, total, held[y - low])
            else:
                copy(image[z, y], held[y - low])
        for y in range(first, last):
            if ry > 0:
                _across_rows(held, low, y, wy, rows, total, row)
            else:
                copy(held[y - low], row)
            if rx > 0:
                _along(row, wx, columns, wide, total)
                _round(total, out[z, y])
            else:
                copy(row, out[z, y])


def smooth(
    image: np.ndarray,
    wz: np.ndarray,
    wy: np.ndarray,
    wx: np.ndarray,
    planes: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    out: np.ndarray,
) -> None:
    """Correlate with a symmetric kernel along each axis.

    Parameters
    ----------
    image : ndarray of float32, shape (Z, Y, X), C-contiguous
    wz, wy, wx : ndarray of float64, shape (radius + 1,)
        Half kernels, from the farthest weight to the centre's; of a single weight, the axis is left as it is.
    planes, rows, columns : ndarray of int64, shape (size + 2 radius,)
        For each position along an axis with its border, the voxel that it takes its value from.
    out : ndarray of float32, shape (Z, Y, X)
    """
    spread(_smooth, len(image) * -(-image.shape[1] // _ROWS), image, wz, wy, wx, planes, rows, columns, out)


@compiled
def _laplacian(
    begin: int,
    end: int,
    image: np.ndarray,
    smoothing: np.ndarray,
    curvature: np.ndarray,
    volume: bool,
    factor: float,
    planes: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    out: np.ndarray,
) -> None:
    _, height, width = image.shape
    radius = smoothing.shape[0] - 1
    blocks = (height + _ROWS - 1) // _ROWS
    for task in range(begin, end):
        z, first = task // blocks, task % blocks * _ROWS
        last = min(first + _ROWS, height)
        low, high = _reach(rows, first, last, radius)
        total = np.empty(width, np.float64)
        wide = np.empty(width + 2 * radius, np.float32)
        row = np.empty(width, np.float32)
        found = np.empty(width, np.float32)
        held = np.empty((high - low + 1, width), np.float32)
        bent = np.empty((high - low + 1 if volume else 1, width), np.float32)
        for y in range(low, high + 1):
            if volume:
                _across_planes(image, z, y, smoothing, planes, total, held[y - low])
                _across_planes(image, z, y, curvature, planes, total, bent[y - low])
            else:
                copy(image[z, y], held[y - low])
        for y in range(first, last):
            if volume:
                _across_rows(bent, low, y, smoothing, rows, total, row)
                _along(row, smoothing, columns, wide, total)
                _round(total, found)
            _across_rows(held, low, y, curvature, rows, total, row)
            _along(row, smoothing, columns, wide, total)
            if volume:
                for x in range(width):
                    found[x] += np.float32(total[x])
            else:
                _round(total, found)
            _across_rows(held, low, y, smoothing, rows, total, row)
            _along(row, curvature, columns, wide, total)
            for x in range(width):
                out[z, y, x] = (found[x] + np.float32(total[x])) * factor


def laplacian(
    image: np.ndarray,
    smoothing: np.ndarray,
    curvature: np.ndarray,
    volume: bool,
    factor: float,
    planes: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    out: np.ndarray,
) -> None:
    """Sum of the second Gaussian derivatives along z (with `volume`), y and x, times a factor.

    Parameters
    ----------
    image : ndarray of float32, shape (Z, Y, X), C-contiguous
    smoothing, curvature : ndarray of float64, shape (radius + 1,)
        Half kernels of the Gaussian and of its second derivative, from the farthest weight to the centre's; the
        radius is at least 1.
    volume : bool
        Otherwise every plane is on its own.
    factor : float32
    planes, rows, columns : ndarray of int64, shape (size + 2 radius,)
        For each position along an axis with its border, the voxel that it takes its value from.
    out : ndarray of float32, shape (Z, Y, X)
    """
    spread(
        _laplacian,
        len(image) * -(-image.shape[1] // _ROWS),
        image,
        smoothing,
        curvature,
        volume,
        factor,
        planes,
        rows,
        columns,
        out,
    )
