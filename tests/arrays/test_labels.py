"""Components as runs against SciPy's labels of the same mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.arrays import Device, namespace_for
from fastseg.arrays.labels import Runs, find_runs, lookup
from fastseg.kernels import threads
from fastseg.kernels.cpu import labelling
from fastseg.tiling.components import structure_of
from fastseg.types import Box
from tests.support import MASKS, assert_identical, frozen, mask

CPU = namespace_for(Device("cpu"))
KINDS = (*MASKS, "checkerboard", "spiral", "combs")


def spiral(shape: tuple[int, ...]) -> np.ndarray:
    """A path of one pixel that turns inwards in every plane: one object whose rows are joined at both ends."""
    found = np.zeros(shape, bool)
    top, left, bottom, right = 0, 0, shape[-2] - 1, shape[-1] - 1
    begin = 0
    while top <= bottom and left <= right:
        found[..., top, begin : right + 1] = True
        found[..., top : bottom + 1, right] = True
        found[..., bottom, left : right + 1] = True
        found[..., top + 2 : bottom + 1, left] = True
        begin = left
        top, left, bottom, right = top + 2, left + 2, bottom - 2, right - 2
    return found


def drawn(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    if kind == "checkerboard":
        return np.indices(shape).sum(0) % 2 == seed % 2
    if kind == "spiral":
        return spiral(shape)
    if kind == "combs":  # teeth that meet only in the last row: many joins of what was numbered apart
        found = np.zeros(shape, bool)
        found[..., ::2] = True
        found[..., -1, :] = True
        return found
    return mask(kind, shape, seed)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, int, bool, bool]:
    dims = draw(st.integers(2, 3))
    width = st.one_of(st.integers(1, 150), st.sampled_from((63, 64, 65, 128)))  # rows are words of 64 voxels
    shape = (*(draw(st.one_of(st.just(1), st.integers(1, n))) for n in (6, 13)[-dims + 1 :]), draw(width))
    objects = drawn(draw(st.sampled_from(KINDS)), shape, draw(st.integers(0, 999)))
    return objects, draw(st.integers(1, dims)), draw(st.booleans()), draw(st.booleans())


def expected_labels(objects: np.ndarray, connectivity: int, planar: bool, inside: bool) -> np.ndarray:
    """SciPy's labels, numbered by the scan order of their first voxels."""
    structure = structure_of(objects.ndim, connectivity, planar)
    labels, count = ndi.label(objects if inside else ~objects, structure)
    found, first = np.unique(labels, return_index=True)
    order = found[np.argsort(first)]
    number = np.zeros(count + 1, np.int32)
    number[order[order > 0]] = np.arange(1, count + 1)
    return number[labels]


def with_slabs(objects: np.ndarray, connectivity: int, planar: bool, inside: bool, slabs: int) -> Runs:
    stack = objects.reshape(-1, *objects.shape[-2:]).view(np.uint8)
    return Runs(objects.shape, *labelling.find_runs(stack, inside, connectivity, planar, slabs))


@given(cases(), st.integers(1, 9))
def test_labels_sizes_and_first_voxels(case: tuple[np.ndarray, int, bool, bool], slabs: int) -> None:
    objects, connectivity, planar, inside = case
    expected = expected_labels(objects, connectivity, planar, inside)
    for runs in (
        find_runs(objects, connectivity, planar, inside),
        with_slabs(objects, connectivity, planar, inside, slabs),
    ):
        assert_identical(runs.labels(), expected)
        assert runs.count == expected.max()
        np.testing.assert_array_equal(runs.sizes, np.bincount(expected.ravel(), minlength=runs.count + 1))
        numbers, first = np.unique(expected, return_index=True)
        np.testing.assert_array_equal(runs.first, first[numbers > 0])


@given(cases(), st.data())
def test_a_box_is_painted_as_it_lies_in_the_whole(
    case: tuple[np.ndarray, int, bool, bool], data: st.DataObject
) -> None:
    objects, connectivity, planar, inside = case
    runs = find_runs(objects, connectivity, planar, inside)
    start = tuple(data.draw(st.integers(0, n - 1)) for n in objects.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, objects.shape, strict=True))
    box = Box(start, stop)
    rng = np.random.default_rng(0)
    expected = expected_labels(objects, connectivity, planar, inside)[box.slices]
    for dtype in (bool, np.int32, np.float32, np.int64):
        values = (rng.random(runs.count + 1) * 5).astype(dtype)
        assert_identical(runs.paint(values, box), values[expected])
    assert_identical(runs.labels(box), expected)


