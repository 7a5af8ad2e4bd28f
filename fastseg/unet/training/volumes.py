"""The decoded volumes of a data set, in bounded memory.

Every patch of a compressed file costs the decoding of whole planes, so reading boxes from the files would decode each
of them hundreds of times in a run. Each file is therefore decoded once: the first items into memory as far as a budget
of bytes goes, the others into one scratch file that is mapped, and that processes which train together share.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastseg.arrays.cores import usable_cores
from fastseg.errors import InputError
from fastseg.unet.graph import Triple
from fastseg.unet.training.items import TrainingItem
from fastseg.unet.training.scratch_file import ScratchFile
from fastseg.unet.training.stacks import ItemStacks, channels_problem, open_item

if TYPE_CHECKING:
    from fastseg.unet.training.team import Team

_ALIGNMENT = 64

_THREADS = 4
"""That decode at most, where items are decoded ahead of use."""


@dataclass(frozen=True)
class Volumes:
    """A decoded item, read-only.

    Attributes
    ----------
    name : str
        Of the item.
    image : array (C, Z, Y, X)
        In the file's dtype, float64 as float32.
    truth : array (Z, Y, X)
        uint8 or int32.
    cost : array (Z, Y, X), float32, or None
        None for 1 everywhere.
    foreground : array (classes - 1, Z)
        Voxels of class k + 1 with a cost in each plane.
    counting : array (Z,) or None
        Voxels with a cost in each plane; None without a cost map.
    largest_cost : float
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    cost: np.ndarray | None
    foreground: np.ndarray
    counting: np.ndarray | None
    largest_cost: float

    @property
    def shape(self) -> Triple:
        z, y, x = self.truth.shape
        return z, y, x


@dataclass(frozen=True)
class _Counts:
    """What is counted while an item is decoded; as of `Volumes`."""

    foreground: np.ndarray
    counting: np.ndarray | None
    largest_cost: float


