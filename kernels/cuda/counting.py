"""Counts of the voxels of a box by bin, or by the bits of their values; see `fastseg.kernels.cpu.counting`.

Each reads the image once, 4 bytes a voxel. Bins have counters in shared memory, one set a warp. The 65536 upper halves
do not fit there; those of the positive numbers from 2**-24 to 2**24, and zero, do, and almost all voxels are among
them. Counts that go to memory at once are collected first while a thread meets the same value again, as in an image of
few grey levels, where all voxels would wait for one counter.
"""

import numpy as np
from numba import cuda, int32

from fastseg.kernels.cuda.boxes import ACROSS, DOWN, THREADS, first_row, next_row, number_in_block, over_box
from fastseg.kernels.cuda.launch import Kernel, device
from fastseg.kernels.cuda.memory import views
from fastseg.kernels.cuda.places import NONE, ONE, U
from fastseg.kernels.voxel import statistics as voxel

__all__ = ["histogram", "lower_halves", "upper_halves"]

correction, ordered_with_one_zero = device(voxel.correction), device(voxel.ordered_with_one_zero)
within_bins = voxel.within_bins

_BINS = 256
_COPIES = 8
_COUNTERS = _COPIES * _BINS
_HALF, _OFFSET = np.int32(16), np.int32(1 << 15)
_LOW_HALF = np.int32(0xFFFF)
_LOWEST = np.int32((1 << 15) + (127 - 24 << 7))
"""Upper half of 2**-24, counted from the lowest one."""
_WINDOW = 48 << 7
_ENTRIES = _WINDOW + 1
"""One more for zero."""
_NO_COUNT, _NO_HALF = np.int32(0), np.int32(-1)


@cuda.jit(device=True)
def clear(shared, size):
    """Set the counters of a block to 0."""
    i = number_in_block()
    while i < U(size):
        shared[i] = _NO_COUNT
        i += U(THREADS)
    cuda.syncthreads()


@cuda.jit(device=True)
def add_copies(shared, counts):
    """Add the counters of all warps of a block to the counts of all blocks."""
    i = number_in_block()
    while i < U(_BINS):
        total = np.int64(0)
        copy = NONE
        while copy < U(_COPIES):
            total += np.int64(shared[copy * U(_BINS) + i])
            copy += ONE
        if total > 0:
            cuda.atomic.add(counts, i, total)
        i += U(THREADS)


def histogram_kernel(image, z0, y0, x0, rows, height, x1, edges, factor, divisor, counts):
    """Every row of the box by one warp; bins in float32."""
    shared = cuda.shared.array(_COUNTERS, int32)
    clear(shared, _COUNTERS)
    own = (U(cuda.threadIdx.y) % U(_COPIES)) * U(_BINS)
    low = edges[0]
    row = first_row()
    while row < U(rows):
        z, y = U(z0) + row // U(height), U(y0) + row % U(height)
        x = U(x0) + U(cuda.threadIdx.x)
        while x < U(x1):
            value = image[z, y, x]
            place = within_bins((value - low) / divisor * factor)
            place += correction(value, edges, place)
            cuda.atomic.add(shared, own + U(place), 1)
            x += ACROSS
        row = next_row(row)
    cuda.syncthreads()
    add_copies(shared, counts)


def wide_histogram_kernel(image, z0, y0, x0, rows, height, x1, edges, scale, counts):
    """The same in float64, for a range that float32 cannot hold."""
    shared = cuda.shared.array(_COUNTERS, int32)
    clear(shared, _COUNTERS)
    own = (U(cuda.threadIdx.y) % U(_COPIES)) * U(_BINS)
    low = np.float64(edges[0])
    row = first_row()
    while row < U(rows):
        z, y = U(z0) + row // U(height), U(y0) + row % U(height)
        x = U(x0) + U(cuda.threadIdx.x)
        while x < U(x1):
            value = image[z, y, x]
            place = within_bins((np.float64(value) - low) * scale)
            place += correction(value, edges, place)
            cuda.atomic.add(shared, own + U(place), 1)
            x += ACROSS
        row = next_row(row)
    cuda.syncthreads()
    add_copies(shared, counts)


