"""Second differences of a voxel: the central difference applied twice, one-sided at the ends of an axis."""

from numba import njit


@njit
def around(k, n):
    """Positions below and above k that enter the first difference on an axis of n >= 2 samples, and its weight."""
    low = max(k - 1, 0)
    high = min(k + 1, n - 1)
    return low, high, 1.0 / (high - low)


@njit
def hessian_3d(image, z, y, x):
    """(zz, yy, xx, zy, zx, yx) at a voxel of a float32 volume with at least 2 samples an axis; float64."""
    nz, ny, nx = image.shape
    z0, z1, wz = around(z, nz)
    y0, y1, wy = around(y, ny)
    x0, x1, wx = around(x, nx)
    a0, a1, wa = around(z0, nz)
    b0, b1, wb = around(z1, nz)
    zz = wz * (wb * (image[b1, y, x] - image[b0, y, x]) - wa * (image[a1, y, x] - image[a0, y, x]))
    a0, a1, wa = around(y0, ny)
    b0, b1, wb = around(y1, ny)
    yy = wy * (wb * (image[z, b1, x] - image[z, b0, x]) - wa * (image[z, a1, x] - image[z, a0, x]))
    a0, a1, wa = around(x0, nx)
    b0, b1, wb = around(x1, nx)
    xx = wx * (wb * (image[z, y, b1] - image[z, y, b0]) - wa * (image[z, y, a1] - image[z, y, a0]))
    zy = wz * wy * ((image[z1, y1, x] - image[z1, y0, x]) - (image[z0, y1, x] - image[z0, y0, x]))
    zx = wz * wx * ((image[z1, y, x1] - image[z1, y, x0]) - (image[z0, y, x1] - image[z0, y, x0]))
    yx = wy * wx * ((image[z, y1, x1] - image[z, y1, x0]) - (image[z, y0, x1] - image[z, y0, x0]))
    return zz, yy, xx, zy, zx, yx


@njit
def hessian_2d(image, z, y, x):
    """(yy, xx, yx) within a plane of a float32 stack with at least 2 rows and columns; float64."""
    ny, nx = image.shape[1], image.shape[2]
    y0, y1, wy = around(y, ny)
    x0, x1, wx = around(x, nx)
    a0, a1, wa = around(y0, ny)
    b0, b1, wb = around(y1, ny)
    yy = wy * (wb * (image[z, b1, x] - image[z, b0, x]) - wa * (image[z, a1, x] - image[z, a0, x]))
    a0, a1, wa = around(x0, nx)
    b0, b1, wb = around(x1, nx)
    xx = wx * (wb * (image[z, y, b1] - image[z, y, b0]) - wa * (image[z, y, a1] - image[z, y, a0]))
    yx = wy * wx * ((image[z, y1, x1] - image[z, y1, x0]) - (image[z, y0, x1] - image[z, y0, x0]))
    return yy, xx, yx
