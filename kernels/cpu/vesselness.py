"""Hessian eigenvalues and ridge response, fused over rows."""

import numpy as np
from numba import njit, prange

from fastseg.kernels.voxel.eigen import by_magnitude_2, by_magnitude_3, eigenvalues_2x2, eigenvalues_3x3
from fastseg.kernels.voxel.hessian import hessian_2d, hessian_3d
from fastseg.kernels.voxel.vesselness import response


@njit(parallel=True, cache=True, nogil=True)
def eigenvalues_3d(smooth, scale, start, stop, middle, last):
    """Eigenvalues of the Hessian that are second and third by magnitude, in a box of a volume.

    Parameters
    ----------
    smooth : float32 (Z, Y, X)
        Smoothed image with at least 2 samples an axis.
    scale : float
        Factor of the matrix.
    start, stop : 3 ints
        The box.
    middle, last : float32, shape of the box
        Written. An empty `last` is left alone.

    Returns
    -------
    float
        The smallest `last` of the box.
    """
    nz, ny, nx = middle.shape
    lowest = np.full(nz * ny, np.inf, np.float32)
    keep = last.size > 0
    for row in prange(nz * ny):
        z = row // ny
        y = row % ny
        low = np.float32(np.inf)
        for x in range(nx):
            zz, yy, xx, zy, zx, yx = hessian_3d(smooth, z + start[0], y + start[1], x + start[2])
            a, b, c = eigenvalues_3x3(scale * zz, scale * yy, scale * xx, scale * zy, scale * zx, scale * yx)
            _, second, third = by_magnitude_3(a, b, c)
            largest = np.float32(third)
            low = min(low, largest)
            # without `last` the deciding eigenvalue carries the condition that the last one is negative
            middle[z, y, x] = np.float32(second) if keep or largest < np.float32(0.0) else np.float32(0.0)
            if keep:
                last[z, y, x] = largest
        lowest[row] = low
    return lowest.min()


@njit(parallel=True, cache=True, nogil=True)
def eigenvalues_2d(smooth, scale, columns, larger, lowest):
    """The eigenvalue of larger magnitude of the Hessian within each plane, and its minimum a plane.

    Parameters
    ----------
    smooth : float32 (Z, Y, X)
    scale : float
    columns : 2 ints
        First and last + 1 column to compute.
    larger : float32 (Z, Y, columns)
        Written; may be empty if only the minima are wanted.
    lowest : float32 (Z,)
        Written: the smallest value of each plane's columns.
    """
    nz, ny = smooth.shape[0], smooth.shape[1]
    rows = np.full((nz, ny), np.inf, np.float32)
    keep = larger.size > 0
    for row in prange(nz * ny):
        z = row // ny
        y = row % ny
        low = np.float32(np.inf)
        for x in range(columns[0], columns[1]):
            yy, xx, yx = hessian_2d(smooth, z, y, x)
            a, b = eigenvalues_2x2(scale * yy, scale * xx, scale * yx)
            _, second = by_magnitude_2(a, b)
            value = np.float32(second)
            low = min(low, value)
            if keep:
                larger[z, y, x - columns[0]] = value
        rows[z, y] = low
    for z in range(nz):
        lowest[z] = rows[z].min()


@njit(parallel=True, cache=True, nogil=True)
def ridge_response(middle, last, floor, flat_last, out):
    """Ridge response of every voxel, kept where it exceeds `out`.

    Parameters
    ----------
    middle, last : float32 (Z, Y, X)
        With `flat_last` the array `last` is not read and every last eigenvalue counts as lowered to `floor` (the
        case tau = 1).
    floor : float64 (Z,)
        Floor of the last eigenvalue of each plane.
    flat_last : bool
    out : float32 (Z, Y, X)
        Maximum of the response and what was there.
    """
    nz, ny, nx = middle.shape
    for row in prange(nz * ny):
        z = row // ny
        y = row % ny
        low = floor[z]
        for x in range(nx):
            e = np.float64(middle[z, y, x])
            l = low if flat_last else np.float64(last[z, y, x])
            out[z, y, x] = max(out[z, y, x], np.float32(response(e, l, low, True)))
