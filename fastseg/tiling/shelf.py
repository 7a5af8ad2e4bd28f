"""Where voxels of one tile's task wait for the task of another tile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from fastseg.errors import WriteError


class Shelf(Protocol):
    """Voxels left by tasks for tiles, as flat positions in the tile and values."""

    def put(self, tile: int, origin: int, positions: np.ndarray, values: np.ndarray) -> None:
        """Leave voxels for `tile`; a second call with the same `origin` replaces what the first one left."""
        ...

    def take(self, tile: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """What was left for a tile."""
        ...


class MemoryShelf:
    """A shelf in this process."""

    def __init__(self) -> None:
        self._held: dict[int, dict[int, tuple[np.ndarray, np.ndarray]]] = {}

    def put(self, tile: int, origin: int, positions: np.ndarray, values: np.ndarray) -> None:
        self._held.setdefault(tile, {})[origin] = positions, values

    def take(self, tile: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield from self._held.get(tile, {}).values()


class FolderShelf:
    """A shelf in a folder that all workers reach; it travels as its path.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, tile: int, origin: int, positions: np.ndarray, values: np.ndarray) -> None:
        """Leave voxels for `tile`.

        Raises
        ------
        WriteError
            If the disk is full or cannot be written to.
        """
        place = self.folder / str(tile)
        temporary = place / f"{origin}.{os.getpid()}.part"
        try:
            place.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as stream:
                np.save(stream, positions)
                np.save(stream, values)
            temporary.replace(place / f"{origin}.npy")
        except OSError as error:
            raise WriteError(f"scratch {place} cannot be written: {error.strerror or error}") from error

    def take(self, tile: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for path in sorted((self.folder / str(tile)).glob("*.npy")):
            with open(path, "rb") as stream:
                yield np.load(stream), np.load(stream)
