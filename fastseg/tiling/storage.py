"""Where intermediate volumes live: in memory of the device or the host, or in a scratch folder (`tiling.scratch`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fastseg.arrays import Namespace
from fastseg.tiling.shelf import MemoryShelf, Shelf
from fastseg.tiling.volume import HostVolume, PendingVolume, Volume


class Storage(Protocol):
    """Makes the volumes that passes write to."""

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        """A new volume of a dtype that the first write decides; it will be written in boxes of a grid of `tile`."""
        ...

    def shelf(self) -> Shelf:
        """A place where tasks leave voxels for each other."""
        ...

    def release(self, item: Volume | Shelf) -> None:
        """Give back what a volume or a shelf takes; it is not used again."""
        ...


class Memory:
    """Volumes in memory, on the device of the computation."""

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        return PendingVolume(tuple(shape), ns.xp)

    def shelf(self) -> Shelf:
        return MemoryShelf()

    def release(self, item: Volume | Shelf) -> None:
        pass


class HostMemory:
    """Volumes in the memory of the host, for a GPU that has room for tiles alone."""

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        return HostVolume(tuple(shape))

    def shelf(self) -> Shelf:
        return MemoryShelf()

    def release(self, item: Volume | Shelf) -> None:
        pass
