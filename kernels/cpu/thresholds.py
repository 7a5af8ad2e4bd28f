"""Histograms and Otsu thresholds of many objects, in parallel over objects.

The objects come as runs: stretches of voxels along x, each with the number of its object. The image is read once, in
scan order, and the bin of each voxel is written, as a byte, to where its object gathers them. Each object is then a
loop over its own bytes, with 256 counters that stay in the cache of a core. Only bins that hold voxels are kept, never
more than the object has voxels, so that 100 000 small objects take little memory.

Otsu, IEEE Trans. Systems, Man, and Cybernetics 9(1), 1979.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels import threads
from fastseg.kernels.cpu.bits import lowest_bit
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import fitting, spread

__all__ = ["histograms", "otsu"]

_BINS = 256
_ONE = np.int32(1)
_LAST = np.int32(_BINS - 1)
_TWO = np.float32(2)
_WORD, _IN_WORD, _BIT = np.uint64(6), np.uint64(63), np.uint64(1)
_HALF_OF_LARGEST = float(np.finfo(np.float32).max) / 2
_PIECE = 1 << 17
"""Voxels that are counted together; larger objects are shared out among the threads."""
_SPARSE = 64
"""Voxels of the image for each object that are worth another table of where its voxels go."""
_FEW = 256
"""Voxels up to which, itself left out, the counters of an object are bytes."""
_WORK_OF_BIN = 4
"""A bin costs about as much as this many voxels of a simple loop."""
_TASKS = 8
"""Tasks a thread: objects come in all sizes."""


@inner
def _edge(low: float, high: float, step: float, number: int) -> np.float32:
    """Edge of a bin: equally spaced in float64, rounded to float32."""
    return np.float32(high if number == _BINS else low + number * step)


@inner
def _centre(low: float, high: float, step: float, number: int) -> np.float32:
    a, b = _edge(low, high, step, number), _edge(low, high, step, number + 1)
    total = np.float32(b + a)
    if np.isfinite(total):
        return np.float32(total / np.float32(2))
    return np.float32(np.float32(b / np.float32(2)) + np.float32(a / np.float32(2)))


@inner
def _bins_of(values: np.ndarray, low: float, high: float, bins: np.ndarray) -> None:
    """The bin of each value of a run within its object's extremes: estimated by one product, corrected by the edges."""
    step = (high - low) / _BINS
    scale = _BINS / (high - low)
    for x in range(values.shape[0]):
        value = values[x]
        place = min(np.int32((np.float64(value) - low) * scale), _LAST)
        down = value < np.float32(low + place * step)
        up = (value >= np.float32(low + (place + _ONE) * step)) & (place < _LAST)
        bins[x] = np.uint8(place + up - down)


