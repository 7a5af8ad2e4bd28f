"""Histograms and Otsu thresholds of objects against the array code, and in bounded memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastseg.arrays import Device, Namespace, namespace_for
from fastseg.arrays.labels import Runs, find_runs
from fastseg.operators import object_otsu_threshold
from fastseg.operators.object_histograms import (
    HIGH,
    HISTOGRAMS,
    LOW,
    ObjectHistograms,
    counted,
    merge,
    object_edges,
    otsu_of_objects,
)
from fastseg.operators.thresholds import otsu_of_counts
from fastseg.tiling.block import Block, Place
from fastseg.tiling.statistics import centres_of
from fastseg.types import Box
from tests.kernels.test_statistics import KINDS, values_of

NS = namespace_for(Device("cpu"))
ON_GPU = Namespace(NS.xp, NS.ndi, Device("cuda"))


def block_of(image: np.ndarray) -> Block:
    box = Box((0,) * image.ndim, image.shape)
    return Block((image,), (), None, Place(box, box, image.shape), NS)


def dense(found: ObjectHistograms) -> np.ndarray:
    table = np.zeros((len(found.filled), 256), np.int64)
    places, objects = found.entries()
    np.add.at(table, (objects, found.bins[places].astype(int)), found.counts[places])
    return table


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
    assert LOW.runs is not None
    assert HIGH.runs is not None
    assert HISTOGRAMS.runs_with is not None
    tables = {"low": LOW.runs(block, runs), "high": HIGH.runs(block, runs)}
    return tables, HISTOGRAMS.runs_with(block, runs, tables)


@pytest.mark.parametrize("large", [False, True])
@given(case=cases())
@settings(max_examples=50)
def test_all_forms_agree(large: bool, case: tuple[np.ndarray, np.ndarray]) -> None:
    kernel = NS.kernel("thresholds")
    image, mask = case
    block, runs = block_of(image), find_runs(mask, 1, False)
    ids = runs.labels()
    with pytest.MonkeyPatch.context() as patch:
        if large:  # shares out every object
            patch.setattr(kernel, "_LARGE", 0)
        tables, found = tables_of(block, runs)
    np.testing.assert_array_equal(tables["low"], LOW.chunk(block, ids, runs.count, {}))
    np.testing.assert_array_equal(tables["high"], HIGH.chunk(block, ids, runs.count, {}))
    table = dense(found)
    np.testing.assert_array_equal(table, dense(counted(replace(block, ns=ON_GPU), ids, runs.count, tables)))
    np.testing.assert_array_equal(table, dense(HISTOGRAMS.chunk(block, ids, runs.count, tables)))
    thresholds = otsu_of_objects(tables["low"], tables["high"], found)
    expected = thresholds_by_array_code(tables["low"], tables["high"], table)
    np.testing.assert_array_equal(thresholds, expected)


@given(cases(), st.integers(1, 50))
def test_histograms_of_tiles_are_merged(case: tuple[np.ndarray, np.ndarray], cut: int) -> None:
    image, mask = case
    runs = find_runs(mask, 1, False)
    tables, whole = tables_of(block_of(image), runs)
    cut = min(cut, image.shape[-1])
    parts = []
    for columns in (slice(0, cut), slice(cut, None)):
        ids = np.ascontiguousarray(runs.labels()[..., columns])
        numbers, local = np.unique(np.append(ids.ravel(), 0), return_inverse=True)
        local = local[:-1].reshape(ids.shape).astype(np.int32)
        rows = {name: table[numbers] for name, table in tables.items()}
        part = np.ascontiguousarray(image[..., columns])
        parts.append((numbers, HISTOGRAMS.chunk(block_of(part), local, len(numbers) - 1, rows)))
    merged = merge(runs.count, iter(parts))
    np.testing.assert_array_equal(dense(merged), dense(whole))
    expected = otsu_of_objects(tables["low"], tables["high"], whole)
    np.testing.assert_array_equal(otsu_of_objects(tables["low"], tables["high"], merged), expected)


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
