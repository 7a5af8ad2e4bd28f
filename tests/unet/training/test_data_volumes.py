"""Decoded volumes: once from each file, in bounded memory, with nothing left behind."""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import threading
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg.errors import InputError, WriteError
from fastseg.unet.training import scratch_file
from fastseg.unet.training.items import load_item
from fastseg.unet.training.stacks import Stack
from fastseg.unet.training.team import Team
from fastseg.unet.training.volumes import VolumeStore
from tests.unet.training.made import data_set, item, volumes

SHAPES = [(5, 7, 9), (3, 11, 6), (4, 8, 8)]


def is_mapped(array: np.ndarray) -> bool:
    """Whether the memory of an array is that of a mapped file."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap.mmap) or (isinstance(base, memoryview) and isinstance(base.obj, mmap.mmap))


@pytest.mark.parametrize("memory", [0, 5000, 1 << 20])
@pytest.mark.parametrize("channels", [1, 2])
def test_content_is_the_same_wherever_it_is(tmp_path: Path, memory: int, channels: int) -> None:
    items = data_set(tmp_path, SHAPES, channels)
    with_store = VolumeStore(items, channels, memory)
    held = 0
    for index, one in enumerate(items):
        got = with_store[index]
        image, truth, cost = load_item(one)
        for array, expected in zip((got.image, got.truth, got.cost), (image, truth, cost), strict=True):
            assert array is not None
            np.testing.assert_array_equal(array, expected)
            assert not array.flags.writeable
            held += 0 if is_mapped(array) else array.nbytes
        counted = (truth == 1) & (cost > 0)
        np.testing.assert_array_equal(got.foreground, counted.sum((1, 2))[None])
        np.testing.assert_array_equal(got.counting, (cost > 0).sum((1, 2)))
    assert held <= with_store.bytes_in_memory <= memory
    assert (with_store.bytes_in_scratch == 0) == (memory == 1 << 20)
    assert with_store.shapes == tuple(SHAPES)
    with_store.close()
    with_store.close()


def test_counts_of_several_classes(tmp_path: Path) -> None:
    image, truth, _ = volumes((4, 8, 8), 1)
    truth[:] = 0
    truth[1, 2:4, 3] = 3
    truth[2, 0, 0] = 1
    got = VolumeStore([item(tmp_path, "a", image[0], truth)], 1, 0)[0]
    np.testing.assert_array_equal(got.foreground, [[0, 0, 1, 0], [0, 0, 0, 0], [0, 2, 0, 0]])
    assert got.counting is None
    assert got.cost is None


def test_each_plane_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = data_set(tmp_path, SHAPES)
    read: list[tuple[str, int]] = []
    planes = Stack.planes

    def counted(self: Stack, wanted: range, dtype: Any = None) -> np.ndarray:
        read.extend((self.path, plane) for plane in wanted)
        return planes(self, wanted, dtype)

    monkeypatch.setattr(Stack, "planes", counted)
    store = VolumeStore(items, 1, 3000)
    assert read == []
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(store.__getitem__, [0, 1, 2] * 8):
            pass
    assert len(read) == len(set(read)) == 3 * sum(z for z, _, _ in SHAPES)


def test_decoding_to_scratch_takes_the_memory_of_a_few_planes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (64, 64, 64)
    monkeypatch.setattr("fastseg.unet.training.stacks._SLAB", 4 * 64 * 64 * 4)
    items = data_set(tmp_path, [shape])
    store = VolumeStore(items, 1, 0)
    VolumeStore(items, 1, 0)[0]  # imports and caches
    tracemalloc.start()
    try:
        store[0]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < store.bytes_in_scratch / 4


def test_scratch_has_no_name_and_is_given_back(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = len(os.listdir("/dev/fd"))
    store = VolumeStore(data_set(tmp_path, SHAPES), 1, 0, scratch)
    volume = store[1]
    assert list(scratch.iterdir()) == []
    store.close()
    assert volume.image.sum() > 0  # what is still in use stays readable
    del volume
    assert len(os.listdir("/dev/fd")) <= before


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = VolumeStore(data_set(tmp_path, SHAPES), 1, 0)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(WriteError, match=r"scratch file .* No space left on device"):
        store[0]


def test_scratch_that_cannot_be_made(tmp_path: Path) -> None:
    store = VolumeStore(data_set(tmp_path, SHAPES), 1, 0, tmp_path / "nowhere")
    with pytest.raises(WriteError, match="nowhere: No such file"):
        store[0]


def test_channels_have_to_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"img_001\.ome\.tif has 1 channel; the network takes 2"):
        VolumeStore(data_set(tmp_path, SHAPES), 2, 0)


# shared by processes -------------------------------------------------------------------------------------------------


class Member(Team):
    """A process of a team, played by a thread: what all have is gathered when all of them have come."""

    def __init__(self, rank: int, world: int, table: list[Any], barrier: threading.Barrier) -> None:
        super().__init__(rank, world)
        object.__setattr__(self, "_table", table)
        object.__setattr__(self, "_barrier", barrier)

    def gather(self, value: Any) -> list[Any]:
        self._table[self.rank] = pickle.loads(pickle.dumps(value))  # it goes from process to process
        self._barrier.wait(10)
        found = list(self._table)
        self._barrier.wait(10)
        return found


def together(world: int, make: Callable[[Team], Any]) -> list[Any]:
    """What each member makes; or the error that it raises."""
    table: list[Any] = [None] * world
    barrier = threading.Barrier(world)

    def one(rank: int) -> Any:
        try:
            return make(Member(rank, world, table, barrier))
        except WriteError as error:
            return error

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(one, range(world)))


@pytest.mark.parametrize("memory", [0, 3000])
def test_a_team_decodes_what_is_in_scratch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    items = data_set(tmp_path, [*SHAPES, (2, 9, 9)])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    read: list[tuple[str, int]] = []
    planes = Stack.planes

    def counted(self: Stack, wanted: range, dtype: Any = None) -> np.ndarray:
        read.extend((self.path, plane) for plane in wanted)
        return planes(self, wanted, dtype)

    monkeypatch.setattr(Stack, "planes", counted)
    stores = together(3, lambda team: VolumeStore(items, 1, memory, scratch, team))
    first = 0 if memory == 0 else 1  # the first item fits the memory, where it is decoded on use
    shared = stores[0].shapes[first:]
    assert len(read) == len(set(read)) == 3 * sum(z for z, _, _ in shared)
    assert list(scratch.iterdir()) == []  # it has no name any more
    alone = VolumeStore(items, 1, 1 << 20)
    for index in range(len(items)):
        expected = alone[index]
        for store in stores:
            got = store[index]
            assert got.name == expected.name
            assert got.largest_cost == expected.largest_cost
            for field in ("image", "truth", "cost", "foreground", "counting"):
                np.testing.assert_array_equal(getattr(got, field), getattr(expected, field))
            assert is_mapped(got.image) == (index >= first)
    files = {os.fstat(store._scratch_file.file).st_ino for store in stores if store._scratch_file}
    assert len(files) == 1
    for store in stores:
        store.close()


def test_a_team_needs_no_file_for_what_fits_the_memory(tmp_path: Path) -> None:
    items = data_set(tmp_path, SHAPES)
    stores = together(2, lambda team: VolumeStore(items, 1, 1 << 20, tmp_path / "nowhere", team))
    np.testing.assert_array_equal(stores[0][1].image, stores[1][1].image)


@pytest.mark.parametrize("who", [0, 1])
def test_a_file_that_one_cannot_open_is_an_error_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: int
) -> None:
    items = data_set(tmp_path, SHAPES)
    scratch = tmp_path / "scratch"
    if who == 1:  # the leading one makes it, the other is not let in
        scratch.mkdir()
        monkeypatch.setattr(scratch_file, "os", Refusing())
    found = together(2, lambda team: VolumeStore(items, 1, 0, scratch, team))
    for error in found:
        assert isinstance(error, WriteError)
        assert "for the training images can be made in" in str(error)
    assert not scratch.exists() or list(scratch.iterdir()) == []


class Refusing:
    """The module `os`, with which no file can be opened."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, *_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")
