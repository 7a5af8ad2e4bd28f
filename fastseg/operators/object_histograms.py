"""Histograms of all objects of a mask, of 256 bins between each object's own extremes, as tables of a labels pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fastseg.arrays import Device, namespace_for, to_host
from fastseg.arrays.labels import Runs
from fastseg.tiling import Block, Table
from fastseg.tiling.statistics import BINS
from fastseg.types import Array


@dataclass(frozen=True)
class ObjectHistograms:
    """The bins of each object that hold voxels.

    Attributes
    ----------
    first : ndarray of int64, shape (count + 1,)
        Where the bins of each object begin.
    filled : ndarray of int32, shape (count + 1,)
        How many of its bins hold voxels; object 0 has none.
    bins : ndarray of uint8
        Their numbers, increasing in each object.
    counts : ndarray of int32 or int64
        Their voxels.
    """

    first: np.ndarray
    filled: np.ndarray
    bins: np.ndarray
    counts: np.ndarray

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the entries in `bins` and `counts`, and the object of each, object by object."""
        objects = np.repeat(np.arange(len(self.filled)), self.filled)
        before = np.cumsum(self.filled, dtype=np.int64) - self.filled
        return np.arange(len(objects)) - before[objects] + self.first[objects], objects


def _of_keys(keys: np.ndarray, counts: np.ndarray, count: int) -> ObjectHistograms:
    """From increasing keys ``object * 256 + bin`` and their voxels."""
    filled = np.bincount(keys // BINS, minlength=count + 1).astype(np.int32)
    first = np.cumsum(filled, dtype=np.int64) - filled
    return ObjectHistograms(first, filled, (keys % BINS).astype(np.uint8), counts)


def merge(count: int, parts: Iterable[tuple[np.ndarray, ObjectHistograms]]) -> ObjectHistograms:
    """The histograms of all tiles as those of all objects.

    Parameters
    ----------
    count : int
        Objects.
    parts : iterable of (ndarray of int64, ObjectHistograms)
        Final numbers of the objects of a tile, and their histograms.
    """
    held = list(parts)
    if len(held) == 1 and np.array_equal(held[0][0], np.arange(count + 1)):
        return held[0][1]
    keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for numbers, found in held:
        places, objects = found.entries()
        keys.append(numbers[objects] * BINS + found.bins[places])
        counts.append(found.counts[places].astype(np.int64))
    key = np.concatenate(keys)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    total = np.add.reduceat(np.concatenate(counts)[order], starts) if len(starts) else np.zeros(0, np.int64)
    return _of_keys(key[starts], total, count)


def _has_kernel(block: Block) -> bool:
    return not block.ns.on_gpu and block.arrays[0].dtype == np.float32


def _rows(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, array.shape[-1])


def _extremes_of(block: Block, runs: tuple[np.ndarray, ...], count: int) -> tuple[np.ndarray, np.ndarray]:
    low, high = block.ns.kernel("object_runs").object_extremes(_rows(block.arrays[0]), *runs, count)
    return low, high


def _minimum(block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]) -> Array:
    return _extreme(block, ids, count, "minimum", np.inf)


def _maximum(block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]) -> Array:
    return _extreme(block, ids, count, "maximum", -np.inf)


def _extreme(block: Block, ids: Array, count: int, ufunc: str, initial: float) -> Array:
    xp = block.ns.xp
    inside = ids > 0
    found = xp.full(count + 1, initial, np.float32)
    with np.errstate(invalid="ignore"):  # NaN stays, whichever comes first
        getattr(xp, ufunc).at(found, ids[inside], block.arrays[0][inside])
    return found


def _minimum_of_runs(block: Block, runs: Runs) -> np.ndarray:
    return _extremes_of(block, (runs.rows, runs.edges, runs.ids), runs.count)[0]


def _maximum_of_runs(block: Block, runs: Runs) -> np.ndarray:
    return _extremes_of(block, (runs.rows, runs.edges, runs.ids), runs.count)[1]


def object_edges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Histogram edges of every object between its own extremes, (objects, 257) float32."""
    low, high = low.astype(np.float64), high.astype(np.float64)
    single = low == high
    low, high = low - 0.5 * single, high + 0.5 * single
    # as numpy.linspace, whose arithmetic on rows depends on whether any row is constant
    edges = low[:, None] + np.arange(BINS + 1.0) * ((high - low) / BINS)[:, None]
    edges[:, -1] = high
    return edges.astype(np.float32)


def counted(block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]) -> ObjectHistograms:
    """Histograms of labels by array code: a table of all bins of all objects."""
    xp = block.ns.xp
    low, high = tables["low"].copy(), tables["high"].copy()
    plain = np.isfinite(low) & np.isfinite(high) & (low < high)
    plain[0] = False
    low[~plain] = high[~plain] = 0
    inside = xp.asarray(plain)[ids]
    rows, values = ids[inside].astype(np.int64), block.arrays[0][inside]
    edges = xp.asarray(object_edges(low, high))
    first, last = edges[rows, 0].astype(np.float64), edges[rows, BINS].astype(np.float64)
    bins = xp.clip(((values - first) * (BINS / (last - first))).astype(np.int32), 0, BINS - 1)
    bins -= values < edges[rows, bins]
    bins += (values >= edges[rows, bins + 1]) & (bins < BINS - 1)
    counts = to_host(xp.bincount(rows * BINS + bins, minlength=(count + 1) * BINS))
    keys = np.flatnonzero(counts)
    return _of_keys(keys, counts[keys].astype(np.int64), count)


def _histograms(block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]) -> ObjectHistograms:
    if not _has_kernel(block) or ids.size == 0:
        return counted(block, ids, count, tables)
    runs = block.ns.kernel("object_runs").runs_of_labels(_rows(ids))
    histograms = block.ns.kernel("thresholds").histograms
    return ObjectHistograms(*histograms(_rows(block.arrays[0]), *runs, tables["low"], tables["high"]))


def _histograms_of_runs(block: Block, runs: Runs, tables: Mapping[str, np.ndarray]) -> ObjectHistograms:
    found = block.ns.kernel("thresholds").histograms(
        _rows(block.arrays[0]), runs.rows, runs.edges, runs.ids, tables["low"], tables["high"]
    )
    return ObjectHistograms(*found)


def otsu_of_objects(low: np.ndarray, high: np.ndarray, histograms: ObjectHistograms) -> np.ndarray:
    """Otsu's threshold of every object, (count + 1,) float32.

    That of an object of one value is this value, of one with NaN or infinite voxels NaN, and entry 0 is infinity.
    """
    parts = histograms.first, histograms.filled, histograms.bins, histograms.counts
    return np.asarray(namespace_for(Device("cpu")).kernel("thresholds").otsu(*parts, low, high))


LOW = Table(_minimum, "minimum", np.inf, runs=_minimum_of_runs)
"""Lowest value of every object."""

HIGH = Table(_maximum, "maximum", -np.inf, runs=_maximum_of_runs)
"""Highest value of every object."""

HISTOGRAMS = Table(_histograms, merge=merge, runs_with=_histograms_of_runs)
"""Histogram of every object; the tables "low" and "high" come before it."""
