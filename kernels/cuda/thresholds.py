"""Histograms and Otsu thresholds of many objects; see `fastseg.kernels.cpu.thresholds`.

One thread a voxel finds its run, and thereby its object, by bisection, and counts in the object's row of a table by an
integer atomic: sums of integers do not depend on the order of threads. The table has 256 counters an object and is
filled for so many objects at a time as fit into `_TABLE`; then one thread an object keeps the bins that hold voxels.
Edges of bins and Otsu's sums are float64, as on the CPU, operation by operation (`exact`): a voxel costs five of them,
so that cards which compute them at a 64th of the rate of float32 do so at about the speed of their memory.

Bytes moved a voxel: 4 inside objects, and the counter of its bin, which mostly lies in the cache; for every object 2
KiB to clear, read and write its row of the table. Otsu reads 13 bytes a filled bin, twice, and writes 8.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.exact import product, total
from fastseg.kernels.cuda.grids import line_place, over_lines, over_list
from fastseg.kernels.cuda.launch import Kernel, device
from fastseg.kernels.cuda.memory import index_type, library_of, nothing, views
from fastseg.kernels.voxel import runs as voxel

run_at = device(voxel.run_at)

_BINS = 256
_TABLE = 1 << 16
"""Objects whose counters are held at a time: 64 MiB, twice as much where one may need 64 bits."""
_TWO = np.float32(2)
_LARGEST = np.float32(3.4028234663852886e38)


@cuda.jit(device=True)
def edge(low, high, step, number):
    """Edge of a bin: equally spaced in float64, rounded to float32."""
    return np.float32(high if number == _BINS else total(low, product(np.float64(number), step)))


@cuda.jit(device=True)
def centre(low, high, step, number):
    """Centre of a bin, float32."""
    a, b = edge(low, high, step, number), edge(low, high, step, number + 1)
    both = np.float32(b + a)
    if abs(both) <= _LARGEST:
        return np.float32(both / _TWO)
    return np.float32(np.float32(b / _TWO) + np.float32(a / _TWO))


@cuda.jit(device=True)
def has_bins(low, high):
    """Whether an object has a histogram: its extremes are finite and apart."""
    return abs(low) <= _LARGEST and abs(high) <= _LARGEST and low < high


@cuda.jit(device=True)
def bin_of(value, low, high):
    """The bin of a value between its object's extremes: estimated by one product, corrected by the edges."""
    step = (high - low) / _BINS
    scale = _BINS / (high - low)
    place = min(max(np.int32((np.float64(value) - low) * scale), 0), _BINS - 1)
    if value < edge(low, high, step, place):
        return place - 1
    if place < _BINS - 1 and value >= edge(low, high, step, place + 1):
        return place + 1
    return place


def sizes_kernel(rows, edges, ids, sizes):
    """One thread a row: voxels of every object."""
    row = cuda.grid(1)
    if row < rows.size - 1:
        before = np.int64(0)
        voxels = np.int64(0)
        for run in range(rows[row], rows[row + 1]):
            number = np.int64(ids[run])
            if number != before:
                if voxels > 0:
                    cuda.atomic.add(sizes, before, voxels)
                before = number
                voxels = np.int64(0)
            voxels += edges[2 * run + 1] - edges[2 * run]
        if voxels > 0:
            cuda.atomic.add(sizes, before, voxels)


def count_kernel(image, rows, edges, ids, low, high, first, table):
    """One thread a voxel; rows of the table are for the objects from `first` on."""
    row, x = line_place()
    if row < image.shape[0] and x < image.shape[1]:
        run = run_at(rows, edges, row, x)
        if run >= 0:
            number = np.int64(ids[run])
            if number >= first and number < first + table.shape[0]:
                a, b = low[number], high[number]
                if has_bins(a, b):
                    place = bin_of(image[row, x], np.float64(a), np.float64(b))
                    cuda.atomic.add(table, (number - first, place), 1)


