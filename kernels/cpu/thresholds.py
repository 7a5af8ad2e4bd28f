"""Histograms and Otsu thresholds of many objects, in parallel over objects.

The objects come as runs: stretches of voxels along x, each with the number of its object. Runs are sorted by object,
and each object is then a loop over its own voxels, with 256 counters that stay in the cache of a core. Only bins that
hold voxels are kept, never more than the object has voxels, so that 100 000 small objects take little memory.

Otsu, IEEE Trans. Systems, Man, and Cybernetics 9(1), 1979.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels import threads
from fastseg.kernels.cpu.object_runs import sort_runs
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import fitting, spread

__all__ = ["histograms", "otsu"]

_BINS = 256
_LARGE = 1 << 17
"""Voxels from which on an object is shared out among the threads."""
_TABLE = 64
"""Voxels from which on a table of the edges pays."""
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
def _add_run(
    values: np.ndarray, low: float, high: float, table: np.ndarray, tabled: bool, counts: np.ndarray
) -> None:
    """Count the values of a run in the bins of its object: estimated by one product, corrected by the edges."""
    step = (high - low) / _BINS
    scale = _BINS / (high - low)
    for x in range(values.shape[0]):
        value = values[x]
        place = min(max(np.int32((np.float64(value) - low) * scale), 0), _BINS - 1)
        place -= value < (table[place] if tabled else _edge(low, high, step, place))
        place += place < _BINS - 1 and value >= (
            table[place + 1] if tabled else _edge(low, high, step, place + 1)
        )
        counts[place] += 1


@inner
def _fill_table(low: float, high: float, table: np.ndarray) -> None:
    step = (high - low) / _BINS
    for number in range(_BINS + 1):
        table[number] = _edge(low, high, step, number)


@inner
def _keep(counts: np.ndarray, words: np.ndarray, first: int, bins: np.ndarray, kept: np.ndarray) -> int:
    """Write the bins that hold voxels from `first` on, and clear them; gives how many. `words` views the counts."""
    at = first
    each = counts.shape[0] // words.shape[0]
    for j in range(words.shape[0]):
        if words[j] != 0:
            for k in range(each * j, each * j + each):
                if counts[k] != 0:
                    bins[at] = k
                    kept[at] = counts[k]
                    at += 1
            words[j] = 0
    return at - first


@compiled
def _has_bins(low: float, high: float) -> bool:
    return np.isfinite(low) and np.isfinite(high) and low < high


@compiled
def _small(
    begin: int,
    end: int,
    image: np.ndarray,
    starts: np.ndarray,
    sizes: np.ndarray,
    begins: np.ndarray,
    lengths: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    cuts: np.ndarray,
    first: np.ndarray,
    filled: np.ndarray,
    bins: np.ndarray,
    kept: np.ndarray,
) -> None:
    for task in range(begin, end):
        counts = np.zeros(_BINS, np.int32)
        words = counts.view(np.int64)
        few = np.zeros(_BINS, np.uint8)  # a quarter of the counters to look through where they suffice
        few_words = few.view(np.int64)
        table = np.empty(_BINS + 1, np.float32)
        for k in range(cuts[task], cuts[task + 1]):
            a, b = np.float64(low[k]), np.float64(high[k])
            if sizes[k] > _LARGE or not _has_bins(a, b):
                continue
            tabled = sizes[k] >= _TABLE
            if tabled:
                _fill_table(a, b, table)
            if sizes[k] < _FEW:
                for run in range(starts[k], starts[k + 1]):
                    _add_run(image[begins[run] : begins[run] + lengths[run]], a, b, table, tabled, few)
                filled[k] = _keep(few, few_words, first[k], bins, kept)
                continue
            for run in range(starts[k], starts[k + 1]):
                _add_run(image[begins[run] : begins[run] + lengths[run]], a, b, table, tabled, counts)
            filled[k] = _keep(counts, words, first[k], bins, kept)


@compiled
def _large(
    begin: int,
    end: int,
    image: np.ndarray,
    begins: np.ndarray,
    lengths: np.ndarray,
    low: float,
    high: float,
    counts: np.ndarray,
) -> None:
    """Count the voxels of one object; `counts` has a row for every part of its runs."""
    shares, runs = counts.shape[0], begins.shape[0]
    for share in range(begin, end):
        table = np.empty(_BINS + 1, np.float32)
        _fill_table(low, high, table)
        own = counts[share]
        for run in range(share * runs // shares, (share + 1) * runs // shares):
            _add_run(image[begins[run] : begins[run] + lengths[run]], low, high, table, True, own)


def _histograms(
    image: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count = len(low) - 1
    starts, sizes = np.zeros(count + 2, np.int64), np.zeros(count + 1, np.int64)
    begins, lengths = np.empty(len(ids), np.int64), np.empty(len(ids), np.int32)
    sort_runs(rows, edges, ids, image.shape[1], starts, sizes, begins, lengths)
    room = np.minimum(sizes, _BINS)
    first = np.cumsum(room) - room
    bins, kept = np.empty(room.sum(), np.uint8), np.empty(room.sum(), np.int32)
    filled = np.zeros(count + 1, np.int32)
    shares = threads.count()
    work = np.cumsum(sizes)
    tasks = min(_TASKS * shares, count)
    cuts = np.searchsorted(work, np.arange(tasks + 1) * (work[-1] / max(tasks, 1))).astype(np.int64)
    cuts[0], cuts[-1] = 1, count + 1
    cuts = np.maximum(cuts, 1)
    flat = image.reshape(-1)
    spread(
        _small,
        len(cuts) - 1,
        flat,
        starts,
        sizes,
        begins,
        lengths,
        low,
        high,
        cuts,
        first,
        filled,
        bins,
        kept,
    )
    for k in np.flatnonzero(sizes > _LARGE):
        a, b = float(low[k]), float(high[k])
        if not _has_bins(a, b):
            continue
        parts = np.zeros((shares, _BINS), np.int32)
        runs = slice(int(starts[k]), int(starts[k + 1]))
        spread(_large, shares, flat, begins[runs], lengths[runs], a, b, parts)
        total = parts.sum(axis=0, dtype=np.int32)
        numbers = np.flatnonzero(total)
        here = slice(int(first[k]), int(first[k]) + len(numbers))
        bins[here], kept[here], filled[k] = numbers, total[numbers], len(numbers)
    return first, filled, bins, kept


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
    counts : ndarray of int32
        Their voxels.
    """
    with fitting(_WORK_OF_BIN * image.size):
        return _histograms(image, rows, edges, ids, low, high)