def test_not_finite_values_and_signed_zeros_are_painted_as_they_are() -> None:
    objects = np.array([[True, False, True, False, True]])
    values = np.array([np.nan, -0.0, np.inf, 0.0], np.float32)
    got = find_runs(objects, 1, False).paint(values)
    assert got.tobytes() == values[[1, 0, 2, 0, 3]].tobytes()


@given(cases(), st.lists(st.booleans(), min_size=6, max_size=6))
def test_components_at_the_sides(case: tuple[np.ndarray, int, bool, bool], flags: list[bool]) -> None:
    objects, connectivity, planar, inside = case
    sides = list(zip(flags[::2], flags[1::2], strict=True))[-objects.ndim :]
    runs = find_runs(objects, connectivity, planar, inside)
    labels = expected_labels(objects, connectivity, planar, inside)
    expected = np.zeros(runs.count + 1, np.int8)
    for axis, (low, high) in enumerate(sides):
        for position, counts in ((0, low), (-1, high)):
            if counts:
                expected[np.take(labels, position, axis)] = 1
    expected[0] = 0
    assert_identical(runs.touching(sides), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_a_stack_with_many_slabs(kind: str, connectivity: int) -> None:
    objects = drawn(kind, (9, 40, 67), 5)
    expected = expected_labels(objects, connectivity, False, True)
    for slabs in (1, 2, 3, 8, 50, 10_000):
        np.testing.assert_array_equal(
            with_slabs(objects, connectivity, False, True, slabs).labels(), expected
        )


def test_masks_of_other_types_layouts_and_rights() -> None:
    objects = drawn("half", (4, 6, 7), 1)
    expected = expected_labels(objects, 1, False, True)
    np.testing.assert_array_equal(find_runs(objects * np.float32(-0.5), 1, False).labels(), expected)
    np.testing.assert_array_equal(find_runs(objects * np.int64(1 << 40), 1, False).labels(), expected)
    np.testing.assert_array_equal(find_runs(frozen(objects), 1, False).labels(), expected)
    odd = (objects * np.uint8(200)).view(bool)  # not the bytes that NumPy itself writes
    np.testing.assert_array_equal(find_runs(odd, 1, False).labels(), expected)
    turned = objects.transpose(2, 0, 1)
    np.testing.assert_array_equal(
        find_runs(turned, 1, False).labels(), expected_labels(turned, 1, False, True)
    )
    np.testing.assert_array_equal(
        find_runs(objects[:, ::2, 1:], 1, False).labels(),
        expected_labels(objects[:, ::2, 1:], 1, False, True),
    )


@given(cases(), st.data())
def test_boxes(case: tuple[np.ndarray, int, bool, bool], data: st.DataObject) -> None:
    objects, connectivity, planar, inside = case
    runs = find_runs(objects, connectivity, planar, inside)
    labels = expected_labels(objects, connectivity, planar, inside)
    chosen = np.array(
        [0, *data.draw(st.lists(st.integers(0, 1), min_size=runs.count, max_size=runs.count))], np.int8
    )
    starts, stops = runs.boxes(chosen)
    boxes = [box for number, box in enumerate(ndi.find_objects(labels), 1) if chosen[number]]
    expected = np.array([[(s.start, s.stop) for s in box] for box in boxes], np.int64)
    np.testing.assert_array_equal(np.stack([starts, stops], -1), expected.reshape(-1, objects.ndim, 2))


@pytest.mark.parametrize("dtype", [bool, np.int16, np.int32, np.float32, np.int64])
def test_lookup(dtype: type) -> None:
    rng = np.random.default_rng(3)
    values: np.ndarray = (rng.random(50) * 9).astype(dtype)
    ids = rng.integers(0, 50, (3, 17, 19)).astype(np.int32)
    for given_ids in (ids, ids.astype(np.int64), ids.transpose(1, 2, 0), ids[:0], frozen(ids)):
        assert_identical(lookup(CPU, values, given_ids), values[given_ids])


def test_small_arrays_take_one_thread_and_large_ones_all() -> None:
    before = threads.count()
    for voxels, expected in ((0, 1), (1000, 1), (10**9, before)):
        with threads.fitting(voxels):
            assert threads.count() == expected
        assert threads.count() == before
    with pytest.raises(ValueError, match="stop"), threads.fitting(1):
        raise ValueError("stop")
    assert threads.count() == before
