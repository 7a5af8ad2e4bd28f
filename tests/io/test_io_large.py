"""Volumes larger than memory: a box is read from what it touches, and a stack is written in bounded parts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from fastseg import io
from fastseg.io import voxels, write_tiff
from fastseg.io.omezarr_layout import layout_for
from fastseg.types import Box

MIB = 1 << 20


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Bytes that numpy and Python have taken at most since the block began."""
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Watched:
    """A stack made when it is read: counts how often each voxel is, and the bytes of the largest read."""

    def __init__(
        self, shape: tuple[int, int, int], dtype: str, chunks: tuple[int, int, int] | None = None
    ) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.times = np.zeros(shape, np.uint8)
        self.largest = 0
        if chunks is not None:
            self.chunks = chunks

    def values(self) -> np.ndarray:
        z, y, x = np.indices(self.shape, sparse=True)
        return (z % 7 + y % 11 * 7 + x % 3 * 77).astype(self.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        self.times[key] += 1
        keys = (
            (*key, slice(None), slice(None))[:3]
            if isinstance(key, tuple)
            else (key, slice(None), slice(None))
        )
        z, y, x = (np.arange(n)[k] for n, k in zip(self.shape, keys))
        # Narrow from the start: the stack itself shall not be what takes the memory.
        row = (y % 11 * 7).astype(self.dtype)[:, None] + (x % 3 * 77).astype(self.dtype)
        block = (z % 7).astype(self.dtype)[:, None, None] + row
        self.largest = max(self.largest, block.nbytes)
        return block


@pytest.mark.parametrize(
    ("budget", "chunks"),
    [
        (1 << 30, None),
        (1 << 16, None),
        (1 << 16, (8, 64, 64)),
        (1 << 14, (64, 64, 64)),
        (1 << 14, (1, 400, 500)),
        (1 << 16, (40, 1, 1)),
        (1, (40, 400, 500)),
    ],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_tiff_reads_each_voxel_once_in_bounded_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, budget: int, chunks: tuple | None, dtype: str
) -> None:
    monkeypatch.setattr(voxels, "_BUDGET", budget)
    monkeypatch.setattr(write_tiff, "_ONE_STRIP", 10_000)
    monkeypatch.setattr(write_tiff, "_STRIP", 8_000)
    monkeypatch.setattr(write_tiff, "_HELD", 1000)
    stack = Watched((40, 403, 251), dtype, chunks)
    path = io.write_image(tmp_path / "x.tiff", stack)
    assert (stack.times == 1).all()
    rows = 16 if dtype == "uint8" else 4
    assert stack.largest <= max(budget, rows * 251 * stack.dtype.itemsize)
    np.testing.assert_array_equal(tifffile.imread(path), stack.values())
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert page.rowsperstrip == rows
        assert len(page.dataoffsets) == -(-403 // (16 if dtype == "uint8" else 4))
        strips = [n for p in file.pages for n in p.dataoffsets]
        assert strips == sorted(strips)
    assert [p.name for p in tmp_path.iterdir()] == ["x.tiff"]


@pytest.mark.parametrize("name", ["x.tiff", "x.zarr"])
def test_writing_takes_the_memory_of_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(voxels, "_BUDGET", 4 * MIB)
    stack = Watched((64, 1024, 1024), "uint8")
    with peak_memory() as peak:
        io.write_mask(tmp_path / name, stack)
        # Zarr: a row of chunks of 8 MiB, its conversions, and chunks that wait for the compressor.
        assert peak() < (24 * MIB if name == "x.tiff" else 96 * MIB)
    assert (stack.times == 1).all()
    assert stack.largest <= (4 * MIB if name == "x.tiff" else 16 * MIB)


def test_labels_are_measured_in_bounded_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxels, "_BUDGET", MIB)
    labels = Watched((40, 403, 251), "int64")
    path = io.write_labels(tmp_path / "x.tiff", labels)
    assert labels.largest <= MIB
    assert (labels.times == 2).all()  # once for the greatest label, which decides on the type
    np.testing.assert_array_equal(io.read(path).volume(), labels.values())


def test_large_planes_are_strips_and_small_ones_are_not(tmp_path: Path) -> None:
    for shape, rows in [((1, 2048, 2048), 2048), ((1, 2049, 2048), 512), ((1, 5, 9_000_000), 1)]:
        path = io.write_image(tmp_path / "x.tiff", np.ones(shape, np.uint8), overwrite=True)
        with tifffile.TiffFile(path) as file:
            assert file.pages[0].rowsperstrip == rows


@pytest.fixture
def segments(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Offset and length of what tifffile reads from files."""
    found: list[tuple[int, int]] = []
    real = tifffile.FileHandle.read

    def read(self: Any, size: int = -1) -> bytes:
        found.append((self.tell(), size))
        return real(self, size)

    several = tifffile.FileHandle.read_segments

    def read_segments(self: Any, offsets: Any, counts: Any, *args: Any, **options: Any) -> Any:
        found.extend(zip(offsets, counts))
        return several(self, offsets, counts, *args, **options)

    monkeypatch.setattr(tifffile.FileHandle, "read", read)
    monkeypatch.setattr(tifffile.FileHandle, "read_segments", read_segments)
    return found


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # planes 3 and 4; rows 20 to 44 are in strips of 16 from number 1 to 2, in tiles of 16 likewise
        ({"rowsperstrip": 16}, {1, 2}),
        ({"rowsperstrip": 16, "predictor": True}, {1, 2}),
        ({"tile": (16, 32)}, {1 * 3 + 1, 1 * 3 + 2, 2 * 3 + 1, 2 * 3 + 2}),
        ({"rowsperstrip": 90}, {0}),
    ],
)
def test_a_box_decodes_the_segments_it_touches(
    tmp_path: Path, segments: list, options: dict, expected: set[int], bigtiff: bool
) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (9, 90, 70)).astype(np.uint8)
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, stack, compression="zlib", bigtiff=bigtiff, **options)
    image = io.read(path)
    image.data[0, 0, 0, 0, 0]  # opens the file
    segments.clear()
    np.testing.assert_array_equal(image.data[0, 0, 3:5, 20:44, 40:66], stack[3:5, 20:44, 40:66])
    read = set(segments)
    with tifffile.TiffFile(path) as file:
        wanted = {
            (file.pages[page].dataoffsets[number], file.pages[page].databytecounts[number])
            for page in (3, 4)
            for number in expected
        }
    assert read == wanted


def test_pages_of_one_strip_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((48, 1024, 1024), np.uint8), compression="zlib", rowsperstrip=1024)
    image = io.read(path)
    image.data[0, 0, 0, 0, 0]
    with peak_memory() as peak:
        image.data[0, 0, :, :64, :64]
        assert peak() < 16 * MIB


def test_a_tiff_of_more_than_two_to_the_32_bytes(tmp_path: Path) -> None:
    shape = (4096, 1024, 1100)
    path = tmp_path / "x.tif"
    tifffile.imwrite(
        path, None, shape=shape, dtype="uint8", bigtiff=True
    )  # a hole, as file systems have them
    with tifffile.TiffFile(path) as file:
        offset = file.pages[0].dataoffsets[0]
    block = np.random.default_rng(0).integers(1, 255, (2, 3, 1100)).astype(np.uint8)
    with open(path, "r+b") as file:
        for z in range(2):
            file.seek(offset + ((4094 + z) * 1024 + 1021) * 1100)
            file.write(block[z].tobytes())
    image = io.read(path)
    assert image.shape[2:] == shape
    with peak_memory() as peak:
        np.testing.assert_array_equal(image.data[0, 0, -2:, -3:], block)
        np.testing.assert_array_equal(image.data[0, 0, 4095, 1022, 7:9], block[1, 1, 7:9])
        assert not image.data[0, 0, 4000:4094, 1000:, :5].any()
        assert peak() < MIB


class Reads(list[tuple[str, int]]):
    """Key and bytes of what zarr reads from a folder."""

    def chunks(self) -> set[str]:
        return {key for key, size in self if size and "/c/" in key}


@pytest.fixture
def zarr_reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    from zarr.storage import LocalStore

    found = Reads()
    real = LocalStore.get

    async def get(self: Any, key: str, *args: Any, **options: Any) -> Any:
        value = await real(self, key, *args, **options)
        found.append((f"/{key}", 0 if value is None else len(value)))
        return value

    monkeypatch.setattr(LocalStore, "get", get)
    return found


def zarr_image(folder: Path, array: np.ndarray, chunks: tuple, shards: tuple | None = None) -> Path:
    import zarr

    axes = [{"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    zarr.create_group(str(folder), zarr_format=3, attributes={"ome": ome})
    made = zarr.create_array(
        str(folder / "0"), shape=array.shape, chunks=chunks, shards=shards, dtype=array.dtype
    )
    made[...] = array
    return folder


LAYOUTS = {
    "planes": ((1, 90, 70), None, {f"/c/{z}/0/0" for z in (3, 4)}),
    "columns of z": ((40, 1, 1), None, {f"/c/0/{y}/{x}" for y in range(20, 24) for x in range(40, 46)}),
    "columns of y": ((1, 90, 1), None, {f"/c/{z}/0/{x}" for z in (3, 4) for x in range(40, 46)}),
    "blocks": ((16, 16, 16), None, {f"/c/0/1/{x}" for x in (2,)}),
    "the whole volume": ((40, 90, 70), None, {"/c/0/0/0"}),
    "shards": ((4, 8, 8), (16, 32, 32), {"/c/0/0/1"}),
    "one shard": ((4, 8, 8), (40, 96, 72), {"/c/0/0/0"}),
}


@pytest.mark.parametrize(("chunks", "shards", "expected"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_box_reads_the_chunks_it_touches(
    tmp_path: Path, zarr_reads: Reads, chunks: tuple, shards: tuple | None, expected: set[str]
) -> None:
    stack = np.random.default_rng(0).integers(1, 255, (40, 90, 70)).astype(np.uint8)
    if min(chunks[1:]) == 1:
        stack = stack[:, :30, :50]  # a file for each column takes its time
    image = io.read(zarr_image(tmp_path / "x.zarr", stack, chunks, shards))
    zarr_reads.clear()
    box = np.s_[3:5, 20:24, 40:46]
    np.testing.assert_array_equal(image.data[(0, 0, *box)], stack[box])
    assert {key[key.index("/c/") :] for key in zarr_reads.chunks()} == expected
    if shards is not None:  # the index of the shard, and two chunks of 4 x 8 x 8 of it
        chunks_inside = np.prod(shards) // np.prod(chunks)
        read = sum(size for _, size in zarr_reads)
        assert read < 16 * chunks_inside + 4 + 2 * 2 * (4 * 8 * 8 + 64)
    np.testing.assert_array_equal(image.data[0, 0], stack)


def test_what_tiles_wrote_is_read_by_the_chunk(tmp_path: Path, zarr_reads: Reads) -> None:
    shape, tile = (128, 256, 256), (128, 128, 256)
    layout = layout_for(tile, shape)
    assert layout.shards is not None
    with io.new_image(tmp_path / "x.zarr", shape, np.uint8, tile=tile) as store:
        noise = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
        for y in (0, 128):
            box = Box((0, y, 0), (128, y + 128, 256))
            store.write(box, noise[box.slices])
        store.complete()
    image = io.read(tmp_path / "x.zarr")
    zarr_reads.clear()
    np.testing.assert_array_equal(image.data[0, 0, 60:64, 100:128, 200:256], noise[60:64, 100:128, 200:256])
    assert sum(size for _, size in zarr_reads) < 1.2 * np.prod(layout.chunks)
