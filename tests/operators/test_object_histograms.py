"""Histograms and Otsu thresholds of objects against the array code, and in bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastseg.arrays import Device, namespace_for
from fastseg.arrays.labels import Runs, find_runs
from fastseg.kernels.cpu import thresholds
from fastseg.operators import object_otsu_threshold
from fastseg.operators.object_histograms import (
    EXTREMES,
    HISTOGRAMS,
    ObjectHistograms,
    extremes_of,
    merge,
    otsu_of_objects,
)
from fastseg.operators.thresholds import otsu_of_counts
from fastseg.tiling.block import Block, Place
from fastseg.tiling.statistics import centres_of
from fastseg.types import Box
from tests.kernels.test_statistics import KINDS, values_of

NS = namespace_for(Device("cpu"))


def block_of(image: np.ndarray) -> Block:
    box = Box((0,) * image.ndim, image.shape)
    return Block((image,), (), None, Place(box, box, image.shape), NS)


def dense(found: ObjectHistograms) -> np.ndarray:
    table = np.zeros((len(found.filled), 256), np.int64)
    places, objects = found.entries()
    np.add.at(table, (objects, found.bins[places].astype(int)), found.counts[places])
    return table


def object_edges(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Histogram edges of every object between its own extremes, (objects, 257) float32."""
    low, high = low.astype(np.float64), high.astype(np.float64)
    single = low == high
    low, high = low - 0.5 * single, high + 0.5 * single
    # as numpy.linspace, whose arithmetic on rows depends on whether any row is constant
    edges = low[:, None] + np.arange(257.0) * ((high - low) / 256)[:, None]
    edges[:, -1] = high
    return edges.astype(np.float32)


