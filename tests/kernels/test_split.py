"""Many objects cut at once, against the flood that compares distances, object by object or whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.kernels import threads
from fastseg.kernels.cpu.split import cut_objects
from fastseg.kernels.cpu.watershed import flood

FULL = np.ones((3, 3, 3), bool)


def cut(mask: np.ndarray, seeds: np.ndarray, squared: np.ndarray, dtype: type = np.int32) -> np.ndarray:
    labels, count = ndi.label(mask)
    out = np.full(mask.shape, 99, seeds.dtype)
    relief = np.where(mask, squared, 0).astype(dtype)
    cut_objects(labels, count, seeds, relief.copy(), out)
    if labels.dtype == seeds.dtype:
        cut_objects(labels, count, seeds, relief, labels)
        np.testing.assert_array_equal(labels, out)
    return out


def squared_distances(mask: np.ndarray) -> np.ndarray:
    return np.rint(ndi.distance_transform_edt(mask) ** 2).astype(np.int64)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Objects of many forms, and seeds that may touch, lie outside, be many or none."""
    shape = tuple(draw(st.integers(1, n)) for n in (7, 14, 15))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        mask = ndi.gaussian_filter(rng.standard_normal(shape), 1.5) > 0
    else:
        mask = rng.random(shape) < draw(st.sampled_from([0.3, 0.7, 0.95, 2]))
    if draw(st.booleans()):
        seeds = ndi.label(ndi.binary_dilation(rng.random(shape) < 0.02), FULL)[0]
    else:
        density = draw(st.sampled_from([0, 0.02, 0.1, 0.5]))
        seeds = np.where(rng.random(shape) < density, rng.integers(1, 6, shape), 0)
    return mask, seeds.astype(np.int32)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_equals_the_flood_of_minus_the_distance(case: tuple[np.ndarray, np.ndarray]) -> None:
    mask, seeds = case
    expected = flood(-ndi.distance_transform_edt(mask), seeds, mask, True)
    np.testing.assert_array_equal(cut(mask, seeds, squared_distances(mask)), expected)


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(1, 9), st.integers(0, 99))
def test_any_relief_may_be_flooded(case: tuple[np.ndarray, np.ndarray], levels: int, number: int) -> None:
    """Seeds below the tops that they flood: the queue has to go back up."""
    mask, seeds = case
    relief = np.random.default_rng(number).integers(1, levels + 1, mask.shape)
    expected = flood(-relief.astype(np.float64), seeds, mask, True)
    np.testing.assert_array_equal(cut(mask, seeds, relief), expected)


@settings(max_examples=30, deadline=None)
@given(cases())
def test_the_result_does_not_depend_on_threads(case: tuple[np.ndarray, np.ndarray]) -> None:
    mask, seeds = case
    squared = squared_distances(mask)
    before = threads.count()
    results = []
    for count in {1, threads.most()}:
        threads.limit(count)
        results.append(cut(mask, seeds, squared))
    threads.limit(before)
    np.testing.assert_array_equal(results[0], results[-1])


@pytest.mark.parametrize("offset", [0, 2**40])
def test_labels_that_need_int64(offset: int) -> None:
    rng = np.random.default_rng(3)
    mask = ndi.gaussian_filter(rng.standard_normal((9, 20, 21)), 1.5) > -0.3
    seeds = np.where(rng.random(mask.shape) < 0.05, rng.integers(1, 6, mask.shape), 0)
    squared = squared_distances(mask)
    narrow = cut(mask, seeds.astype(np.int32), squared).astype(np.int64)
    wide = cut(mask, np.where(seeds > 0, seeds + offset, 0), squared, np.int64)
    assert wide.dtype == np.int64
    np.testing.assert_array_equal(wide, np.where(narrow > 0, narrow + offset, 0))


def test_the_largest_int32_label() -> None:
    mask = np.ones((1, 3, 9), bool)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[0, 1, 1], seeds[0, 1, 7] = 2**31 - 1, 1
    expected = flood(-ndi.distance_transform_edt(mask), seeds, mask, True)
    assert set(np.unique(expected)) == {0, 1, 2**31 - 1}
    np.testing.assert_array_equal(cut(mask, seeds, squared_distances(mask)), expected)


def test_many_small_objects() -> None:
    rng = np.random.default_rng(4)
    mask = ndi.binary_dilation(rng.random((20, 80, 90)) < 0.02)
    seeds = np.where(rng.random(mask.shape) < 0.2, rng.integers(1, 999, mask.shape), 0).astype(np.int32)
    assert ndi.label(mask)[1] > 500
    expected = flood(-ndi.distance_transform_edt(mask), seeds, mask, True)
    np.testing.assert_array_equal(cut(mask, seeds, squared_distances(mask)), expected)


def test_objects_without_a_seed_vanish() -> None:
    mask = np.zeros((3, 5, 20), bool)
    mask[1, 1:4, 2:6] = mask[1, 1:4, 9:15] = True
    seeds = np.zeros(mask.shape, np.int32)
    seeds[1, 2, 3] = seeds[0, 0, 0] = 4
    np.testing.assert_array_equal(cut(mask, seeds, squared_distances(mask)), 4 * (mask & (np.arange(20) < 8)))
