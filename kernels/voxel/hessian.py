"""Second differences of a voxel: the central difference applied twice, one-sided at the ends of an axis; float32."""

import numpy as np
from numba import njit

_ONE = np.float32(1.0)
_HALF = np.float32(0.5)
_FIRST, _NEXT = np.uint64(0), np.uint64(1)


@njit(forceinline=True)
def around(k, n):
    """Positions below and above k that enter the first difference on an axis of n >= 2 samples, and its weight."""
    low = max(k - 1, 0)
    high = min(k + 1, n - 1)
    return low, high, _HALF if high - low == 2 else _ONE


@njit(forceinline=True)
def second(upper_high, upper_low, lower_high, lower_low, upper_weight, lower_weight, factor):
    """A difference of two differences, each with its weight, times a factor.

    The weights are 1 or 1/2, so that only the differences are rounded, and once more for the factor.
    """
    upper = upper_weight * (upper_high - upper_low)
    return factor * (upper - lower_weight * (lower_high - lower_low))


@njit(forceinline=True)
def around_place(k, n):
    """`around` in unsigned numbers, of which compiled code does not ask whether they count from the end."""
    low = k - _NEXT if k > _FIRST else k
    high = k + _NEXT if k + _NEXT < n else k
    return low, high, _HALF if high - low > _NEXT else _ONE


@njit
def hessian_2d(image, z, y, x, scale):
    """(yy, xx, yx) within a plane of a float32 stack with at least 2 rows and columns, times float32 `scale`."""
    z, y, x = np.uint64(z), np.uint64(y), np.uint64(x)
    ny, nx = np.uint64(image.shape[1]), np.uint64(image.shape[2])
    y0, y1, wy = around_place(y, ny)
    x0, x1, wx = around_place(x, nx)
    a0, a1, wa = around_place(y0, ny)
    b0, b1, wb = around_place(y1, ny)
    yy = second(image[z, b1, x], image[z, b0, x], image[z, a1, x], image[z, a0, x], wb, wa, scale * wy)
    a0, a1, wa = around_place(x0, nx)
    b0, b1, wb = around_place(x1, nx)
    xx = second(image[z, y, b1], image[z, y, b0], image[z, y, a1], image[z, y, a0], wb, wa, scale * wx)
    yx = second(image[z, y1, x1], image[z, y1, x0], image[z, y0, x1], image[z, y0, x0], wx, wx, scale * wy)
    return yy, xx, yx


@njit
def hessian_across_planes(image, z, y, x, scale):
    """(zz, zy, zx) of a float32 volume with at least 2 samples an axis, times float32 `scale`."""
    z, y, x = np.uint64(z), np.uint64(y), np.uint64(x)
    nz, ny, nx = np.uint64(image.shape[0]), np.uint64(image.shape[1]), np.uint64(image.shape[2])
    z0, z1, wz = around_place(z, nz)
    y0, y1, wy = around_place(y, ny)
    x0, x1, wx = around_place(x, nx)
    a0, a1, wa = around_place(z0, nz)
    b0, b1, wb = around_place(z1, nz)
    factor = scale * wz
    zz = second(image[b1, y, x], image[b0, y, x], image[a1, y, x], image[a0, y, x], wb, wa, factor)
    zy = second(image[z1, y1, x], image[z1, y0, x], image[z0, y1, x], image[z0, y0, x], wy, wy, factor)
    zx = second(image[z1, y, x1], image[z1, y, x0], image[z0, y, x1], image[z0, y, x0], wx, wx, factor)
    return zz, zy, zx
