"""Patch grids: every voxel once, at the right phase, within the halo; the compat grid is the reference's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.errors import UsageError
from fastseg.tiling import Grid
from fastseg.types import Box
from fastseg.unet.extension import mirrored, read_extended
from fastseg.unet.flips import flip_set, flipped, flipped_box
from fastseg.unet.networks.registry import architecture
from fastseg.unet.patches import (
    AlignedGrid,
    CompatGrid,
    PatchGrid,
    compat_spans,
    cuts_no_patch,
    halo_of,
    whole_patches,
)

SIZES = architecture("unet_xy").sizes
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 150), st.integers(1, 150))
OUTPUTS = st.tuples(st.integers(1, 20), st.integers(1, 10), st.integers(1, 10)).map(
    lambda t: (t[0], 4 + 8 * t[1], 4 + 8 * t[2])
)
TILES = st.tuples(st.integers(1, 40), st.integers(5, 150), st.integers(5, 150))
FLIPS = st.sampled_from(flip_set("all"))


def owners(grid: PatchGrid, shape: tuple, tile: tuple | None, flip: tuple) -> np.ndarray:
    """How often each voxel of the volume is kept, and a check of every patch on the way."""
    count = np.zeros(shape, int)
    whole = cuts_no_patch(grid, shape, tile)
    halo = halo_of(grid, shape, whole)
    for core in Grid.over(shape, tile):
        box = flipped_box(core.grow(halo, shape), shape, flip)
        for patch in grid.patches(core, shape, flip):
            for a, n, rule, low, high, length in zip(
                patch.start, patch.size, SIZES.axes, box.start, box.stop, shape, strict=True
            ):
                assert rule.is_valid(n + 2 * rule.margin)
                assert max(0, a - rule.margin) >= low
                if isinstance(grid, AlignedGrid):
                    assert a % rule.period == 0
                    assert min(length, a + n + rule.margin) <= high
            for (a, b), start, n in zip(patch.keep, patch.start, patch.size, strict=True):
                assert start <= a < b <= start + n
            flipped(count, flip)[patch.keep.slices] += 1
            assert (flipped(count, flip)[patch.keep.slices] == 1).all()
    return count


@given(SHAPES, OUTPUTS, st.none() | TILES, FLIPS)
def test_aligned_patches_give_every_voxel_once(
    shape: tuple, size: tuple, tile: tuple | None, flip: tuple
) -> None:
    assert (owners(AlignedGrid(SIZES, size), shape, tile, flip) == 1).all()


@given(SHAPES, OUTPUTS, st.none() | TILES, FLIPS)
def test_compat_patches_give_every_voxel_once(
    shape: tuple, size: tuple, tile: tuple | None, flip: tuple
) -> None:
    assert (owners(CompatGrid(SIZES, size), shape, tile, flip) == 1).all()


@given(SHAPES, OUTPUTS, TILES, FLIPS)
def test_a_voxel_is_computed_in_the_same_patch_in_every_tiling(
    shape: tuple, size: tuple, tile: tuple, flip: tuple
) -> None:
    for grid in (AlignedGrid(SIZES, size), CompatGrid(SIZES, size)):
        all_patches = {(p.start, p.size) for p in grid.patches(Box.whole(shape), shape, flip)}
        for core in Grid.over(shape, tile):
            assert {(p.start, p.size) for p in grid.patches(core, shape, flip)} <= all_patches


@given(SHAPES, OUTPUTS, TILES)
def test_tiles_of_whole_patches_compute_nothing_twice(shape: tuple, size: tuple, tile: tuple) -> None:
    grid = AlignedGrid(SIZES, size)
    tile = whole_patches(grid, shape, tile)
    assert cuts_no_patch(grid, shape, tile)
    assert halo_of(grid, shape, True) == SIZES.halo
    tiled = [p for core in Grid.over(shape, tile) for p in grid.patches(core, shape)]
    assert len(tiled) == len(list(grid.patches(Box.whole(shape), shape)))


def reference_starts(length: int, size: int) -> list[int]:
    """``floor(N / o) + 1`` steps, the last one moved back."""
    steps = length // size + 1
    return [j * size if j < steps - 1 else length - size for j in range(steps)]


@given(st.integers(52, 400))
def test_compat_spans_are_the_references(length: int) -> None:
    owner = np.full(length, -1)
    for start in reference_starts(length, 52):
        owner[start : start + 52] = start
    ours = np.full(length, -1)
    for span in compat_spans(0, length, length, 52):
        ours[slice(*span.keep)] = span.start
    np.testing.assert_array_equal(ours, owner)


def test_an_exact_multiple_is_computed_once() -> None:
    assert [s.start for s in compat_spans(0, 104, 104, 52)] == [0, 52]
    assert [s.start for s in compat_spans(0, 52, 52, 52)] == [0]
    assert [s.start for s in compat_spans(0, 100, 100, 52)] == [0, 48]


def test_aligned_patches_must_not_leave_gaps() -> None:
    with pytest.raises(UsageError, match="leave gaps"):
        AlignedGrid(SIZES, (1, 4, 12))


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 5)),
)
def test_reading_beyond_the_volume_is_numpys_padding(rows: int, columns: int, by: tuple) -> None:
    image = np.arange(3 * rows * columns, dtype=np.float32).reshape(3, rows, columns)
    expected = np.pad(image, ((0, 0), (by[0], by[0]), (by[1], by[1])), "symmetric")
    expected = np.pad(expected, ((by[2], by[2]), (0, 0), (0, 0)))
    wanted = Box((-by[2], -by[0], -by[1]), (3 + by[2], rows + by[0], columns + by[1]))
    found = read_extended([image], Box.whole(image.shape), image.shape, image.shape, wanted)
    np.testing.assert_array_equal(found[0], expected)


def test_mirroring_repeats_the_edge() -> None:
    assert mirrored(np.arange(-4, 8), 3).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1][:12]
