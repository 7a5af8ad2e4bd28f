"""Hessian eigenvalues and ridge response; see `fastseg.kernels.cpu.vesselness` for the arguments.

The eigenvalues are found in float32 (`fastseg.kernels.voxel.eigen32`), where the CPU takes float64 and rounds: both
agree within 4e-7 of the largest magnitude.

Bytes moved from and to memory for every voxel and scale: 8 for the eigenvalues (the smoothed image is read, the
deciding eigenvalue written), 8 for the response, 4 more for what other scales gave. To find the eigenvalues a second
time instead of keeping one would save 4 of these and no memory, since the smoothed image would be kept, and cost
about 200 operations; a device does 10 to 25 of them in the time of a byte.
"""

import numpy as np
from numba import cuda, int32

from fastseg.kernels.cuda.launch import Kernel, as_int64, device, over, over_rows
from fastseg.kernels.cuda.memory import nothing, views
from fastseg.kernels.cuda.places import U
from fastseg.kernels.voxel import hessian
from fastseg.kernels.voxel.eigen import by_magnitude_2, by_magnitude_3
from fastseg.kernels.voxel.eigen32 import eigenvalues_2x2, eigenvalues_3x3
from fastseg.kernels.voxel.statistics import MAGNITUDE, ordered
from fastseg.kernels.voxel.vesselness import response

hessian_2d, across_planes = device(hessian.hessian_2d), device(hessian.hessian_across_planes)

_LINES = 8
"""Rows of a block of `over`."""
_NOTHING = np.float32(0.0)


@cuda.jit(device=True)
def eigenvalues_at_3d(smooth, scale, z, y, x):
    """Eigenvalues of a voxel by rising magnitude; float32."""
    zz, zy, zx = across_planes(smooth, z, y, x, scale)
    yy, xx, yx = hessian_2d(smooth, z, y, x, scale)
    a, b, c = eigenvalues_3x3(zz, yy, xx, zy, zx, yx)
    return by_magnitude_3(a, b, c)


@cuda.jit(device=True)
def eigenvalues_at_2d(smooth, scale, z, y, x):
    """Eigenvalues of a pixel by rising magnitude; float32."""
    yy, xx, yx = hessian_2d(smooth, z, y, x, scale)
    a, b = eigenvalues_2x2(yy, xx, yx)
    return by_magnitude_2(a, b)


@cuda.jit(device=True)
def place_in_grid():
    """z, y and x of a thread of `over`."""
    return (
        U(cuda.blockIdx.z) * U(cuda.blockDim.z) + U(cuda.threadIdx.z),
        U(cuda.blockIdx.y) * U(cuda.blockDim.y) + U(cuda.threadIdx.y),
        U(cuda.blockIdx.x) * U(cuda.blockDim.x) + U(cuda.threadIdx.x),
    )


@cuda.jit(device=True)
def line_in_block():
    """The row of a thread in its block."""
    return U(cuda.threadIdx.z) * U(cuda.blockDim.y) + U(cuda.threadIdx.y)


def eigen_3d_kernel(smooth, scale, z0, y0, x0, keep, middle, last, lowest):
    """One thread a voxel; `lowest` takes the minimum of each row as the integer of its order."""
    rows = cuda.shared.array(_LINES, int32)
    line = line_in_block()
    if cuda.threadIdx.x == 0:
        rows[line] = MAGNITUDE
    cuda.syncthreads()
    z, y, x = place_in_grid()
    nz, ny, nx = U(middle.shape[0]), U(middle.shape[1]), U(middle.shape[2])
    if z < nz and y < ny and x < nx:
        _, second, largest = eigenvalues_at_3d(smooth, scale, z + U(z0), y + U(y0), x + U(x0))
        middle[z, y, x] = second if keep or largest < _NOTHING else _NOTHING
        if keep:
            last[z, y, x] = largest
        cuda.atomic.min(rows, line, ordered(np.float32(largest).view(np.int32)))
    cuda.syncthreads()
    if cuda.threadIdx.x == 0 and z < nz and y < ny:
        cuda.atomic.min(lowest, z * ny + y, rows[line])