def keep_kernel(table, object_from, starts, filled, bins, kept):
    """One thread an object: the bins that hold voxels."""
    k = cuda.grid(1)
    if k < table.shape[0]:
        number = object_from + k
        at = starts[number]
        for place in range(_BINS):
            voxels = table[k, place]
            if voxels != 0:
                bins[at] = place
                kept[at] = voxels
                at += 1
        filled[number] = at - starts[number]


def otsu_kernel(first, filled, bins, counts, low, high, above, found):
    """One thread an object; `above` is room for the weight of each filled bin and those above it."""
    k = cuda.grid(1)
    if k >= 1 and k < found.size:
        if low[k] == high[k]:
            found[k] = low[k]
        elif not has_bins(low[k], high[k]):
            found[k] = np.float32(np.nan)
        else:
            a, b = np.float64(low[k]), np.float64(high[k])
            step = (b - a) / _BINS
            start, stop = first[k], first[k] + filled[k]
            voxels, weight = np.int64(0), 0.0
            for i in range(stop - 1, start - 1, -1):
                voxels += counts[i]
                middle = np.float64(centre(a, b, step, np.int32(bins[i])))
                weight = total(weight, product(np.float64(counts[i]), middle))
                above[i] = weight
            below, weight = np.int64(0), 0.0
            best, best_bin = 0.0, np.int32(0)
            for i in range(start, stop - 1):
                below += counts[i]
                middle = np.float64(centre(a, b, step, np.int32(bins[i])))
                weight = total(weight, product(np.float64(counts[i]), middle))
                lower, upper = np.float64(below), np.float64(voxels - below)
                apart = weight / lower - above[i + 1] / upper
                split = lower * upper * (apart * apart)
                if split > best:
                    best, best_bin = split, np.int32(bins[i])
            found[k] = centre(a, b, step, best_bin)


_sizes = Kernel(sizes_kernel)
_count = Kernel(count_kernel)
_keep = Kernel(keep_kernel)
_otsu = Kernel(otsu_kernel)


def histograms(image, rows, edges, ids, low, high):
    """Histogram of every object in 256 bins between its extremes; none where these are equal or not finite."""
    xp = library_of(image)
    count = len(low) - 1
    sizes, filled = xp.zeros(count + 1, np.int64), xp.zeros(count + 1, np.int32)
    extremes = xp.asarray(low), xp.asarray(high)
    room = sizes
    if len(ids) > 0:
        runs = views(rows, edges, ids)
        _sizes[over_list(len(rows) - 1)](*runs, views(sizes))
        room = xp.minimum(sizes, _BINS)
    first = xp.cumsum(room) - room
    entries = int(room.sum())
    counter = index_type(image.size)
    bins, kept = xp.empty(entries, np.uint8), xp.empty(entries, counter)
    if entries == 0:
        return first, filled, bins, kept
    values, a, b, *target = views(image, *extremes, first, filled, bins, kept)
    for start in range(1, count + 1, _TABLE):
        table = xp.zeros((min(_TABLE, count + 1 - start), _BINS), counter)
        counters, begin = views(table), np.int64(start)
        _count[over_lines(*image.shape)](values, *runs, a, b, begin, counters)
        _keep[over_list(len(table))](counters, begin, *target)
    return first, filled, bins, kept


def otsu(first, filled, bins, counts, low, high):
    """Otsu's threshold of every object; of an object of one value, that value; NaN if the extremes are not finite."""
    xp = library_of(first)
    found = xp.full(len(low), np.inf, np.float32)
    extremes = xp.asarray(low), xp.asarray(high)
    if len(bins) == 0:
        bins, counts = nothing(first, np.uint8), nothing(first, np.int32)
    arrays = views(first, filled, bins, counts, *extremes, xp.empty(len(bins), np.float64), found)
    _otsu[over_list(len(low))](*arrays)
    return found
