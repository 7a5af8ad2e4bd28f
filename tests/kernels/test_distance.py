"""Squared distances against those of SciPy and edt."""

import edt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.kernels.cpu.distance import (
    FAR,
    dtype_for,
    from_before_the_first,
    squared_distances,
    squared_in_plane,
)


def distances(mask: np.ndarray, cap: int = FAR, dtype: type = np.int32) -> np.ndarray:
    out = np.full(mask.shape, -7, dtype)
    squared_distances(mask, cap, out)
    return out


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Masks of any density, some wider than the rows that are taken together, some without a background."""
    shape = tuple(draw(st.integers(1, n)) for n in (7, 20, 150))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.random(shape) < draw(st.sampled_from([0.1, 0.6, 0.95, 0.999, 2]))


@settings(max_examples=150, deadline=None)
@given(masks(), st.sampled_from([np.int32, np.int64]))
def test_distances_are_exact(mask: np.ndarray, dtype: type) -> None:
    found = distances(mask, FAR, dtype)
    if not mask.all():  # edt has no distances where there is no background
        np.testing.assert_array_equal(found, edt.edtsq(mask, black_border=False))
    from_before_the_first(found)
    np.testing.assert_array_equal(np.sqrt(found), ndi.distance_transform_edt(mask))


@settings(max_examples=100, deadline=None)
@given(masks(), st.sampled_from([0, 1, 2, 9, 50]))
def test_up_to_a_cap(mask: np.ndarray, cap: int) -> None:
    exact, found = distances(mask), distances(mask, cap)
    np.testing.assert_array_equal(np.where(exact <= cap, exact, FAR), np.where(found <= cap, found, FAR))


@settings(max_examples=50, deadline=None)
@given(masks())
def test_a_plane_is_a_volume_of_one_plane(mask: np.ndarray) -> None:
    out = np.full(mask.shape[1:], -7, np.int32)
    squared_in_plane(mask[0], FAR, out)
    np.testing.assert_array_equal(out, distances(mask[:1])[0])


def test_labels_are_a_mask() -> None:
    mask = np.random.default_rng(1).random((5, 9, 11)) < 0.8
    np.testing.assert_array_equal(distances(mask * np.int32(7)), distances(mask))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_distances_that_float32_cannot_hold(axis: int) -> None:
    shape = [1, 1, 1]
    shape[axis] = 5000
    mask = np.ones(shape, bool)
    mask[0, 0, 0] = False
    np.testing.assert_array_equal(distances(mask).ravel(), np.arange(5000) ** 2)


def test_without_background_everything_is_far_or_measured_from_before_the_first_voxel() -> None:
    found = distances(np.ones((3, 4, 70), bool))
    assert (found == FAR).all()
    from_before_the_first(found)
    np.testing.assert_array_equal(np.sqrt(found), ndi.distance_transform_edt(np.ones((3, 4, 70), bool)))


def test_integers_are_wide_enough() -> None:
    assert dtype_for((64, 512, 512)) is np.int32
    assert dtype_for((1290, 1290, 1290)) is np.int32
    assert dtype_for((1291, 1291, 1291)) is np.int64
    assert dtype_for((1, 1, 32767)) is np.int32
    assert dtype_for((1, 1, 32768)) is np.int64


def test_nothing_to_measure() -> None:
    for shape in [(0, 3, 4), (3, 0, 4), (3, 4, 0)]:
        found = distances(np.ones(shape, bool))
        from_before_the_first(found)
        assert found.shape == shape