@compiled
def _sizes(
    begin: int, end: int, rows: np.ndarray, edges: np.ndarray, ids: np.ndarray, sizes: np.ndarray
) -> None:
    """Count the voxels of every object in the rows of each share."""
    shares, height = sizes.shape[0], rows.shape[0] - 1
    for share in range(begin, end):
        own = sizes[share]
        for run in range(rows[share * height // shares], rows[(share + 1) * height // shares]):
            own[ids[run]] += edges[2 * run + 1] - edges[2 * run]


@compiled
def _gather(
    begin: int,
    end: int,
    image: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    places: np.ndarray,
    gathered: np.ndarray,
) -> None:
    """Write the bins of the voxels of every object, from where those of each share's rows go; `places` moves on."""
    shares, height = places.shape[0], image.shape[0]
    for share in range(begin, end):
        place = places[share]
        for row in range(share * height // shares, (share + 1) * height // shares):
            line = image[row]
            for run in range(rows[row], rows[row + 1]):
                k = ids[run]
                a, b = np.float64(low[k]), np.float64(high[k])
                if a < b:
                    first, last = edges[2 * run], edges[2 * run + 1]
                    at = place[k]
                    place[k] = at + last - first
                    _bins_of(line[first:last], a, b, gathered[at : place[k]])


@inner
def _keep(counts: np.ndarray, words: np.ndarray, first: int, bins: np.ndarray, kept: np.ndarray) -> int:
    """Write the bins that hold voxels from `first` on, and clear them; gives how many. `words` views the counts."""
    at = first
    for j in range(words.shape[0]):
        if words[j] != 0:
            for k in (2 * j, 2 * j + 1):
                if counts[k] != 0:
                    bins[at] = k
                    kept[at] = counts[k]
                    at += 1
            words[j] = 0
    return at - first


@inner
def _add(bins: np.ndarray, counts: np.ndarray) -> None:
    for x in range(bins.shape[0]):
        counts[bins[x]] += 1


@inner
def _keep_few(
    own: np.ndarray, counts: np.ndarray, marks: np.ndarray, first: int, bins: np.ndarray, kept: np.ndarray
) -> int:
    """Count a few voxels and do as `_keep` does, with a bit for each bin that holds some: no other is looked at."""
    for x in range(own.shape[0]):
        number = np.uint64(own[x])
        counts[number] += 1
        marks[number >> _WORD] |= _BIT << (number & _IN_WORD)
    at = first
    for j in range(marks.shape[0]):
        rest = marks[j]
        marks[j] = 0
        while rest != 0:
            k = 64 * j + lowest_bit(rest)
            rest &= rest - _BIT
            bins[at] = k
            kept[at] = counts[k]
            counts[k] = 0
            at += 1
    return at - first


@compiled
def _count(
    begin: int,
    end: int,
    gathered: np.ndarray,
    starts: np.ndarray,
    cuts: np.ndarray,
    counters: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    first: np.ndarray,
    filled: np.ndarray,
    bins: np.ndarray,
    kept: np.ndarray,
) -> None:
    """Count the bins of pieces of objects; piece k is ``gathered[starts[k]:starts[k + 1]]``.

    Each task has `counters` of its own, all 0: of every bin with 32 bits, the same as 64-bit words, of every bin with 8
    bits for small objects, and a bit for each bin.
    """
    for task in range(begin, end):
        counts, words = counters[0][task], counters[1][task]
        few, marks = counters[2][task], counters[3][task]
        for k in range(cuts[task], cuts[task + 1]):
            own = gathered[starts[k] : starts[k + 1]]
            if own.shape[0] == 0:
                continue
            if own.shape[0] < _FEW:
                filled[k] = _keep_few(own, few, marks, first[k], bins, kept)
            else:
                _add(own, counts)
                filled[k] = _keep(counts, words, first[k], bins, kept)


def _pieces(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Objects cut into pieces that a thread counts: the object of each, and its voxels."""
    parts = np.maximum(-(-sizes // _PIECE), 1)
    owners = np.repeat(np.arange(len(sizes)), parts)
    number = np.arange(len(owners)) - (np.cumsum(parts) - parts)[owners]
    return owners, np.minimum(sizes[owners] - number * _PIECE, _PIECE)


def _histograms(
    image: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    has_bins = np.isfinite(low) & np.isfinite(high) & (low < high)
    low, high = np.where(has_bins, low, np.float32(0)), np.where(has_bins, high, np.float32(0))
    shares = max(1, min(threads.count(), image.size // (_SPARSE * len(low))))
    sizes = np.zeros((shares, len(low)), np.int64)
    spread(_sizes, shares, rows, edges, ids, sizes)
    total = sizes.sum(axis=0)
    sizes[:, ~has_bins] = 0
    counted = sizes.sum(axis=0)
    ends = np.cumsum(counted)
    places = np.cumsum(sizes, axis=0) - sizes + (ends - counted)
    gathered = np.empty(ends[-1], np.uint8)
    spread(_gather, shares, image, rows, edges, ids, low, high, places, gathered)

    owners, size = _pieces(counted)
    starts = np.zeros(len(size) + 1, np.int64)
    np.cumsum(size, out=starts[1:])
    room = np.minimum(np.where(size > 0, size, total[owners]), _BINS)
    first = np.cumsum(room) - room
    bins, kept = np.empty(room.sum(), np.uint8), np.empty(room.sum(), np.int32)
    filled = np.zeros(len(size), np.int32)
    tasks = min(_TASKS * threads.count(), len(size))
    cuts = np.searchsorted(starts, np.arange(tasks + 1) * (starts[-1] / tasks)).astype(np.int64)
    cuts[0], cuts[-1] = 0, len(size)
    counts, few = np.zeros((tasks, _BINS), np.int32), np.zeros((tasks, _BINS), np.uint8)
    counters = counts, counts.view(np.int64), few, np.zeros((tasks, _BINS // 64), np.uint64)
    spread(_count, tasks, gathered, starts, cuts, counters, first, filled, bins, kept)
    return (
        _joined(owners, first, filled, bins, kept) if len(owners) > len(low) else (first, filled, bins, kept)
    )


def _joined(
    owners: np.ndarray, first: np.ndarray, filled: np.ndarray, bins: np.ndarray, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The histograms of objects from those of their pieces, in the place of the first piece.

    A piece has few voxels; what 32 bits do not hold comes in 64.
    """
    begins = np.flatnonzero(np.diff(owners, prepend=-1))
    ends = np.append(begins[1:], len(owners))
    found = filled[begins]
    for k in np.flatnonzero(ends - begins > 1):
        total = np.zeros(_BINS, np.int64)
        for piece in range(begins[k], ends[k]):
            here = slice(first[piece], first[piece] + filled[piece])
            total[bins[here]] += kept[here]
        numbers = np.flatnonzero(total)
        here = slice(first[begins[k]], first[begins[k]] + len(numbers))
        if total.max() > np.iinfo(kept.dtype).max:
            kept = kept.astype(np.int64)
        bins[here], kept[here], found[k] = numbers, total[numbers], len(numbers)
    return first[begins], found, bins, kept


def histograms(
    image: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Histogram of every object in 256 bins between its extremes; none where these are equal or not finite.

    Parameters
    ----------
    image : ndarray of float32, shape (rows, X), C-contiguous
    rows, edges, ids : ndarray
        Runs of the objects, see `object_runs.runs_of_labels`.
    low, high : ndarray of float32, shape (count + 1,)
        Extremes of every object; entry 0 has no meaning.

    Returns
    -------
    first : ndarray of int64, shape (count + 1,)
        Where the bins of each object begin.
    filled : ndarray of int32, shape (count + 1,)
        How many of its bins hold voxels.
    bins : ndarray of uint8
        Their numbers, increasing in each object.
    counts : ndarray of int32, or int64 where an object has more voxels in a bin than that holds
        Their voxels.
    """
    with fitting(_WORK_OF_BIN * image.size):
        return _histograms(image, rows, edges, ids, low, high)


@inner
def _has_bins(low: float, high: float) -> bool:
    return np.isfinite(low) and np.isfinite(high) and low < high


@inner
def _best_split(
    bins: np.ndarray,
    counts: np.ndarray,
    low: float,
    high: float,
    scratch: np.ndarray,
) -> np.float32:
    """Centre of the bin that ends the lower class of the first best split.

    Empty bins split as the filled bin before them, so only filled ones are tried.
    """
    voxels, weights, splits = (
        scratch[0],
        scratch[1],
        scratch[2],
    )  # unpacked they would be taken as not contiguous
    counts_below, sums_below, counts_above, sums_above = scratch[3], scratch[4], scratch[5], scratch[6]
    step = (high - low) / _BINS
    size = bins.shape[0]
    if abs(low) < _HALF_OF_LARGEST and abs(high) < _HALF_OF_LARGEST:
        # Centres without a branch, but for that of the last bin, whose upper edge is `high`.
        for i in range(size):
            edge, next_edge = np.float32(low + bins[i] * step), np.float32(low + (bins[i] + _ONE) * step)
            voxels[i] = np.float64(counts[i])
            weights[i] = voxels[i] * np.float64((next_edge + edge) / _TWO)
        weights[size - 1] = voxels[size - 1] * np.float64(_centre(low, high, step, np.int64(bins[size - 1])))
    else:
        for i in range(size):
            voxels[i] = np.float64(counts[i])
            weights[i] = voxels[i] * np.float64(_centre(low, high, step, np.int64(bins[i])))
    # Both sums are chains of additions that wait for each other: side by side they take the time of one.
    count_below, below, count_above, above = 0.0, 0.0, 0.0, 0.0
    for i in range(size - 1):
        j = size - 1 - i
        count_below += voxels[i]
        below += weights[i]
        count_above += voxels[j]
        above += weights[j]
        counts_below[i], sums_below[i] = count_below, below
        counts_above[j - 1], sums_above[j - 1] = count_above, above
    for i in range(size - 1):
        apart = sums_below[i] / counts_below[i] - sums_above[i] / counts_above[i]
        splits[i] = counts_below[i] * counts_above[i] * (apart * apart)
    best, best_bin = 0.0, np.int64(0)
    for i in range(size - 1):
        if splits[i] > best:
            best, best_bin = splits[i], np.int64(bins[i])
    return _centre(low, high, step, best_bin)


@compiled
def _otsu(
    begin: int,
    end: int,
    first: np.ndarray,
    filled: np.ndarray,
    bins: np.ndarray,
    counts: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    tasks: int,
    found: np.ndarray,
) -> None:
    objects = found.shape[0] - 1
    for task in range(begin, end):
        scratch = np.empty((7, _BINS))
        for k in range(1 + task * objects // tasks, 1 + (task + 1) * objects // tasks):
            a, b = np.float64(low[k]), np.float64(high[k])
            if a == b:
                found[k] = low[k]
            elif not _has_bins(a, b):
                found[k] = np.nan
            else:
                here = slice(first[k], first[k] + filled[k])
                found[k] = _best_split(bins[here], counts[here], a, b, scratch)


def otsu(
    first: np.ndarray,
    filled: np.ndarray,
    bins: np.ndarray,
    counts: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Otsu's threshold of every object; of an object of one value, that value; NaN if the extremes are not finite.

    Parameters
    ----------
    first, filled, bins, counts : ndarray
        See `histograms`.
    low, high : ndarray of float32, shape (count + 1,)
        Extremes of every object.

    Returns
    -------
    ndarray of float32, shape (count + 1,)
        Entry 0 is infinity.
    """
    found = np.full(len(low), np.inf, np.float32)
    tasks = max(1, min(_TASKS * threads.count(), len(low) - 1))
    with fitting(_WORK_OF_BIN * len(bins)):
        spread(_otsu, tasks, first, filled, bins, counts, low, high, tasks, found)
    return found
