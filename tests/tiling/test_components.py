"""Components joined across tiles against labels of the whole array."""

from typing import Any

import cc3d
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.tiling import ArrayVolume, Engine, Labels, Objects, Table
from fastseg.tiling.components import find_components, merge_rows, structure_of
from fastseg.tiling.executors import Serial
from fastseg.tiling.grid import Grid
from fastseg.tiling.packed import gather_object
from fastseg.tiling.volume import PendingVolume
from fastseg.types import Box
from tests.support import MASKS, mask


def given_mask(block: Any) -> np.ndarray:
    return block.arrays[0]


def never(*arguments: Any) -> Any:
    raise AssertionError("labelling computes no object")


def numbers(block: Any, rows: np.ndarray) -> np.ndarray:
    return rows


def rule(connectivity: int, planar: bool = False) -> Labels:
    return Labels(
        mask=given_mask,
        apply=numbers,
        connectivity=lambda params, ndim: min(connectivity, ndim),
        planar=lambda params: planar,
    )


def labels_of(
    objects: np.ndarray, tile: tuple[int, ...], connectivity: int, planar: bool = False
) -> np.ndarray:
    volume = Engine(tile=tile).run(rule(connectivity, planar), {"mask": ArrayVolume(objects)}, None)
    return volume.read(Box.whole(objects.shape))


def in_scan_order(labels: np.ndarray) -> np.ndarray:
    """Labels renumbered by the scan order of their first voxels."""
    found, first = np.unique(labels, return_index=True)
    order = found[np.argsort(first)]
    renumbered = np.zeros_like(labels)
    for number, label in enumerate(order[order > 0], start=1):
        renumbered[labels == label] = number
    return renumbered


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...], int]:
    dims = draw(st.integers(2, 3))
    shape = tuple(draw(st.integers(1, n)) for n in (6, 13, 14)[-dims:])
    tile = tuple(draw(st.integers(1, n)) for n in (3, 8, 8)[-dims:])
    objects = mask(draw(st.sampled_from(MASKS)), shape, draw(st.integers(0, 999)))
    return objects, tile, draw(st.integers(1, dims))


@given(cases())
def test_equals_labels_of_the_whole_array(case: tuple[np.ndarray, tuple[int, ...], int]) -> None:
    objects, tile, connectivity = case
    structure = ndi.generate_binary_structure(objects.ndim, connectivity)
    expected = in_scan_order(ndi.label(objects, structure)[0])
    neighbours = {2: (4, 8), 3: (6, 18, 26)}[objects.ndim][connectivity - 1]
    np.testing.assert_array_equal(
        expected, in_scan_order(cc3d.connected_components(objects, connectivity=neighbours))
    )
    np.testing.assert_array_equal(labels_of(objects, tile, connectivity), expected)


@given(cases())
def test_planar_labels_never_leave_their_plane(case: tuple[np.ndarray, tuple[int, ...], int]) -> None:
    objects, tile, connectivity = case
    planes = objects.reshape(-1, *objects.shape[-2:])
    connectivity = min(connectivity, 2)
    expected, total = np.zeros(planes.shape, int), 0
    for plane, out in zip(planes, expected, strict=True):
        labels, count = ndi.label(plane, ndi.generate_binary_structure(2, connectivity))
        out[labels > 0] = labels[labels > 0] + total
        total += count
    expected = in_scan_order(expected).reshape(objects.shape)
    np.testing.assert_array_equal(labels_of(objects, tile, connectivity, planar=True), expected)


@pytest.mark.parametrize(
    ("other", "joined_from"),
    [((1, 1, 0), 2), ((1, 0, 1), 2), ((0, 1, 1), 2), ((1, 1, 1), 3), ((0, 0, 1), 1), ((1, 0, 0), 1)],
)
def test_objects_that_touch_only_where_tiles_meet(other: tuple[int, int, int], joined_from: int) -> None:
    for flip in ((), (1,), (2,), (1, 2)):
        objects = np.zeros((2, 2, 2), bool)
        objects[0, 0, 0] = objects[other] = True
        objects = np.flip(objects, flip)
        for connectivity in (1, 2, 3):
            count = labels_of(objects, (1, 1, 1), connectivity).max()
            assert count == (1 if connectivity >= joined_from else 2)


def test_numbers_follow_the_first_voxel_and_not_the_tile() -> None:
    objects = np.zeros((1, 4, 8), bool)
    objects[0, 2, 0:2] = True  # first tile, but later in scan order
    objects[0, 0, 6] = True  # second tile
    labels = labels_of(objects, (1, 4, 4), 1)
    assert (labels[0, 0, 6], labels[0, 2, 0]) == (1, 2)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_neighbourhood(connectivity: int, planar: bool) -> None:
    expected = ndi.generate_binary_structure(3, connectivity)
    if planar:
        expected[[0, 2]] = False
    np.testing.assert_array_equal(structure_of(3, connectivity, planar), expected)


