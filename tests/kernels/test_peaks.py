"""Peaks of objects: against a plain SciPy implementation and the reference implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage as ndi

from fastseg.kernels.cpu.peaks import dilate_by_faces, object_candidates, peaks_of_objects
from tests.golden import archive

FULL = np.ones((3, 3, 3), dtype=bool)


def object_peaks(values: np.ndarray, inside: np.ndarray, floor: float) -> np.ndarray:
    """The peaks of one object in its box."""
    found = np.zeros(inside.shape, bool)
    peaks_of_objects(values, inside.astype(np.int32), 1, (0, 0, 0), inside.shape, floor, found)
    return found


def peaks_by_scipy(values: np.ndarray, inside: np.ndarray, floor: float) -> np.ndarray:
    """Find the peaks step by step, keeping candidates in order of falling intensity."""
    masked = np.where(inside, values.astype(np.float64), -np.inf)
    candidates = masked == ndi.maximum_filter(masked, size=5, mode="nearest")
    if candidates[inside].all():
        candidates = inside & ~ndi.binary_opening(inside)
    candidates &= masked > floor
    positions = np.argwhere(candidates)
    kept: list[np.ndarray] = []
    for position in positions[np.argsort(-masked[candidates], kind="stable")]:
        if all(np.abs(position - other).max() > 1 for other in kept):
            kept.append(position)
    peaks = np.zeros(values.shape, dtype=bool)
    for position in kept:
        peaks[tuple(position)] = True
    return peaks


@st.composite
def objects(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, float]:
    """Draw intensities with many ties, an object (any set of voxels), and a floor that some of them reach."""
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 3, 9]))
    dtype: type = draw(st.sampled_from([np.float32, np.float64]))
    values: np.ndarray = rng.integers(0, levels, shape).astype(dtype)
    inside = rng.random(shape) < draw(st.sampled_from([0.05, 0.3, 0.8, 0.97, 1.0]))
    return values, inside, float(draw(st.sampled_from([-1, 0, 1])))


@settings(max_examples=200, deadline=None)
@given(objects())
def test_equals_scipy_where_intensities_tie(case: tuple[np.ndarray, np.ndarray, float]) -> None:
    values, inside, floor = case
    peaks = object_peaks(values, inside, floor)
    assert peaks.dtype == bool
    np.testing.assert_array_equal(peaks, peaks_by_scipy(values, inside, floor))


@settings(max_examples=100, deadline=None)
@given(objects(), st.data())
def test_many_objects_in_a_part_of_an_array(
    case: tuple[np.ndarray, np.ndarray, float], data: st.DataObject
) -> None:
    values, inside, floor = case
    labels, count = ndi.label(inside, FULL)
    start = tuple(data.draw(st.integers(0, n)) for n in labels.shape)
    stop = tuple(data.draw(st.integers(a, n)) for a, n in zip(start, labels.shape, strict=True))
    found, expected = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    peaks_of_objects(values, labels, count, start, stop, floor, found)
    part = tuple(map(slice, start, stop))
    for number in range(1, count + 1):
        own = labels[part] == number
        if own.any():
            expected[part] |= peaks_by_scipy(values[part], own, floor)
    np.testing.assert_array_equal(found, expected)


@given(objects())
def test_dilation(case: tuple[np.ndarray, np.ndarray, float]) -> None:
    _, mask, _ = case
    out = np.empty_like(mask)
    dilate_by_faces(mask, out)
    np.testing.assert_array_equal(out, ndi.binary_dilation(mask))


@pytest.mark.parametrize("shape", [(1, 40, 37), (13, 21, 18), (11, 1, 30), (6, 25, 1), (1, 1, 50), (2, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_scipy_where_intensities_are_distinct(shape: tuple[int, int, int], dtype: type) -> None:
    rng = np.random.default_rng(11)
    values: np.ndarray = rng.standard_normal(shape).astype(dtype)
    inside = ndi.gaussian_filter(rng.standard_normal(shape), 1) > -0.1
    peaks = object_peaks(values, inside, float(values.min()))
    assert peaks.any()
    np.testing.assert_array_equal(peaks, peaks_by_scipy(values, inside, float(values.min())))


def test_equals_scipy_on_a_flat_object_of_odd_form() -> None:
    rng = np.random.default_rng(2)
    inside = ndi.gaussian_filter(rng.standard_normal((14, 20, 20)), 1.5) > 0
    values = np.full(inside.shape, 3, dtype=np.float32)
    peaks = object_peaks(values, inside, 0.0)
    assert peaks.any()
    assert ndi.binary_opening(inside).any()
    np.testing.assert_array_equal(peaks, peaks_by_scipy(values, inside, 0.0))


def test_peaks_two_voxels_apart_hide_each_other_only_if_unequal() -> None:
    inside = np.ones((1, 1, 7), dtype=bool)
    equal = np.array([[[0, 5, 1, 5, 1, 0, 0]]], dtype=np.float32)
    np.testing.assert_array_equal(object_peaks(equal, inside, 0.0), [[[0, 1, 0, 1, 0, 0, 0]]])
    unequal = np.array([[[0, 5, 1, 6, 1, 0, 0]]], dtype=np.float32)
    np.testing.assert_array_equal(object_peaks(unequal, inside, 0.0), [[[0, 0, 0, 1, 0, 0, 0]]])


def test_a_plateau_keeps_its_first_voxel_and_every_second_one() -> None:
    inside = np.ones((1, 1, 7), dtype=bool)
    values = np.array([[[1, 5, 5, 5, 5, 1, 1]]], dtype=np.float64)
    np.testing.assert_array_equal(object_peaks(values, inside, 0.0), [[[0, 1, 0, 1, 0, 0, 0]]])


def test_other_objects_do_not_count() -> None:
    values = np.array([[[9, 5, 4, 3, 9]]], dtype=np.float32)
    inside = np.array([[[0, 1, 1, 1, 0]]], dtype=bool)
    np.testing.assert_array_equal(object_peaks(values, inside, 0.0), [[[0, 1, 0, 0, 0]]])


def test_a_solid_flat_object_has_no_peak_but_its_thin_parts_have() -> None:
    values = np.ones((5, 5, 9))
    cross = np.zeros(values.shape, dtype=bool)
    cross[1:4, 2, 2] = cross[2, 1:4, 2] = cross[2, 2, 1:4] = True
    assert not object_peaks(values, cross, 0.0).any()
    tail = cross.copy()
    tail[2, 2, 4:8] = True
    np.testing.assert_array_equal(np.argwhere(object_peaks(values, tail, 0.0)), [[2, 2, 4], [2, 2, 6]])
    single = np.zeros(values.shape, dtype=bool)
    single[2, 2, 4] = True
    np.testing.assert_array_equal(object_peaks(values, single, 0.0), single)


def test_one_lower_voxel_makes_an_object_not_flat_even_at_the_floor() -> None:
    values = np.ones((5, 5, 5))
    values[4, 4, 4] = 0
    peaks = object_peaks(values, np.ones(values.shape, dtype=bool), 0.0)
    assert peaks[0, 0, 0]
    np.testing.assert_array_equal(peaks, peaks_by_scipy(values, np.ones(values.shape, dtype=bool), 0.0))
    assert not object_peaks(np.ones((5, 5, 5)), np.ones((5, 5, 5), dtype=bool), 1.0).any()


def test_a_peak_must_exceed_the_floor() -> None:
    box = np.ones((1, 1, 1), dtype=bool)
    assert object_peaks(np.full((1, 1, 1), 2.0), box, 1.0).all()
    assert not object_peaks(np.full((1, 1, 1), 2.0), box, 2.0).any()
    assert not object_peaks(np.full((1, 1, 1), 2.0), ~box, 1.0).any()


def test_inputs_are_not_modified_and_may_be_views() -> None:
    rng = np.random.default_rng(4)
    volume, mask = rng.integers(0, 4, (9, 12, 14)).astype(np.float32), rng.random((9, 12, 14)) < 0.8
    values, inside = volume[1:8, 2:11, 3:13], mask[1:8, 2:11, 3:13]
    copies = values.copy(), inside.copy()
    np.testing.assert_array_equal(object_peaks(values, inside, 0.0), peaks_by_scipy(*copies, 0.0))
    np.testing.assert_array_equal(values, copies[0])
    np.testing.assert_array_equal(inside, copies[1])


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="values and inside must have the same shape"):
        object_candidates(np.ones((2, 3, 4)), np.ones((2, 3, 3), dtype=bool), 0.0)


def test_reproduces_the_reference() -> None:
    golden = archive("operators")
    image, mask, expected = (golden[name] for name in ("gaussian_3d", "masked_object_ave", "local_maxima"))
    components, _ = ndi.label(mask, FULL)
    searched = np.zeros_like(components)
    searched[2:-2, 2:-2, 2:-2] = components[2:-2, 2:-2, 2:-2]
    peaks = np.zeros(mask.shape, dtype=bool)
    for number, box in enumerate(ndi.find_objects(searched), 1):
        if box is not None:
            peaks[box] |= object_peaks(image[box], components[box] == number, float(image.min()))
    np.testing.assert_array_equal(peaks, expected > 0)
