"""Flooding against a slow oracle, scikit-image, itself object by object, and the reference implementation."""

import heapq
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage as ndi
from skimage.segmentation import watershed

from fastseg.kernels.cpu import watershed as watershed_kernel
from fastseg.kernels.cpu.watershed import flood
from tests.golden import archive

FULL = np.ones((3, 3, 3), dtype=bool)
SHAPES = [(1, 23, 31), (9, 14, 11), (1, 1, 40), (17, 1, 13), (12, 15, 1), (2, 3, 2), (1, 1, 1)]

Entry = tuple[float, int, int, int]


def totally_ordered_queue(entries: list[Entry]) -> tuple[Callable[[Entry], None], Callable[[], Entry | None]]:
    """Order entries (cost, age, position, source of the entry) as they compare."""
    heap = sorted(entries)
    return lambda entry: heapq.heappush(heap, entry), lambda: heapq.heappop(heap) if heap else None


def layout_ordered_queue(entries: list[Entry]) -> tuple[Callable[[Entry], None], Callable[[], Entry | None]]:
    """Order entries by (cost, age) and leave equal ones to a binary heap's layout, as scikit-image does."""
    heap: list[Entry] = []

    def push(entry: Entry) -> None:
        heap.append(entry)
        node = len(heap) - 1
        while node > 0 and heap[node][:2] < heap[(node - 1) // 2][:2]:
            heap[node], heap[(node - 1) // 2] = heap[(node - 1) // 2], heap[node]
            node = (node - 1) // 2

    def pop() -> Entry | None:
        if not heap:
            return None
        first, last = heap[0], heap.pop()
        if heap:
            heap[0] = last
        node = 0
        while 2 * node + 1 < len(heap):
            child = 2 * node + 1
            if child + 1 < len(heap) and heap[child + 1][:2] < heap[child][:2]:
                child += 1
            if heap[node][:2] <= heap[child][:2]:
                break
            heap[node], heap[child] = heap[child], heap[node]
            node = child
        return first

    for entry in entries:
        push(entry)
    return push, pop


def flood_slowly(
    cost: np.ndarray,
    seeds: np.ndarray,
    mask: np.ndarray,
    lines: bool,
    queue: Callable[[list[Entry]], tuple[Callable[[Entry], None], Callable[[], Entry | None]]],
) -> np.ndarray:
    """Flood by the letter of the definition: padded arrays, a queue with one entry per visit of a voxel."""
    padded = np.pad(mask, 1)
    open_ = padded.reshape(-1).copy()
    costs = np.pad(cost, 1).reshape(-1)
    labels = np.where(padded, np.pad(seeds, 1), 0).reshape(-1)
    plane, row = padded.strides[0], padded.strides[1]
    offsets = (-plane, -row, -1, 1, row, plane)
    push, pop = queue([(costs[i], 0, int(i), int(i)) for i in np.flatnonzero(labels)])
    age = 0
    while (entry := pop()) is not None:
        _, _, position, source = entry
        if lines:
            if (labels[position] and position != source) or not open_[position]:
                continue
            around = {labels[position + k] for k in offsets if open_[position + k]} - {0}
            if len(around) > 1:
                open_[position] = False
                continue
            labels[position] = labels[source]
        for k in offsets:
            neighbour = position + k
            if open_[neighbour] and not labels[neighbour]:
                age += 1
                if not lines:
                    labels[neighbour] = labels[position]
                push((costs[neighbour], age, neighbour, source))
    return labels.reshape(padded.shape)[1:-1, 1:-1, 1:-1]


@st.composite
def tied_floods(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Draw a cost with few levels, seeds that may touch or lie outside the mask, a mask and `lines`."""
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.integers(1, 5))
    cost = rng.integers(-levels, levels, shape).astype(np.float64)
    mask = rng.random(shape) < draw(st.sampled_from([0.4, 0.6, 0.8, 1.0]))
    sown = rng.random(shape) < draw(st.sampled_from([0.02, 0.1, 0.3]))
    seeds = np.where(sown, rng.integers(1, 6, shape), 0)
    return cost, seeds, mask, draw(st.booleans())


def random_flood(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a cost without ties, seeds and a mask."""
    rng = np.random.default_rng(seed)
    seeds = np.where(rng.random(shape) < 0.04, rng.integers(1, 9, shape), 0)
    return rng.standard_normal(shape), seeds, rng.random(shape) < 0.85


@settings(max_examples=150, deadline=None)
@given(tied_floods())
def test_equals_the_definition_where_costs_tie(case: tuple[np.ndarray, np.ndarray, np.ndarray, bool]) -> None:
    cost, seeds, mask, lines = case
    expected = flood_slowly(cost, seeds, mask, lines, totally_ordered_queue)
    np.testing.assert_array_equal(flood(cost, seeds, mask, lines), expected)
    np.testing.assert_array_equal(flood(cost.astype(np.float32), seeds, mask, lines), expected)


@settings(max_examples=50, deadline=None)
@given(tied_floods())
def test_no_mask_is_one_that_holds_everything(case: tuple[np.ndarray, np.ndarray, np.ndarray, bool]) -> None:
    cost, seeds, mask, lines = case
    expected = flood(cost, seeds, np.ones_like(mask), lines)
    np.testing.assert_array_equal(flood(cost, seeds, None, lines), expected)


def test_entries_are_as_wide_as_their_numbers() -> None:
    assert watershed_kernel.heap_dtype(np.dtype(np.float32), 2**31 - 1) == np.int32
    assert watershed_kernel.heap_dtype(np.dtype(np.float32), 2**31) == np.int64
    assert watershed_kernel.heap_dtype(np.dtype(np.float64), 1) == np.int64


def test_single_precision_in_wide_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a volume of 2^31 voxels and more: the keys, some of them negative, keep their order."""
    cost, seeds, mask = random_flood((6, 9, 8), 2)
    cost = cost.astype(np.float32)
    cost[0, 0] = -0.0
    expected = flood_slowly(cost, seeds, mask, True, totally_ordered_queue)
    monkeypatch.setattr(watershed_kernel, "heap_dtype", lambda cost, voxels: np.dtype(np.int64))
    np.testing.assert_array_equal(flood(cost, seeds, mask, True), expected)


@settings(max_examples=150, deadline=None)
@given(tied_floods())
def test_a_component_alone_equals_the_whole(case: tuple[np.ndarray, np.ndarray, np.ndarray, bool]) -> None:
    cost, seeds, mask, lines = case
    whole = flood(cost, seeds, mask, lines)
    components, _ = ndi.label(mask)
    apart = np.zeros_like(whole)
    for number, box in enumerate(ndi.find_objects(components), 1):
        margin = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
        component = components[margin] == number
        crop = (np.ascontiguousarray(array[margin]) for array in (cost, seeds))
        apart[margin] += flood(*crop, component, lines)
    np.testing.assert_array_equal(apart, whole)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_image_without_lines(shape: tuple[int, ...], seed: int) -> None:
    cost, seeds, mask = random_flood(shape, seed)
    expected = watershed(cost, seeds, mask=mask, connectivity=1)
    np.testing.assert_array_equal(flood(cost, seeds, mask, False), expected)


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_definition_where_costs_are_distinct(shape: tuple[int, ...], lines: bool) -> None:
    cost, seeds, mask = random_flood(shape, 7)
    for queue in (totally_ordered_queue, layout_ordered_queue):
        expected = flood_slowly(cost, seeds, mask, lines, queue)
        np.testing.assert_array_equal(flood(cost, seeds, mask, lines), expected)


@pytest.mark.parametrize("lines", [False, True])
def test_many_seeds_and_few_fill_the_queue(lines: bool) -> None:
    rng = np.random.default_rng(3)
    shape = (20, 40, 40)
    mask = np.ones(shape, dtype=bool)
    cost = rng.integers(0, 9, shape).astype(np.float64)
    many = np.where(rng.random(shape) < 0.3, rng.integers(1, 99, shape), 0)
    few = np.zeros(shape, dtype=np.int64)
    few[10, 20, 20], few[3, 3, 3] = 1, 2
    for seeds in (many, few):
        expected = flood_slowly(cost, seeds, mask, lines, totally_ordered_queue)
        np.testing.assert_array_equal(flood(cost, seeds, mask, lines), expected)


def test_a_ridge_becomes_a_line() -> None:
    cost = np.array([[[0, 1, 2, 1, 0]]], dtype=np.float64)
    seeds = np.array([[[7, 0, 0, 0, 9]]])
    mask = np.ones_like(cost, dtype=bool)
    np.testing.assert_array_equal(flood(cost, seeds, mask, True), [[[7, 7, 0, 9, 9]]])
    np.testing.assert_array_equal(flood(cost, seeds, mask, False), [[[7, 7, 7, 9, 9]]])


def test_a_line_spreads_nothing() -> None:
    # The middle of the lower row meets 1 and 2; the voxel above it is then reached from nowhere.
    cost = np.array([[[9, 5, 9], [0, 1, 0]]], dtype=np.float64)
    seeds = np.array([[[0, 0, 0], [1, 0, 2]]])
    mask = np.array([[[0, 1, 0], [1, 1, 1]]], dtype=bool)
    np.testing.assert_array_equal(flood(cost, seeds, mask, True), [[[0, 0, 0], [1, 0, 2]]])


def test_a_seed_between_two_basins_keeps_its_label_and_leaves_the_mask() -> None:
    # Were the 5 still seen, its neighbour in the upper row would meet 5 and 1 and become a line.
    cost = np.array([[[3, 3, 3], [1, 0, 1]]], dtype=np.float64)
    seeds = np.array([[[0, 0, 0], [1, 5, 2]]])
    mask = np.array([[[1, 1, 0], [1, 1, 1]]], dtype=bool)
    np.testing.assert_array_equal(flood(cost, seeds, mask, True), [[[1, 1, 0], [1, 5, 2]]])


def test_seeds_of_equal_cost_go_by_position() -> None:
    mask = np.ones((1, 1, 3), dtype=bool)
    for first, second in ((1, 2), (2, 1)):
        labels = flood(np.zeros((1, 1, 3)), np.array([[[first, 0, second]]]), mask, False)
        np.testing.assert_array_equal(labels, [[[first, first, second]]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_zeros_are_one_cost_and_infinities_are_ordered(dtype: Any) -> None:
    # With -0.0 below 0.0 the seed 2 would go first and take the middle.
    mask = np.ones((1, 1, 3), dtype=bool)
    seeds = np.array([[[1, 0, 2]]])
    tiny = float(np.finfo(dtype).smallest_subnormal)
    for first, second, middle in (
        (0.0, -0.0, 1),
        (-0.0, -tiny, 2),
        (0.0, tiny, 1),
        (np.finfo(dtype).max, -np.inf, 2),
        (np.finfo(dtype).max, np.inf, 1),
        (-np.inf, np.finfo(dtype).min, 1),
        (-1.0, -2.0, 2),
    ):
        cost = np.array([[[first, 5.0, second]]], dtype)
        np.testing.assert_array_equal(flood(cost, seeds, mask, False), [[[1, middle, 2]]])


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("lines", [False, True])
def test_seeds_outside_the_mask_are_ignored_and_their_type_is_kept(dtype: Any, lines: bool) -> None:
    rng = np.random.default_rng(5)
    cost = rng.standard_normal((5, 9, 8))
    mask = rng.random(cost.shape) < 0.7
    seeds = np.where(rng.random(cost.shape) < 0.1, rng.integers(1, 2**31 - 1, cost.shape), 0).astype(dtype)
    assert seeds[~mask].any()
    assert seeds[mask].any()
    labels = flood(cost, seeds, mask, lines)
    assert labels.dtype == dtype
    assert not labels[~mask].any()
    np.testing.assert_array_equal(labels, flood(cost, np.where(mask, seeds, 0).astype(dtype), mask, lines))
    np.testing.assert_array_equal(labels[mask & (seeds > 0)], seeds[mask & (seeds > 0)])


@pytest.mark.parametrize("lines", [False, True])
def test_nothing_to_flood_gives_no_labels(lines: bool) -> None:
    cost, seeds, mask = random_flood((4, 5, 6), 0)
    assert not flood(cost, seeds, np.zeros_like(mask), lines).any()
    assert not flood(cost, np.zeros_like(seeds), mask, lines).any()
    empty = np.zeros((0, 5, 6))
    assert flood(empty, empty.astype(np.int64), empty.astype(bool), lines).shape == (0, 5, 6)


def test_inputs_are_not_modified_and_may_be_read_only() -> None:
    inputs = random_flood((6, 9, 8), 1)
    copies = [array.copy() for array in inputs]
    for array in inputs:
        array.flags.writeable = False
    flood(*inputs, True)
    for array, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_shapes_must_agree(wrong: int) -> None:
    inputs = list(random_flood((4, 5, 6), 1))
    inputs[wrong] = inputs[wrong][:3].copy()
    with pytest.raises(ValueError, match="cost, seeds and mask must have the same shape"):
        flood(*inputs, True)


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.int64])
def test_costs_of_other_types_are_refused(dtype: Any) -> None:
    cost, seeds, mask = random_flood((4, 5, 6), 1)
    with pytest.raises(ValueError, match="cost must be float32 or float64"):
        flood(cost.astype(dtype), seeds, mask, True)


@pytest.fixture(scope="module")
def cut() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return cost, seeds and mask of the reference's watershed cutting, and its labels."""
    golden = archive("operators")
    mask, peaks, labels = (
        golden[name] for name in ("masked_object_ave", "local_maxima", "watershed_cutting")
    )
    seeds, _ = ndi.label(ndi.binary_dilation(peaks > 0), FULL)
    return -ndi.distance_transform_edt(mask), np.where(mask, seeds, 0), mask, labels


def test_the_definition_reproduces_the_reference(
    cut: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    cost, seeds, mask, expected = cut
    np.testing.assert_array_equal(flood_slowly(cost, seeds, mask, True, layout_ordered_queue), expected)


def test_reproduces_the_reference(cut: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
    # Ties among seeds may move voxels in general; here they do not.
    cost, seeds, mask, expected = cut
    np.testing.assert_array_equal(flood(cost, seeds, mask, True), expected)
