"""Objects as runs: cut from labels, and the extremes of each object; see `fastseg.kernels.cpu.object_runs`.

Runs of labels: one thread 8 voxels marks with bits where a run begins and where the one before has ended, and one
thread a row writes the places of both down. No thread writes what another one reads in the same launch.

Extremes: one thread a voxel, which finds its run by bisection, compares, and changes the extreme of its object by an
atomic minimum or maximum of ordered integers if it lies beyond. What it compares with may be out of date, and is then
less extreme than the truth: at most an atomic operation is made for nothing, and after the first few voxels of an
object hardly any are made. Bytes moved a voxel: 4 inside objects, none outside.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.grids import line_place, over_lines, over_list
from fastseg.kernels.cuda.launch import Kernel, device
from fastseg.kernels.cuda.memory import library_of, views
from fastseg.kernels.voxel import runs as voxel
from fastseg.kernels.voxel.bits import WORD, without_lowest

run_at = device(voxel.run_at)

_BYTE = 8
_SHIFT = np.int32(31)
_MAGNITUDE = np.int32(0x7FFFFFFF)
_INFINITE = np.int32(0x7F800000)
_MINUS_INFINITE = np.int32(~0x7F800000)
_HIGHEST = np.int32(2**31 - 1)


def mark_kernel(labels, begins, ends):
    """One thread a byte of a row: bits where a label begins, and where the label before has ended."""
    row, j = line_place()
    if row < begins.shape[0] and j < begins.shape[1]:
        first, last = 0, 0
        x = _BYTE * j
        before = labels[row, x - 1] if x > 0 and x <= labels.shape[1] else 0
        for k in range(_BYTE):
            if x + k < labels.shape[1]:
                here = labels[row, x + k]
                if here != before:
                    if here != 0:
                        first |= 1 << k
                    if before != 0:
                        last |= 1 << k
                before = here
        begins[row, j] = first
        ends[row, j] = last


def count_kernel(begins, rows):
    """One thread a row of words: how many bits are set in row k to ``rows[k + 1]``."""
    row = cuda.grid(1)
    if row < begins.shape[0]:
        total = 0
        for j in range(begins.shape[1]):
            total += cuda.popc(begins[row, j])
        rows[row + 1] = total


def places_kernel(bits, rows, offset, edges):
    """One thread a row of words: places of the bits set, to every second element of `edges` from the offset on."""
    row = cuda.grid(1)
    if row < bits.shape[0]:
        place = 2 * rows[row] + offset
        for j in range(bits.shape[1]):
            left = bits[row, j]
            while left != 0:
                edges[place] = WORD * j + cuda.ffs(left) - 1
                place += 2
                left = without_lowest(left)


def names_kernel(labels, rows, edges, ids):
    """One thread a row: labels of its runs."""
    row = cuda.grid(1)
    if row < labels.shape[0]:
        for run in range(rows[row], rows[row + 1]):
            ids[run] = labels[row, edges[2 * run]]


def extremes_kernel(bits, rows, edges, ids, low, high):
    """One thread a voxel: ordered integers of the extremes of its object, those of NaN beyond all others."""
    row, x = line_place()
    if row < bits.shape[0] and x < bits.shape[1]:
        run = run_at(rows, edges, row, x)
        if run >= 0:
            number = ids[run]
            value = bits[row, x]
            key = np.int32(value ^ ((value >> _SHIFT) & _MAGNITUDE))
            if key < low[number]:
                cuda.atomic.min(low, number, key)
            if key > high[number]:
                cuda.atomic.max(high, number, key)


def values_kernel(low, high, low_bits, high_bits):
    """One thread an object: from ordered integers to the bits of float32 values; NaN, which lies beyond, stays."""
    k = cuda.grid(1)
    if k < low.size:
        a, b = low[k], high[k]
        if a < _MINUS_INFINITE or b > _INFINITE:
            a, b = _HIGHEST, _HIGHEST
        low_bits[k] = a ^ ((a >> _SHIFT) & _MAGNITUDE)
        high_bits[k] = b ^ ((b >> _SHIFT) & _MAGNITUDE)


_mark = Kernel(mark_kernel)
_count = Kernel(count_kernel)
_places = Kernel(places_kernel)
_names = Kernel(names_kernel)
_extremes = Kernel(extremes_kernel)
_values = Kernel(values_kernel)


def runs_of_labels(labels):
    """Cut labels into runs."""
    xp = library_of(labels)
    height, width = labels.shape
    words = width // WORD + 1
    bits = xp.empty((2, height, words), np.uint32)
    rows = xp.zeros(height + 1, np.int64)
    names, first, last = views(labels, *bits.view(np.uint8))
    _mark[over_lines(height, first.shape[1])](names, first, last)
    begins, ends, counts = views(*bits, rows)
    _count[over_list(height)](begins, counts)
    rows = xp.cumsum(rows)
    runs = int(rows[-1])
    edges = xp.full(2 * runs, width, np.int32)  # what no mark ends, the row does
    ids = xp.empty(runs, labels.dtype)
    if runs > 0:
        starts, places, found = views(rows, edges, ids)
        _places[over_list(height)](begins, starts, 0, places)
        _places[over_list(height)](ends, starts, 1, places)
        _names[over_list(height)](names, starts, places, found)
    return rows, edges, ids


def object_extremes(image, rows, edges, ids, count):
    """Lowest and highest value of every object; NaN if it holds one."""
    xp = library_of(image)
    keys = xp.empty((2, count + 1), np.int32)
    keys[0], keys[1] = _INFINITE, _MINUS_INFINITE
    bits = xp.empty((2, count + 1), np.int32)
    if len(ids) > 0:
        arrays = views(image.view(np.int32), rows, edges, ids, *keys)
        _extremes[over_lines(*image.shape)](*arrays)
    _values[over_list(count + 1)](*views(*keys, *bits))
    low, high = bits.view(np.float32)
    return low, high
