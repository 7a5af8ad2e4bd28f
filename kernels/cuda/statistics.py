"""Statistics of a box of an image in integers; see `fastseg.kernels.cpu.statistics` for the arguments.

Each of the three reads the image once, 4 bytes a voxel; `stretch` writes it as well, 8 bytes a voxel, where CuPy's
array code moves 8 bytes for each of up to five operations. The results are the CPU's to the last bit. Units of fixed
point are found in float64 for that reason: a difference, a product and a rounding a voxel.
"""

import numpy as np
from numba import cuda, int32, int64

from fastseg.kernels.cuda.boxes import ACROSS, THREADS, first_row, next_row, number_in_block, over_box
from fastseg.kernels.cuda.grids import over_list
from fastseg.kernels.cuda.launch import Kernel, device
from fastseg.kernels.cuda.memory import views
from fastseg.kernels.cuda.places import NONE, U
from fastseg.kernels.voxel import statistics as voxel
from fastseg.kernels.voxel.statistics import CUT, MAGNITUDE, MIDDLE, whole_sums

__all__ = ["extremes", "fixed_point", "stretch", "whole_sums"]

ordered, stretched = device(voxel.ordered), device(voxel.stretched)
_CUT, _MIDDLE, _BELOW_CUT = np.int64(CUT), np.int64(MIDDLE), np.int64((1 << CUT) - 1)


def start_kernel(found):
    """The extremes of nothing."""
    found[0] = MAGNITUDE
    found[1] = ~MAGNITUDE


def extremes_kernel(bits, z0, y0, x0, rows, height, x1, bound, instead, found):
    """Every row of the box by one warp."""
    lows = cuda.shared.array(THREADS, int32)
    highs = cuda.shared.array(
        THREADS, int32
    )  # a line of its own: Numba's simulator tells arrays apart by these
    low, high = MAGNITUDE, ~MAGNITUDE
    row = first_row()
    while row < U(rows):
        z, y = U(z0) + row // U(height), U(y0) + row % U(height)
        x = U(x0) + U(cuda.threadIdx.x)
        while x < U(x1):
            key = ordered(bits[z, y, x])
            key = instead if key > bound else key
            low = min(low, key)
            high = max(high, key)
            x += ACROSS
        row = next_row(row)
    here = number_in_block()
    lows[here], highs[here] = low, high
    half = U(THREADS // 2)
    while half > NONE:
        cuda.syncthreads()
        if here < half:
            lows[here] = min(lows[here], lows[here + half])
            highs[here] = max(highs[here], highs[here + half])
        half = half // U(2)
    if here == NONE:
        cuda.atomic.min(found, 0, lows[0])
        cuda.atomic.max(found, 1, highs[0])


def fixed_point_kernel(image, z0, y0, x0, rows, height, x1, above, below, low, scale, sums):
    """Every row of the box by one warp."""
    shared = cuda.shared.array(5, int64)
    here = number_in_block()
    if here < U(5):
        shared[here] = 0
    cuda.syncthreads()
    count, total = np.int64(0), np.int64(0)
    high_high, high_low, low_low = np.int64(0), np.int64(0), np.int64(0)
    row = first_row()
    while row < U(rows):
        z, y = U(z0) + row // U(height), U(y0) + row % U(height)
        x = U(x0) + U(cuda.threadIdx.x)
        while x < U(x1):
            value = image[z, y, x]
            if above < value < below:
                unit = np.int64(round((np.float64(value) - low) * scale)) - _MIDDLE
                upper, lower = unit >> _CUT, unit & _BELOW_CUT
                count += 1
                total += unit
                high_high += upper * upper
                high_low += upper * lower
                low_low += lower * lower
            x += ACROSS
        row = next_row(row)
    cuda.atomic.add(shared, 0, count)
    cuda.atomic.add(shared, 1, total)
    cuda.atomic.add(shared, 2, high_high)
    cuda.atomic.add(shared, 3, high_low)
    cuda.atomic.add(shared, 4, low_low)
    cuda.syncthreads()
    if here < U(5):
        cuda.atomic.add(sums, here, shared[here])


def stretch_kernel(image, lowest, highest, bound, low, epsilon, divisor, out):
    """One thread an element of a flat image."""
    i = U(cuda.blockIdx.x) * U(cuda.blockDim.x) + U(cuda.threadIdx.x)
    if i < U(out.size):
        out[i] = stretched(image[i], lowest, highest, bound, low, epsilon, divisor)


_start = Kernel(start_kernel)
_extremes = Kernel(extremes_kernel)
_fixed_point = Kernel(fixed_point_kernel)
_stretch = Kernel(stretch_kernel)


def extremes(bits, start, stop, found, bound=2**31 - 1, instead=0):
    """Lowest and highest value of a box as ordered integers."""
    launch, box = over_box(start, stop)
    bits, found = views(bits, found)
    _start[1, 1](found)
    _extremes[launch](bits, *box, np.int32(bound), np.int32(instead), found)


def fixed_point(image, start, stop, limits, low, scale, sums):
    """Sums of ``u = rint((x - low) * scale)`` over the voxels of a box between two limits, for `whole_sums`."""
    launch, box = over_box(start, stop)
    sums[:] = 0
    image, sums = views(image, sums)
    _fixed_point[launch](image, *box, *limits, np.float64(low), np.float64(scale), sums)


def stretch(image, limits, bound, low, epsilon, divisor, out):
    """``(x - low + epsilon) / divisor`` of values that are clipped first, or replaced by `low` above a bound."""
    flat, written = views(image.reshape(-1), out.reshape(-1))
    _stretch[over_list(out.size)](flat, *limits, bound, low, epsilon, divisor, written)
