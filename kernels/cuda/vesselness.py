"""Hessian eigenvalues and ridge response; see `fastseg.kernels.cpu.vesselness` for the arguments."""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.launch import as_int64, device, over, over_rows
from fastseg.kernels.voxel import hessian
from fastseg.kernels.voxel.eigen import by_magnitude_2, by_magnitude_3, eigenvalues_2x2, eigenvalues_3x3
from fastseg.kernels.voxel.vesselness import response

hessian_2d, across_planes = device(hessian.hessian_2d), device(hessian.hessian_across_planes)


@cuda.jit(device=True)
def eigenvalues_at_3d(smooth, scale, z, y, x):
    """Eigenvalues of a voxel by rising magnitude; float64."""
    zz, zy, zx = across_planes(smooth, z, y, x, scale)
    yy, xx, yx = hessian_2d(smooth, z, y, x, scale)
    a, b, c = eigenvalues_3x3(
        np.float64(zz), np.float64(yy), np.float64(xx), np.float64(zy), np.float64(zx), np.float64(yx)
    )
    return by_magnitude_3(a, b, c)


@cuda.jit(device=True)
def eigenvalues_at_2d(smooth, scale, z, y, x):
    """Eigenvalues of a pixel by rising magnitude; float64."""
    yy, xx, yx = hessian_2d(smooth, z, y, x, scale)
    a, b = eigenvalues_2x2(np.float64(yy), np.float64(xx), np.float64(yx))
    return by_magnitude_2(a, b)


def eigen_3d_kernel(smooth, scale, z0, y0, x0, middle, last, lowest):
    """One thread a voxel; `lowest` starts at infinity and takes the minimum of each row atomically."""
    x, y, z = cuda.grid(3)
    nz, ny, nx = middle.shape
    if z < nz and y < ny and x < nx:
        _, second, third = eigenvalues_at_3d(smooth, scale, z + z0, y + y0, x + x0)
        largest = np.float32(third)
        keep = last.size > 0
        middle[z, y, x] = np.float32(second) if keep or largest < np.float32(0.0) else np.float32(0.0)
        if keep:
            last[z, y, x] = largest
        cuda.atomic.min(lowest, z * ny + y, largest)


def eigen_2d_kernel(smooth, scale, first, columns, larger, lowest):
    """One thread a pixel; `lowest` starts at infinity and takes the minimum of each row atomically."""
    x, y, z = cuda.grid(3)
    if z < larger.shape[0] and y < larger.shape[1] and x < columns:
        _, second = eigenvalues_at_2d(smooth, scale, z, y, x + first)
        value = np.float32(second)
        if x < larger.shape[2]:
            larger[z, y, x] = value
        cuda.atomic.min(lowest, (z, y), value)


def response_kernel(middle, last, floor, flat_last, out):
    """One thread a voxel."""
    x, y, z = cuda.grid(3)
    nz, ny, nx = middle.shape
    if z < nz and y < ny and x < nx:
        low = np.float32(floor[z])
        largest = low if flat_last else last[z, y, x]
        out[z, y, x] = max(out[z, y, x], response(middle[z, y, x], largest, low))


def eigenvalue_3d_kernel(smooth, scale, index, out):
    """One thread a voxel."""
    x, y, z = cuda.grid(3)
    nz, ny, nx = out.shape
    if z < nz and y < ny and x < nx:
        first, second, third = eigenvalues_at_3d(smooth, scale, z, y, x)
        out[z, y, x] = np.float32(first if index == 0 else second if index == 1 else third)


def eigenvalue_2d_kernel(smooth, scale, index, out):
    """One thread a pixel."""
    x, y, z = cuda.grid(3)
    nz, ny, nx = out.shape
    if z < nz and y < ny and x < nx:
        first, second = eigenvalues_at_2d(smooth, scale, z, y, x)
        out[z, y, x] = np.float32(first if index == 0 else second)


def fill_kernel(values, value):
    """Set every element of a flat array."""
    i = cuda.grid(1)
    if i < values.size:
        values[i] = value


_eigen_3d = cuda.jit(eigen_3d_kernel)
_eigen_2d = cuda.jit(eigen_2d_kernel)
_response = cuda.jit(response_kernel)
_eigenvalue_3d = cuda.jit(eigenvalue_3d_kernel)
_eigenvalue_2d = cuda.jit(eigenvalue_2d_kernel)
_fill = cuda.jit(fill_kernel)
_INFINITY = np.float32(np.inf)


def eigenvalues_3d(smooth, scale, start, middle, last, lowest):
    """Eigenvalues of the Hessian that are second and third by magnitude, in a box of a volume."""
    _fill[over_rows(lowest.size)](lowest, _INFINITY)
    _eigen_3d[over(middle.shape)](smooth, np.float32(scale), *as_int64(*start), middle, last, lowest)


def eigenvalues_2d(smooth, scale, first, columns, larger, lowest):
    """The eigenvalue of larger magnitude of the Hessian within each plane."""
    _fill[over_rows(lowest.size)](lowest.reshape(-1), _INFINITY)
    grid = over((*larger.shape[:2], columns))
    _eigen_2d[grid](smooth, np.float32(scale), *as_int64(first, columns), larger, lowest)


def ridge_response(middle, last, floor, flat_last, out):
    """Ridge response of every voxel, kept where it exceeds `out`."""
    _response[over(middle.shape)](middle, last, cuda.to_device(floor), bool(flat_last), out)


def eigenvalue_3d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian of a volume."""
    _eigenvalue_3d[over(out.shape)](smooth, np.float32(scale), np.int64(index), out)


def eigenvalue_2d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian within each plane."""
    _eigenvalue_2d[over(out.shape)](smooth, np.float32(scale), np.int64(index), out)