def counted(image: np.ndarray, ids: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """All bins of all objects by array code."""
    low, high = low.copy(), high.copy()
    plain = np.isfinite(low) & np.isfinite(high) & (low < high)
    plain[0] = False
    low[~plain] = high[~plain] = 0
    inside = plain[ids]
    rows, values = ids[inside].astype(np.int64), image[inside]
    edges = object_edges(low, high)
    first, last = edges[rows, 0].astype(np.float64), edges[rows, 256].astype(np.float64)
    bins = np.clip(((values - first) * (256 / (last - first))).astype(np.int32), 0, 255)
    bins -= values < edges[rows, bins]
    bins += (values >= edges[rows, bins + 1]) & (bins < 255)
    return np.bincount(rows * 256 + bins, minlength=len(low) * 256).reshape(len(low), 256)


def extreme_by_array_code(image: np.ndarray, ids: np.ndarray, count: int, ufunc: np.ufunc) -> np.ndarray:
    """Of every object, by array code."""
    found = np.full(count + 1, np.inf if ufunc is np.minimum else -np.inf, np.float32)
    with np.errstate(invalid="ignore"):  # NaN stays, whichever comes first
        ufunc.at(found, ids[ids > 0], image[ids > 0])
    return found


def thresholds_by_array_code(low: np.ndarray, high: np.ndarray, table: np.ndarray) -> np.ndarray:
    """As numpy computes them on tables of all bins."""
    found = np.full(len(low), np.inf, np.float32)
    for k in range(1, len(low)):
        if low[k] == high[k]:
            found[k] = low[k]
        elif not np.isfinite([low[k], high[k]]).all():
            found[k] = np.nan
        else:
            centres = centres_of(object_edges(low[k : k + 1], high[k : k + 1]))
            found[k] = otsu_of_counts(table[k : k + 1], centres)[0]
    return found


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = tuple(draw(st.integers(1, n)) for n in (4, 9, 60)[-draw(st.integers(2, 3)) :])
    image = values_of(draw(st.sampled_from(KINDS)), shape, draw(st.integers(0, 99)))
    if draw(st.integers(0, 5)) == 0:
        image.flat[draw(st.integers(0, image.size - 1))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    mask = np.random.default_rng(draw(st.integers(0, 99))).random(shape) < draw(
        st.sampled_from([0.1, 0.6, 1])
    )
    return image, mask


def tables_of(block: Block, runs: Runs) -> tuple[dict[str, np.ndarray], ObjectHistograms]:
    assert EXTREMES.runs is not None
    assert HISTOGRAMS.runs_with is not None
    tables = {"extremes": EXTREMES.runs(block, runs)}
    return tables, HISTOGRAMS.runs_with(block, runs, tables)


@pytest.mark.parametrize("pieces", [False, True])
@given(case=cases())
@settings(max_examples=50)
def test_all_forms_agree(pieces: bool, case: tuple[np.ndarray, np.ndarray]) -> None:
    kernel = NS.kernel("thresholds")
    image, mask = case
    block, runs = block_of(image), find_runs(mask, 1, False)
    ids = runs.labels()
    with pytest.MonkeyPatch.context() as patch:
        if pieces:  # nearly all objects are cut into several
            patch.setattr(kernel, "_PIECE", 3)
        tables, found = tables_of(block, runs)
    np.testing.assert_array_equal(tables["extremes"], EXTREMES.chunk(block, ids, runs.count, {}))
    low, high = extremes_of(tables)
    for got, ufunc in ((low, np.minimum), (high, np.maximum)):
        np.testing.assert_array_equal(got, extreme_by_array_code(image, ids, runs.count, ufunc))
    table = dense(found)
    np.testing.assert_array_equal(table, counted(image, ids, low, high))
    np.testing.assert_array_equal(table, dense(HISTOGRAMS.chunk(block, ids, runs.count, tables)))
    thresholds = otsu_of_objects(low, high, found)
    expected = thresholds_by_array_code(low, high, table)
    np.testing.assert_array_equal(thresholds, expected)


@given(cases(), st.integers(1, 50))
def test_histograms_of_tiles_are_merged(case: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    image, mask = case
    runs = find_runs(mask, 1, False)
    tables, whole = tables_of(block_of(image), runs)
    cut = min(cut, image.shape[-1])
    parts = []
    for columns in [slice(0, cut), slice(cut, None)][: 1 if cut == image.shape[-1] else 2]:
        ids = np.ascontiguousarray(runs.labels()[..., columns])
        numbers, local = np.unique(np.append(ids.ravel(), 0), return_inverse=True)
        local = local[:-1].reshape(ids.shape).astype(np.int32)
        rows = {name: table[numbers] for name, table in tables.items()}
        part = np.ascontiguousarray(image[..., columns])
        parts.append((numbers, HISTOGRAMS.chunk(block_of(part), local, len(numbers) - 1, rows)))
    merged = merge(runs.count, iter(parts))
    np.testing.assert_array_equal(dense(merged), dense(whole))
    expected = otsu_of_objects(*extremes_of(tables), whole)
    np.testing.assert_array_equal(otsu_of_objects(*extremes_of(tables), merged), expected)


def test_an_object_with_a_voxel_that_is_not_finite_is_dropped() -> None:
    image = np.random.default_rng(1).random((3, 8, 20), np.float32)
    mask = np.zeros(image.shape, bool)
    mask[:, :, :5] = mask[:, :, 8:12] = mask[:, :, 14:] = True
    image[1, 1, 1], image[0, 0, 9] = np.nan, np.inf
    found = object_otsu_threshold(image, mask)
    assert not found[:, :, :13].any()
    assert found[:, :, 14:].any()


def test_many_small_objects_take_little_memory() -> None:
    image = np.random.default_rng(2).random((40, 100, 100), np.float32)
    mask = np.zeros(image.shape, bool)
    mask[::2, ::2, ::4] = mask[::2, ::2, 1::4] = True
    object_otsu_threshold(image[:4], mask[:4])
    tracemalloc.start()
    object_otsu_threshold(image, mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * image.size  # 25 000 tables of 256 int32 would take 64 bytes a voxel


def test_counts_beyond_32_bits_are_kept() -> None:
    most = 2**31 - 1
    owners, first, filled = np.array([0, 1, 1, 2]), np.array([0, 0, 3, 6]), np.array([0, 3, 2, 1], np.int32)
    bins = np.array([1, 4, 9, 4, 200, 0, 7], np.uint8)
    kept = np.array([5, most, 6, most, 8, 0, 3], np.int32)
    found = ObjectHistograms(*thresholds._joined(owners, first, filled, bins, kept))
    assert found.counts.dtype == np.int64
    table = dense(found)
    assert {k: int(table[1, k]) for k in np.flatnonzero(table[1])} == {1: 5, 4: 2 * most, 9: 6, 200: 8}
    assert table[2, 7] == 3
    low, high = np.zeros(3, np.float32), np.array([0, 1, 1], np.float32)
    expected = otsu_of_counts(table[1], centres_of(object_edges(low, high)[1]))
    assert otsu_of_objects(low, high, found)[1] == expected