@inner
def _best_split(
    bins: np.ndarray,
    counts: np.ndarray,
    low: float,
    high: float,
    above: np.ndarray,
    weight_above: np.ndarray,
) -> np.float32:
    """Centre of the bin that ends the lower class of the first best split.

    Empty bins split as the filled bin before them, so only filled ones are tried.
    """
    step = (high - low) / _BINS
    last = bins.shape[0] - 1
    total, weight = 0.0, 0.0
    for i in range(last, -1, -1):
        total += np.float64(counts[i])
        weight += np.float64(counts[i]) * np.float64(_centre(low, high, step, bins[i]))
        above[i] = total
        weight_above[i] = weight
    total, weight = 0.0, 0.0
    best, best_bin = 0.0, 0
    for i in range(last):
        total += np.float64(counts[i])
        weight += np.float64(counts[i]) * np.float64(_centre(low, high, step, bins[i]))
        apart = weight / total - weight_above[i + 1] / above[i + 1]
        split = total * above[i + 1] * (apart * apart)
        if split > best:
            best, best_bin = split, np.int64(bins[i])
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
        above, weight_above = np.empty(_BINS), np.empty(_BINS)
        for k in range(1 + task * objects // tasks, 1 + (task + 1) * objects // tasks):
            a, b = np.float64(low[k]), np.float64(high[k])
            if a == b:
                found[k] = low[k]
            elif not _has_bins(a, b):
                found[k] = np.nan
            else:
                here = slice(first[k], first[k] + filled[k])
                found[k] = _best_split(bins[here], counts[here], a, b, above, weight_above)


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
