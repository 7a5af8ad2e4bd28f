"""Histograms of all objects of a mask, of 256 bins between each object's own extremes, as tables of a labels pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.arrays import namespace_of, to_host
from fastseg.arrays.labels import Runs
from fastseg.tiling import Block, Table
from fastseg.tiling.statistics import BINS
from fastseg.types import Array


@dataclass(frozen=True)
class ObjectHistograms:
    """The bins of each object that hold voxels, in arrays on the device of the image.

    Attributes
    ----------
    first : array of int64, shape (count + 1,)
        Where the bins of each object begin.
    filled : array of int32, shape (count + 1,)
        How many of its bins hold voxels; object 0 has none.
    bins : array of uint8
        Their numbers, increasing in each object.
    counts : array of int32 or int64
        Their voxels.
    """

    first: Array
    filled: Array
    bins: Array
    counts: Array

    def on_host(self) -> ObjectHistograms:
        """The same on the host."""
        return ObjectHistograms(*map(to_host, (self.first, self.filled, self.bins, self.counts)))

    def __reduce__(self) -> tuple[Any, ...]:
        # tasks of other processes hand them on through the host
        return ObjectHistograms, tuple(map(to_host, (self.first, self.filled, self.bins, self.counts)))

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the entries in `bins` and `counts`, and the object of each, object by object; on the host."""
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
    for numbers, on_device in held:
        found = on_device.on_host()
        places, objects = found.entries()
        keys.append(numbers[objects] * BINS + found.bins[places])
        counts.append(found.counts[places].astype(np.int64))
    key = np.concatenate(keys)
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    total = np.add.reduceat(np.concatenate(counts)[order], starts) if len(starts) else np.zeros(0, np.int64)
    return _of_keys(key[starts], total, count)


def _rows(array: Array) -> Array:
    return array.reshape(-1, array.shape[-1])


def _runs_of(block: Block, ids: Array) -> tuple[Array, ...]:
    return tuple(block.ns.kernel("object_runs").runs_of_labels(_rows(ids)))


def _extremes(block: Block, runs: tuple[Array, ...], count: int) -> np.ndarray:
    low, high = block.ns.kernel("object_runs").object_extremes(_rows(block.arrays[0]), *runs, count)
    return np.stack([to_host(low), -to_host(high)], axis=1)


def _extremes_of_labels(block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]) -> np.ndarray:
    return _extremes(block, _runs_of(block, ids), count)


def _extremes_of_runs(block: Block, runs: Runs) -> np.ndarray:
    return _extremes(block, (runs.rows, runs.edges, runs.ids), runs.count)


def extremes_of(tables: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of every object, from the table "extremes"."""
    return tables["extremes"][:, 0].copy(), -tables["extremes"][:, 1]


def _histograms(block: Block, runs: tuple[Array, ...], tables: Mapping[str, np.ndarray]) -> ObjectHistograms:
    rows = _rows(block.arrays[0])
    return ObjectHistograms(*block.ns.kernel("thresholds").histograms(rows, *runs, *extremes_of(tables)))


def _histograms_of_labels(
    block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]
) -> ObjectHistograms:
    return _histograms(block, _runs_of(block, ids), tables)


def _histograms_of_runs(block: Block, runs: Runs, tables: Mapping[str, np.ndarray]) -> ObjectHistograms:
    return _histograms(block, (runs.rows, runs.edges, runs.ids), tables)


def without_small(tables: Mapping[str, np.ndarray], params: Any) -> dict[str, np.ndarray]:
    """The tables where objects below ``params.min_size`` voxels are of one value, infinity: they have no histogram."""
    extremes = tables["extremes"].copy()
    extremes[tables["size"] < params.min_size] = (np.inf, -np.inf)
    return {**tables, "extremes": extremes}


def _large_of_labels(
    block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]
) -> ObjectHistograms:
    return _histograms_of_labels(block, ids, count, without_small(tables, block.params))


def _large_of_runs(block: Block, runs: Runs, tables: Mapping[str, np.ndarray]) -> ObjectHistograms:
    return _histograms_of_runs(block, runs, without_small(tables, block.params))


def otsu_of_objects(low: np.ndarray, high: np.ndarray, histograms: ObjectHistograms) -> np.ndarray:
    """Otsu's threshold of every object, (count + 1,) float32.

    That of an object of one value is this value, of one with NaN or infinite voxels NaN, and entry 0 is infinity.
    """
    parts = histograms.first, histograms.filled, histograms.bins, histograms.counts
    return to_host(namespace_of(*parts).kernel("thresholds").otsu(*parts, low, high))


EXTREMES = Table(_extremes_of_labels, "minimum", np.inf, runs=_extremes_of_runs)
"""Lowest value of every object, and minus the highest one, so that both are merged by the minimum; float32."""

HISTOGRAMS = Table(_histograms_of_labels, merge=merge, runs_with=_histograms_of_runs)
"""Histogram of every object; the table "extremes" comes before it."""

LARGE_HISTOGRAMS = Table(_large_of_labels, merge=merge, runs_with=_large_of_runs)
"""The same of objects of at least ``params.min_size`` voxels; the table "size" comes before it, too."""
