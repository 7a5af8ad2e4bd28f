"""Grids: tiles cover every voxel once, in scan order, and are found again from boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.tiling import ArrayVolume, Engine, Grid, Local
from fastseg.tiling.volume import PendingVolume
from fastseg.types import Box

SHAPES = st.lists(st.integers(1, 9), min_size=2, max_size=3).map(tuple)


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    shape = draw(SHAPES)
    return Grid.over(shape, [draw(st.integers(1, 12)) for _ in shape])


@given(grids())
def test_tiles_cover_every_voxel_once(grid: Grid) -> None:
    count = np.zeros(grid.shape, int)
    for box in grid:
        assert all(0 < n <= t for n, t in zip(box.shape, grid.tile, strict=True))
        count[box.slices] += 1
    assert (count == 1).all()


@given(grids())
def test_tiles_come_in_scan_order_and_are_counted(grid: Grid) -> None:
    boxes = list(grid)
    assert boxes == sorted(boxes, key=lambda b: b.start)
    assert len(boxes) == len(grid) == np.prod(grid.counts)
    assert grid.is_whole == (len(boxes) == 1)


@given(grids(), st.data())
def test_overlapping_finds_exactly_the_tiles_that_share_a_voxel(grid: Grid, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, n - 1)) for n in grid.shape)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, grid.shape, strict=True))
    inside = np.zeros(grid.shape, bool)
    inside[Box(start, stop).slices] = True
    expected = [(i, box) for i, box in enumerate(grid) if inside[box.slices].any()]
    assert list(grid.overlapping(Box(start, stop))) == expected


@pytest.mark.parametrize(
    ("shape", "tile", "sides"),
    [
        ((4, 5, 6), None, (4, 5, 6)),
        ((4, 5, 6), (9, 9, 9), (4, 5, 6)),
        ((4, 5, 6), (0, 2, 3), (1, 2, 3)),
        ((4, 5, 6), (2, 3), (4, 2, 3)),
        ((5, 6), (1, 2, 3), (2, 3)),
    ],
)
def test_sides_of_tiles(shape: tuple[int, ...], tile: tuple[int, ...] | None, sides: tuple[int, ...]) -> None:
    assert Grid.over(shape, tile).tile == sides


def test_planes_are_whole_and_z_stays_cut() -> None:
    assert list(Grid.over((5, 6, 7), (2, 6, 9)).of_planes()) == [
        Box((0, 0, 0), (2, 6, 7)),
        Box((2, 0, 0), (4, 6, 7)),
        Box((4, 0, 0), (5, 6, 7)),
    ]


@pytest.mark.parametrize(
    ("tile", "planes"), [((4, 3, 7), 2), ((4, 5, 7), 3), ((5, 1, 1), 1), ((1, 2, 2), 1), (None, 5)]
)
def test_tiles_of_planes_are_no_larger_than_tiles_or_one_plane(
    tile: tuple[int, ...] | None, planes: int
) -> None:
    assert Grid.over((5, 6, 7), tile).of_planes().tile == (planes, 6, 7)
    assert Grid.over((6, 7), tile).of_planes().tile == (6, 7)


def test_a_box_grows_by_the_halo_up_to_the_border() -> None:
    box = Box((2, 0, 3), (4, 5, 6))
    wide = box.grow((1, 2, 9), (10, 6, 8))
    assert wide == Box((1, 0, 0), (5, 6, 8))
    assert box.within(wide) == (slice(1, 3), slice(0, 5), slice(3, 6))
    assert (box.shape, box.size) == ((2, 5, 3), 30)


def _halo_of_two(params: object) -> tuple[int, int, int]:
    return 2, 2, 2


def _covers_the_box(block: object) -> np.ndarray:
    return block.arrays[0] + 1


def _covers_the_core(block: object) -> np.ndarray:
    return block.arrays[0][block.place.keep] + 1


@pytest.mark.parametrize("apply", [_covers_the_box, _covers_the_core])
def test_local_code_may_return_the_box_or_the_core(apply: object) -> None:
    image = np.arange(5 * 6 * 7).reshape(5, 6, 7)
    result = Engine(tile=(1, 4, 3)).run(Local(apply, _halo_of_two), {"image": ArrayVolume(image)}, None)
    np.testing.assert_array_equal(result.read(Box.whole(image.shape)), image + 1)


def test_a_pending_volume_cannot_be_read_before_it_is_written() -> None:
    volume = PendingVolume((2, 3), np)
    with pytest.raises(RuntimeError, match="before anything was written"):
        volume.read(Box.whole((2, 3)))
    volume.write(Box((0, 0), (1, 3)), np.ones((1, 3), np.int16))
    assert volume.dtype == np.int16