def eigen_2d_kernel(smooth, scale, first, columns, larger, lowest):
    """One thread a pixel; `lowest` takes the minimum of each row as the integer of its order."""
    rows = cuda.shared.array(_LINES, int32)
    line = line_in_block()
    if cuda.threadIdx.x == 0:
        rows[line] = MAGNITUDE
    cuda.syncthreads()
    z, y, x = place_in_grid()
    nz, ny, nx = U(larger.shape[0]), U(larger.shape[1]), U(larger.shape[2])
    if z < nz and y < ny and x < U(columns):
        _, value = eigenvalues_at_2d(smooth, scale, z, y, x + U(first))
        if x < nx:
            larger[z, y, x] = value
        cuda.atomic.min(rows, line, ordered(np.float32(value).view(np.int32)))
    cuda.syncthreads()
    if cuda.threadIdx.x == 0 and z < nz and y < ny:
        cuda.atomic.min(lowest, z * ny + y, rows[line])


def response_kernel(middle, last, floor, flat_last, before, first, out):
    """One thread a voxel."""
    z, y, x = place_in_grid()
    if z < U(middle.shape[0]) and y < U(middle.shape[1]) and x < U(middle.shape[2]):
        low = floor[z]
        found = response(middle[z, y, x], low if flat_last else last[z, y, x], low)
        out[z, y, x] = found if first else max(before[z, y, x], found)


def eigenvalue_3d_kernel(smooth, scale, index, out):
    """One thread a voxel."""
    z, y, x = place_in_grid()
    if z < U(out.shape[0]) and y < U(out.shape[1]) and x < U(out.shape[2]):
        first, second, third = eigenvalues_at_3d(smooth, scale, z, y, x)
        out[z, y, x] = first if index == 0 else second if index == 1 else third


def eigenvalue_2d_kernel(smooth, scale, index, out):
    """One thread a pixel."""
    z, y, x = place_in_grid()
    if z < U(out.shape[0]) and y < U(out.shape[1]) and x < U(out.shape[2]):
        first, second = eigenvalues_at_2d(smooth, scale, z, y, x)
        out[z, y, x] = first if index == 0 else second


def fill_kernel(values, value):
    """Set every element of a flat array."""
    i = U(cuda.blockIdx.x) * U(cuda.blockDim.x) + U(cuda.threadIdx.x)
    if i < U(values.size):
        values[i] = value


def from_order_kernel(keys):
    """The bits of the values in the place of the integers of their order, which the same change takes back."""
    i = U(cuda.blockIdx.x) * U(cuda.blockDim.x) + U(cuda.threadIdx.x)
    if i < U(keys.size):
        keys[i] = ordered(keys[i])


_eigen_3d = Kernel(eigen_3d_kernel)
_eigen_2d = Kernel(eigen_2d_kernel)
_response = Kernel(response_kernel)
_eigenvalue_3d = Kernel(eigenvalue_3d_kernel)
_eigenvalue_2d = Kernel(eigenvalue_2d_kernel)
_fill = Kernel(fill_kernel)
_from_order = Kernel(from_order_kernel)


def eigenvalues_3d(smooth, scale, start, middle, last, lowest):
    """Eigenvalues of the Hessian that are second and third by magnitude, in a box of a volume."""
    keep = last.size > 0
    kept = last if keep else nothing(middle, np.float32, 3)
    smooth, found, kept, keys = views(smooth, middle, kept, lowest.view(np.int32))
    rows = over_rows(lowest.size)
    _fill[rows](keys, MAGNITUDE)
    _eigen_3d[over(middle.shape)](smooth, np.float32(scale), *as_int64(*start), keep, found, kept, keys)
    _from_order[rows](keys)


def eigenvalues_2d(smooth, scale, first, columns, larger, lowest):
    """The eigenvalue of larger magnitude of the Hessian within each plane."""
    smooth, found, keys = views(smooth, larger, lowest.reshape(-1).view(np.int32))
    rows = over_rows(lowest.size)
    _fill[rows](keys, MAGNITUDE)
    grid = over((*larger.shape[:2], columns))
    _eigen_2d[grid](smooth, np.float32(scale), *as_int64(first, columns), found, keys)
    _from_order[rows](keys)


def ridge_response(middle, last, floor, flat_last, before, first, out):
    """Ridge response of every voxel, or what was found before where that is larger."""
    middle, last, floor, before, found = views(middle, last, floor, before, out)
    _response[over(out.shape)](middle, last, floor, bool(flat_last), before, bool(first), found)


def eigenvalue_3d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian of a volume."""
    smooth, found = views(smooth, out)
    _eigenvalue_3d[over(out.shape)](smooth, np.float32(scale), np.int64(index), found)


def eigenvalue_2d(smooth, scale, index, out):
    """The eigenvalue number `index` by rising magnitude of the Hessian within each plane."""
    smooth, found = views(smooth, out)
    _eigenvalue_2d[over(out.shape)](smooth, np.float32(scale), np.int64(index), found)