@dataclass
class _Slot:
    """Where an item is, or will be, decoded."""

    stacks: ItemStacks
    offset: int | None
    """In the scratch file; None for memory."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    volumes: Volumes | None = None


class VolumeStore:
    """The volumes of items, decoded on first use; what processes share, before it.

    Parameters
    ----------
    items : sequence of TrainingItem
    channels : int
        That each image has to have.
    memory : int
        Bytes of decoded volumes to hold in memory.
    scratch : Path, optional
        Folder for the others; the system's for temporary files by default.
    team : Team, optional
        Processes of this machine that make their stores of the same items at the same time. What lies in the scratch
        file is then decoded once, by each process its share, and the store is made when all of it is there: with N
        processes the disk and its cache hold it once and not N times.

    Attributes
    ----------
    shapes : tuple of (z, y, x)
        Of each item, known without decoding it.
    bytes_in_memory, bytes_in_scratch : int
        What all items will take; the first is never above `memory`.

    Raises
    ------
    ReadError, InputError
        When files cannot be read or do not fit.
    WriteError
        When the scratch file of a team cannot be made or written.
    """

    def __init__(
        self,
        items: Sequence[TrainingItem],
        channels: int,
        memory: int,
        scratch: Path | None = None,
        team: Team | None = None,
    ) -> None:
        self._scratch_folder = scratch
        self._scratch_file: ScratchFile | None = None
        self._opening = threading.Lock()
        self.bytes_in_memory = 0
        self.bytes_in_scratch = 0
        self._slots: list[_Slot] = []
        for item in items:
            stacks = open_item(item)
            problem = channels_problem(stacks.image, channels)
            if problem is not None:
                raise InputError(problem)
            size = sum(_bytes(*part) for part in _layout(stacks).values())
            if self.bytes_in_memory + size <= memory:
                self.bytes_in_memory += size
                self._slots.append(_Slot(stacks, None))
            else:
                self._slots.append(_Slot(stacks, self.bytes_in_scratch))
                self.bytes_in_scratch += size
        self.shapes = tuple(slot.stacks.shape for slot in self._slots)
        if team is not None and team.world > 1 and self.bytes_in_scratch:
            self._decode_together(team)

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, index: int) -> Volumes:
        """The volumes of an item; safe to ask for from several threads.

        Raises
        ------
        ReadError, InputError
            When its files are damaged or no classes.
        WriteError
            When the scratch file cannot be written.
        """
        slot = self._slots[index]
        with slot.lock:
            if slot.volumes is None:
                parts = self._parts(slot)
                slot.volumes = _volumes(slot, parts, _decode(slot, parts))
            return slot.volumes

    def close(self) -> None:
        """Give the memory and the scratch file back. May be called twice."""
        for slot in self._slots:
            slot.volumes = None
        with self._opening:
            if self._scratch_file is not None:
                self._scratch_file.close()
                self._scratch_file = None

    def __del__(self) -> None:
        if getattr(self, "_scratch_file", None) is not None:
            self.close()

    def _decode_together(self, team: Team) -> None:
        """Fill the scratch file of all processes, each a share of the items; they wait for one another."""
        self._scratch_file = ScratchFile(self.bytes_in_scratch, self._scratch_folder, team)
        slots = [slot for slot in self._slots if slot.offset is not None]
        parts = [self._parts(slot) for slot in slots]
        threads = max(1, min(_THREADS, usable_cores() // team.world))
        with ThreadPoolExecutor(threads, thread_name_prefix="fastseg-decoder") as pool:
            own = list(pool.map(lambda i: _decode(slots[i], parts[i]), team.share(len(slots))))
        for slot, part, counts in zip(slots, parts, team.in_turns(team.gather(own)), strict=True):
            slot.volumes = _volumes(slot, part, counts)

    def _parts(self, slot: _Slot) -> dict[str, _Part]:
        parts = {}
        offset = slot.offset
        for name, (shape, dtype) in _layout(slot.stacks).items():
            if offset is None:
                parts[name] = _Part(shape, dtype, np.empty(shape, dtype))
            else:
                file = self._scratch()
                parts[name] = _Part(shape, dtype, file.view(shape, dtype, offset), file, offset)
                offset += _bytes(shape, dtype)
        return parts

    def _scratch(self) -> ScratchFile:
        with self._opening:
            if self._scratch_file is None:
                self._scratch_file = ScratchFile(self.bytes_in_scratch, self._scratch_folder)
            return self._scratch_file


@dataclass(frozen=True)
class _Part:
    """An array (C, Z, Y, X) that is filled by planes, in memory or through the scratch file that it is a view of."""

    shape: tuple[int, ...]
    dtype: np.dtype
    target: np.ndarray
    file: ScratchFile | None = None
    offset: int = 0

    def write(self, slab: range, planes: np.ndarray) -> None:
        if self.file is None:
            self.target[:, slab.start : slab.stop] = planes
            return
        plane = self.shape[2] * self.shape[3] * self.dtype.itemsize
        for channel, block in enumerate(planes):
            place = self.offset + (channel * self.shape[1] + slab.start) * plane
            self.file.write(np.ascontiguousarray(block, self.dtype), place)

    def array(self) -> np.ndarray:
        self.target.flags.writeable = False
        return self.target


def _decode(slot: _Slot, parts: dict[str, _Part]) -> _Counts:
    """Fill the parts of an item."""
    stacks = slot.stacks
    depth = stacks.shape[0]
    counts: list[np.ndarray] = []
    counting = None if stacks.cost is None else np.zeros(depth, np.int64)
    largest = 1.0 if stacks.cost is None else 0.0
    for slab in stacks.image.slabs():
        parts["image"].write(slab, stacks.image.planes(slab, parts["image"].dtype))
    for slab in stacks.truth.slabs():
        truth = stacks.truth_planes(slab)
        parts["truth"].write(slab, truth[None])
        cost = None
        if stacks.cost is not None and counting is not None:
            cost = stacks.cost.planes(slab, np.float32)
            parts["cost"].write(slab, cost[None])
            counting[slab.start : slab.stop] = np.count_nonzero(cost > 0, axis=(1, 2))
            largest = max(largest, float(cost.max()))
        for plane in range(len(truth)):
            classes = truth[plane] if cost is None else truth[plane][cost[plane] > 0]
            counts.append(np.bincount(classes.ravel(), minlength=1)[1:])
    foreground = np.zeros((max(map(len, counts)), depth), np.int64)
    for plane, found in enumerate(counts):
        foreground[: len(found), plane] = found
    return _Counts(foreground, counting, largest)


def _volumes(slot: _Slot, parts: dict[str, _Part], counts: _Counts) -> Volumes:
    """A decoded item."""
    return Volumes(
        name=slot.stacks.item.name,
        image=parts["image"].array(),
        truth=parts["truth"].array()[0],
        cost=parts["cost"].array()[0] if "cost" in parts else None,
        foreground=counts.foreground,
        counting=counts.counting,
        largest_cost=counts.largest_cost,
    )


def _layout(stacks: ItemStacks) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape (C, Z, Y, X) and dtype of what is kept of an item."""
    image = stacks.image.dtype
    whole_bytes = stacks.truth.dtype in (np.uint8, np.bool_)
    found: dict[str, tuple[tuple[int, ...], np.dtype]] = {
        "image": (
            (stacks.image.channels, *stacks.shape),
            np.dtype(np.float32) if image == np.float64 else image,
        ),
        "truth": ((1, *stacks.shape), np.dtype(np.uint8 if whole_bytes else np.int32)),
    }
    if stacks.cost is not None:
        found["cost"] = ((1, *stacks.shape), np.dtype(np.float32))
    return found


def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
    """What an array takes, up to where the next one is aligned."""
    return -(-prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