@given(cases())
def test_crossing_objects_and_their_boxes(case: tuple[np.ndarray, tuple[int, ...], int]) -> None:
    objects, tile, connectivity = case
    grid = Grid.over(objects.shape, tile)
    local = PendingVolume(objects.shape, np)
    objectwise = Objects(mask=given_mask, compute=never, dtype=never, connectivity=lambda p, n: connectivity)
    components = find_components(
        objectwise, None, [ArrayVolume(objects)], (), grid, local, Serial(), Engine().ns
    )
    whole, count = ndi.label(objects, structure_of(objects.ndim, connectivity, False))
    whole = in_scan_order(whole)
    assert components.count == count
    crossing = components.crossing()
    expected = {}
    for number, box in enumerate(ndi.find_objects(whole), start=1):
        tiles = {
            tile
            for tile, core in grid.overlapping(Box.whole(whole.shape))
            if (whole[core.slices] == number).any()
        }
        if len(tiles) > 1:
            expected[number] = Box(tuple(s.start for s in box), tuple(s.stop for s in box))
    assert list(crossing.numbers) == list(expected)
    for k, (number, box) in enumerate(expected.items()):
        assert (tuple(crossing.starts[k]), tuple(crossing.stops[k])) == (box.start, box.stop)
        np.testing.assert_array_equal(
            components.which(box, crossing.numbers[k : k + 1]), whole[box.slices] == number
        )
    if expected:
        numbers = crossing.numbers
        place = np.searchsorted(numbers, whole)
        known = numbers[np.minimum(place, len(numbers) - 1)] == whole
        np.testing.assert_array_equal(
            components.which(Box.whole(whole.shape), numbers), np.where(known, place + 1, 0)
        )
    alone = components.alone()
    for tile_number in range(len(grid)):
        final = components.of_tile(tile_number)
        first = int(components.offsets[tile_number]) + 1
        for label, number in enumerate(final[1:]):
            assert alone[first + label] == (number not in expected)


def test_rows_of_tiles_are_merged_by_number() -> None:
    swapped = (
        np.array([0, 2, 1]),
        np.array([7, 10, 20]),
    )  # another tile holds the first voxel of the second label
    twice = (np.array([0, 2, 2]), np.array([1, 3, 4]))
    only = (np.array([0, 1]), np.array([2, 5]))
    table = Table(never, "add", 0)
    assert merge_rows(table, 2, [swapped]).tolist() == [7, 20, 10]
    assert merge_rows(table, 2, [twice, only]).tolist() == [3, 5, 7]
    assert merge_rows(table, 2, [(np.arange(3), np.array([1, 1, 1])), swapped, twice]).tolist() == [9, 21, 18]
    largest = Table(never, "maximum", -1)
    assert merge_rows(largest, 2, [twice, only]).tolist() == [2, 5, 4]
    assert merge_rows(largest, 2, [only]).tolist() == [2, 5, -1]


class Far:
    """A volume of more than 2**31 voxels, of which a few near its end are set; nothing is held."""

    shape = (1500, 1500, 1500)
    dtype = np.dtype(bool)

    def __init__(self) -> None:
        self.labels: dict[Box, np.ndarray] = {}

    def read(self, box: Box) -> np.ndarray:
        for core, block in self.labels.items():
            if core.intersect(box) == box:
                return block[box.within(core)]
        block = np.zeros(box.shape, bool)
        for voxel in ((1499, 1499, 1499), (1400, 1407, 1408), (1400, 1408, 1408)):
            if all(a <= v < b for v, (a, b) in zip(voxel, box, strict=True)):
                block[tuple(v - a for v, (a, _) in zip(voxel, box, strict=True))] = True
        return block

    def write(self, box: Box, block: np.ndarray) -> None:
        self.labels[box] = block


class Last:
    """The tiles of a large grid that hold something, under their own numbers."""

    shape = Far.shape
    tile = (100, 64, 64)
    tiles = (Box((1400, 1344, 1408), (1500, 1408, 1472)), Box((1400, 1408, 1408), (1500, 1472, 1472)))
    tiles += (Box((1400, 1472, 1472), (1500, 1500, 1500)),)

    def __iter__(self) -> Any:
        return iter(self.tiles)

    def __len__(self) -> int:
        return len(self.tiles)

    def overlapping(self, box: Box) -> Any:
        return ((i, tile) for i, tile in enumerate(self.tiles) if all(tile.intersect(box).shape))


def test_positions_beyond_32_bits() -> None:
    volume, local = Far(), Far()
    objectwise = Objects(mask=given_mask, compute=never, dtype=never)
    grid: Any = Last()
    found = find_components(objectwise, None, [volume], (), grid, local, Serial(), Engine().ns)
    assert found.count == 2
    assert list(found.numbers) == [0, 1, 1, 2]  # the pair comes first in scan order
    crossing = found.crossing()
    assert crossing.starts.tolist() == [[1400, 1407, 1408]]
    assert crossing.stops.tolist() == [[1401, 1409, 1409]]
    item = gather_object(found, 1, Box((1400, 1407, 1408), (1401, 1409, 1409)), [volume])
    expected = [(1400 * 1500 + y) * 1500 + 1408 for y in (1407, 1408)]
    assert item.positions.tolist() == expected
    assert min(expected) > 2**31
    chosen, places = item.within(Box((1400, 1408, 1400), (1402, 1410, 1410)))
    assert (chosen.tolist(), places.tolist()) == ([1], [8])
