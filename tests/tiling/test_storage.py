"""Scratch volumes: what is written comes back, nothing is left behind, a full disk is told in one sentence."""

from __future__ import annotations

import errno
import pickle
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from fastseg.arrays import Device, namespace_for
from fastseg.errors import WriteError
from fastseg.tiling import ArrayVolume, chunked
from fastseg.tiling.chunked import ScratchVolume, chunks_of
from fastseg.tiling.grid import Grid
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.storage import Memory
from fastseg.tiling.volume import Volume
from fastseg.types import Box
from tests.support import assert_identical

NS = namespace_for(Device("cpu"))


def fill(volume: Volume, grid: Grid, data: np.ndarray) -> None:
    for box in grid:
        volume.write(box, data[box.slices])


def some(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    rng = np.random.default_rng(prod(shape))
    data = rng.integers(0, 250, shape).astype(dtype)
    if data.dtype.kind == "f":
        data.flat[::5] = -0.0
        data.flat[1::7] = np.nan
    return data


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "tile"),
    [
        ((7, 5, 9), (3, 5, 2)),
        ((1, 1, 1), (1, 1, 1)),
        ((5, 13), (2, 4)),
        ((4, 6, 8), (4, 6, 8)),
        ((3, 4, 50), (1, 1, 9)),
    ],
)
def test_what_is_written_in_tiles_comes_back_in_boxes(
    shape: tuple[int, ...], tile: tuple[int, ...], dtype: Any, tmp_path: Path
) -> None:
    data = some(shape, dtype)
    with Scratch(tmp_path) as scratch:
        volume = scratch.volume(shape, tile, NS)
        fill(volume, Grid.over(shape, tile), data)
        assert (volume.shape, volume.dtype) == (shape, data.dtype)
        assert_identical(volume.read(Box.whole(shape)), data)
        inner = Box(tuple(n // 3 for n in shape), tuple(-(-2 * n // 3) for n in shape))
        assert_identical(volume.read(inner), np.ascontiguousarray(data[inner.slices]))
        assert volume.read(inner).flags.c_contiguous


def test_tiles_may_be_written_in_any_order_and_again() -> None:
    data = some((6, 7, 8), np.float32)
    grid = Grid.over(data.shape, (2, 3, 5))
    with Scratch() as scratch:
        volume = scratch.volume(data.shape, grid.tile, NS)
        for box in [*reversed(list(grid)), *grid]:
            volume.write(box, data[box.slices])
        assert_identical(volume.read(Box.whole(data.shape)), data)


def test_a_volume_travels_as_its_path() -> None:
    data = some((32, 64, 64), np.float32)
    with Scratch() as scratch:
        volume = scratch.volume(data.shape, data.shape, NS)
        early = pickle.loads(pickle.dumps(volume))  # sent to a worker before anything was written
        volume.write(Box.whole(data.shape), data)
        assert len(pickle.dumps(volume)) < 1000
        late = pickle.loads(pickle.dumps(volume))
        for there in (early, late):
            assert_identical(there.read(Box.whole(data.shape)), data)
        early.write(Box.whole(data.shape), data + 1)
        assert_identical(volume.read(Box.whole(data.shape)), data + 1)


@given(
    st.integers(2, 3).flatmap(
        lambda ndim: st.tuples(*(st.tuples(st.integers(1, 3000), st.integers(1, 3000)) for _ in range(ndim)))
    )
)
def test_no_chunk_lies_in_two_tiles_and_chunks_are_neither_tiny_nor_huge(
    sides: tuple[tuple[int, int], ...],
) -> None:
    shape = tuple(n for n, _ in sides)
    tile = Grid.over(shape, [t for _, t in sides]).tile
    chunks = chunks_of(tile, shape)
    assert len(chunks) == len(shape)
    for chunk, side, length in zip(chunks, tile, shape, strict=True):
        assert 1 <= chunk <= side
        assert side % chunk == 0 or side == length
        assert chunk >= min(side, 8)


@pytest.mark.parametrize(
    ("tile", "shape", "chunks"),
    [
        ((256, 256, 256), (1024, 1024, 1024), (128, 128, 128)),
        ((24, 64, 64), (48, 192, 192), (24, 64, 64)),
        ((1, 4096, 4096), (100, 4096, 4096), (1, 1448, 1448)),
        ((500, 500), (5000, 5000), (500, 500)),
        ((3, 5, 7), (9, 10, 11), (3, 5, 7)),
        ((127, 127, 127), (500, 500, 500), (127, 127, 127)),
    ],
)
def test_chunks(tile: tuple[int, ...], shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
    assert chunks_of(tile, shape) == chunks


def test_chunks_on_disk_are_those_of_the_tile() -> None:
    with Scratch() as scratch:
        volume = scratch.volume((8, 300, 200), (4, 150, 100), NS)
        assert isinstance(volume, ScratchVolume)
        volume.write(Box((0, 0, 0), (4, 150, 100)), np.ones((4, 150, 100), bool))
        assert zarr.open_array(volume.path, mode="r").chunks == chunks_of((4, 150, 100), (8, 300, 200))


def test_volumes_are_zarr_arrays() -> None:
    data = some((9, 30, 20), np.float32)
    with Scratch() as scratch:
        volume = scratch.volume(data.shape, (4, 15, 10), NS)
        assert isinstance(volume, ScratchVolume)
        fill(volume, Grid.over(data.shape, (4, 15, 10)), data)
        assert_identical(zarr.open_array(volume.path, mode="r")[:], data)


def test_what_was_never_written_is_zero() -> None:
    with Scratch() as scratch:
        volume = scratch.volume((8, 8, 8), (4, 8, 8), NS)
        volume.write(Box((4, 0, 0), (8, 8, 8)), np.ones((4, 8, 8), np.int32))
        assert volume.read(Box.whole((8, 8, 8))).sum(axis=(1, 2)).tolist() == [0] * 4 + [64] * 4


def test_parts_of_a_chunk_may_be_written_one_after_the_other() -> None:
    data = some((7, 9, 11), np.float64)
    with Scratch() as scratch:
        volume = scratch.volume(data.shape, data.shape, NS)
        fill(volume, Grid.over(data.shape, (3, 4, 5)), data)
        assert_identical(volume.read(Box.whole(data.shape)), data)


def test_volumes_have_files_of_their_own_and_release_removes_them(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        first, second = (scratch.volume((2, 3, 4), (2, 3, 4), NS) for _ in range(2))
        first.write(Box.whole((2, 3, 4)), np.zeros((2, 3, 4), np.uint8))
        second.write(Box.whole((2, 3, 4)), np.ones((2, 3, 4), np.uint8))
        assert len(list(scratch.folder.glob("*.zarr"))) == 2
        scratch.release(first)
        assert len(list(scratch.folder.glob("*.zarr"))) == 1
        assert second.read(Box.whole((2, 3, 4))).all()
        scratch.release(first)
        scratch.release(ArrayVolume(np.zeros(3)))
        scratch.release(scratch.volume((2, 2, 2), (2, 2, 2), NS))  # nothing was written to it
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    def fails() -> None:
        with Scratch(tmp_path) as scratch:
            scratch.volume((2, 2, 2), (2, 2, 2), NS).write(Box.whole((2, 2, 2)), np.ones((2, 2, 2)))
            assert list(tmp_path.iterdir()) == [scratch.folder]
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_two_scratches_do_not_share_a_folder(tmp_path: Path) -> None:
    with Scratch(tmp_path / "made" / "on the way") as a, Scratch(tmp_path / "made" / "on the way") as b:
        assert a.folder != b.folder
        a.close()
        assert b.folder.is_dir()


@pytest.mark.parametrize("when", ["create_array", "open"])
def test_a_full_disk_is_one_sentence(when: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if when == "create_array":
        monkeypatch.setattr(zarr, when, full)
    else:
        monkeypatch.setattr(chunked, "open", full, raising=False)
    with Scratch(tmp_path) as scratch:
        volume = scratch.volume((2, 2, 2), (2, 2, 2), NS)
        with pytest.raises(WriteError) as caught:
            volume.write(Box.whole((2, 2, 2)), np.ones((2, 2, 2), np.float32))
        assert str(caught.value) == (
            f"scratch {scratch.folder / '0.zarr'} cannot be written: No space left on device"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError) as caught:
        Scratch(tmp_path / "file" / "below")
    assert (
        str(caught.value) == f"scratch folder {tmp_path / 'file' / 'below'} cannot be used: Not a directory"
    )


def test_memory_allocates_at_the_first_write() -> None:
    memory = Memory()
    volume = memory.volume((2, 3, 4), (1, 3, 4), NS)
    with pytest.raises(RuntimeError, match="read before anything was written"):
        volume.read(Box.whole((2, 3, 4)))
    volume.write(Box((0, 0, 0), (1, 3, 4)), np.ones((1, 3, 4), np.uint16))
    assert volume.dtype == np.dtype(np.uint16)
    memory.release(volume)