def upper_kernel(bits, z0, y0, x0, rows, height, x1, counts):
    """Every row of the box by one warp."""
    shared = cuda.shared.array(_ENTRIES, int32)
    clear(shared, _ENTRIES)
    row = first_row()
    while row < U(rows):
        z, y = U(z0) + row // U(height), U(y0) + row % U(height)
        x = U(x0) + U(cuda.threadIdx.x)
        while x < U(x1):
            half = (ordered_with_one_zero(bits[z, y, x]) >> _HALF) + _OFFSET
            if half == _OFFSET:
                cuda.atomic.add(shared, _WINDOW, 1)
            elif _LOWEST <= half < _LOWEST + _WINDOW:
                cuda.atomic.add(shared, half - _LOWEST, 1)
            else:
                cuda.atomic.add(counts, half, 1)
            x += ACROSS
        row = next_row(row)
    cuda.syncthreads()
    i = number_in_block()
    while i < U(_ENTRIES):
        found = shared[i]
        if found > 0:
            cuda.atomic.add(counts, U(_LOWEST) + i if i < U(_WINDOW) else U(_OFFSET), np.int64(found))
        i += U(THREADS)


def lower_kernel(bits, z0, y0, x0, rows, height, x1, first, second, counts):
    """Every row of the box by one warp."""
    last_a, count_a, last_b, count_b = _NO_HALF, _NO_COUNT, _NO_HALF, _NO_COUNT
    row = first_row()
    while row < U(rows):
        z, y = U(z0) + row // U(height), U(y0) + row % U(height)
        x = U(x0) + U(cuda.threadIdx.x)
        while x < U(x1):
            key = ordered_with_one_zero(bits[z, y, x])
            upper, lower = np.int32((key >> _HALF) + _OFFSET), np.int32(key & _LOW_HALF)
            if upper == first:
                if lower != last_a:
                    add_run(counts, 0, last_a, count_a)
                    last_a, count_a = lower, _NO_COUNT
                count_a += 1
            if upper == second:
                if lower != last_b:
                    add_run(counts, 1, last_b, count_b)
                    last_b, count_b = lower, _NO_COUNT
                count_b += 1
            x += ACROSS
        row = next_row(row)
    add_run(counts, 0, last_a, count_a)
    add_run(counts, 1, last_b, count_b)


@cuda.jit(device=True)
def add_run(counts, table, half, count):
    """Add what a thread has met of one half."""
    if count > 0:
        cuda.atomic.add(counts, (table, half), np.int64(count))


_histogram = Kernel(histogram_kernel)
_wide_histogram = Kernel(wide_histogram_kernel)
_upper = Kernel(upper_kernel)
_lower = Kernel(lower_kernel)
assert int(DOWN) == _COPIES


def histogram(image, start, stop, edges, factor, divisor, wide, counts):
    """Count the values of a box in 256 bins, left-closed, the last one closed on both sides."""
    launch, box = over_box(start, stop)
    counts[:] = 0
    image, edges, counts = views(image, edges, counts)
    if wide:
        _wide_histogram[launch](image, *box, edges, np.float64(factor), counts)
    else:
        _histogram[launch](image, *box, edges, np.float32(factor), np.float32(divisor), counts)


def upper_halves(bits, start, stop, counts):
    """Count the values of a box by the upper 16 bits of their ordered integers, from the lowest to the highest."""
    launch, box = over_box(start, stop)
    counts[:] = 0
    bits, counts = views(bits, counts)
    _upper[launch](bits, *box, counts)


def lower_halves(bits, start, stop, uppers, counts):
    """Count the values of a box that have one of two upper halves by the lower 16 bits of their ordered integers."""
    launch, box = over_box(start, stop)
    counts[:] = 0
    bits, counts = views(bits, counts)
    _lower[launch](bits, *box, np.int32(uppers[0]), np.int32(uppers[1]), counts)
