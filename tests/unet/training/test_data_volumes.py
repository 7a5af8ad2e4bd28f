"""Decoded volumes: once from each file, in bounded memory, with nothing left behind."""

from __future__ import annotations

import errno
import mmap
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg.errors import InputError, WriteError
from fastseg.unet.training.items import load_item
from fastseg.unet.training.stacks import Stack
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
