"""Hessian eigenvalues and ridge response, fused over rows."""

import numpy as np
from numba import prange

from fastseg.kernels.jit import compiled
from fastseg.kernels.voxel.eigen import by_magnitude_2, by_magnitude_3, eigenvalues_2x2, eigenvalues_3x3
from fastseg.kernels.voxel.hessian import hessian_2d, hessian_3d
from fastseg.kernels.voxel.vesselness import response


@compiled(parallel=True)
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
    nz, ny, nx = middle.shape
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
            middle[z, y, x] = np.float32(second) if keep or largest < np.float32(0.0) else np.float32(0.0)
            if keep:
                last[z, y, x] = largest
        lowest[row] = low


@compiled(parallel=True)
def eigenvalues_2d(smooth, scale, first, larger, lowest):
    """The eigenvalue of larger magnitude of the Hessian within each plane.

    Parameters
    ----------
    smooth : float32 (Z, Y, X)
        Smoothed planes with at least 2 rows and columns.
    scale : float
        Factor of the matrix.
    first : int
        First column to compute.
    larger : float32 (Z, Y, columns)
        Written.
    lowest : float32 (Z, Y)
        Written: the smallest value of each row.
    """
    nz, ny, nx = larger.shape
    for row in prange(nz * ny):
        z = row // ny
        y = row % ny
        low = np.float32(np.inf)
        for x in range(nx):
            yy, xx, yx = hessian_2d(smooth, z, y, x + first)
            a, b = eigenvalues_2x2(scale * yy, scale * xx, scale * yx)
            _, second = by_magnitude_2(a, b)
            value = np.float32(second)
            low = min(low, value)
            larger[z, y, x] = value
        lowest[z, y] = low


@compiled(parallel=True)
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
            largest = low if flat_last else np.float64(last[z, y, x])
            out[z, y, x] = max(out[z, y, x], np.float32(response(e, largest, low, True)))


@compiled(parallel=True)
def eigenvalue_3d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian of a volume; `out` float32 (Z, Y, X)."""
    nz, ny, nx = smooth.shape
    for row in prange(nz * ny):
        z = row // ny
        y = row % ny
        for x in range(nx):
            zz, yy, xx, zy, zx, yx = hessian_3d(smooth, z, y, x)
            a, b, c = eigenvalues_3x3(scale * zz, scale * yy, scale * xx, scale * zy, scale * zx, scale * yx)
            first, second, third = by_magnitude_3(a, b, c)
            out[z, y, x] = np.float32(first if index == 0 else second if index == 1 else third)


@compiled(parallel=True)
def eigenvalue_2d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian within each plane; `out` float32 (Z, Y, X)."""
    nz, ny, nx = smooth.shape
    for row in prange(nz * ny):
        z = row // ny
        y = row % ny
        for x in range(nx):
            yy, xx, yx = hessian_2d(smooth, z, y, x)
            a, b = eigenvalues_2x2(scale * yy, scale * xx, scale * yx)
            first, second = by_magnitude_2(a, b)
            out[z, y, x] = np.float32(first if index == 0 else second)
