"""Where intermediate volumes live: in memory, or in a scratch folder on disk."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from math import isqrt, prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fastseg.arrays import Namespace, to_host
from fastseg.errors import UsageError, WriteError
from fastseg.tiling.volume import PendingVolume, Volume
from fastseg.types import Array, Box

_CHUNK = 1 << 17
"""Voxels of a chunk, about: large enough for the disk, small enough that a halo does not read whole neighbours."""

_LONGEST_Z = 32

_LARGEST_BUFFER = 2**31 - 1
"""Bytes that the compressor takes at a time."""


def chunks_of(tile: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Chunks for a volume that is written tile by tile: no chunk lies in two tiles.

    Parameters
    ----------
    tile, shape : sequence of int
        Sides of the largest tile, and of the volume.

    Returns
    -------
    tuple of int
        About 2**17 voxels. A tile's side that no number near the wanted side divides is a chunk's side itself.
    """
    depth = _side(tile[0], shape[0], _LONGEST_Z) if len(shape) > 2 else 1
    longest = isqrt(_CHUNK // min(depth, _CHUNK))
    sides = tuple(_side(t, n, longest) for t, n in zip(tile[-2:], shape[-2:], strict=True))
    return (depth, *sides)[-len(shape) :]


def _side(tile: int, length: int, longest: int) -> int:
    if tile >= length:  # one tile along this axis: its chunks need not divide it
        return max(1, min(length, longest))
    best = next(side for side in range(min(tile, max(1, longest)), 0, -1) if tile % side == 0)
    return best if best * 4 >= min(tile, longest) else tile


class Storage(Protocol):
    """Makes the volumes that passes write to."""

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        """A new volume of a dtype that the first write decides; it will be written in boxes of a grid of `tile`."""
        ...

    def release(self, volume: Volume) -> None:
        """Give back what a volume takes; it is not used again."""
        ...


class Memory:
    """Volumes in memory, on the device of the computation."""

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        return PendingVolume(tuple(shape), ns.xp)

    def release(self, volume: Volume) -> None:
        pass


class ScratchVolume:
    """A volume in a Zarr array on disk; it travels to workers as its path.

    The array is made at the first write, when the dtype is known. No chunk lies in two tiles of the pass that writes
    it, so two tasks never write to the same chunk.

    Parameters
    ----------
    path : str
    shape, chunks : tuple of int
    """

    def __init__(self, path: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
        self.path = path
        self._shape = shape
        self._chunks = chunks
        self._array: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_array": None}

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self._open().dtype)

    def _open(self) -> Any:
        if self._array is None:
            import zarr

            self._array = zarr.open_array(self.path, mode="r+")
        return self._array

    def read(self, box: Box) -> np.ndarray:
        return np.asarray(self._open()[box.slices])

    def write(self, box: Box, block: Array) -> None:
        """Write a box whose borders are those of tiles, or of the volume.

        Raises
        ------
        WriteError
            If the disk is full or cannot be written to.
        """
        data = to_host(block)
        try:
            if self._array is None and not (Path(self.path) / "zarr.json").exists():
                self._create(data.dtype)
            self._open()[box.slices] = data
        except OSError as error:
            raise WriteError(f"scratch {self.path} cannot be written: {error.strerror or error}") from error

    def _create(self, dtype: np.dtype[Any]) -> None:
        import zarr

        fits = prod(self._chunks) * dtype.itemsize <= _LARGEST_BUFFER
        compressor = zarr.codecs.BloscCodec(cname="lz4", clevel=1) if fits else None
        self._array = zarr.create_array(
            self.path, shape=self._shape, chunks=self._chunks, dtype=dtype, compressors=compressor
        )


class Scratch:
    """Volumes in a folder of their own below `parent`, removed by `close` (or at the end of a ``with`` block).

    Parameters
    ----------
    parent : path, optional
        The system's temporary folder by default.

    Raises
    ------
    WriteError
        If the folder cannot be made.
    UsageError
        If the installed zarr is too old.
    """

    def __init__(self, parent: str | Path | None = None) -> None:
        found = version("zarr")
        if int(found.partition(".")[0]) < 3:
            raise UsageError(
                f"scratch volumes need zarr 3 or later, {found} is installed: pip install 'zarr>=3'"
            )
        try:
            if parent is not None:
                Path(parent).mkdir(parents=True, exist_ok=True)
            self.folder = Path(tempfile.mkdtemp(prefix="fastseg-scratch-", dir=parent))
        except OSError as error:
            raise WriteError(f"scratch folder {parent} cannot be used: {error.strerror}") from None
        self._numbers = itertools.count()

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        path = self.folder / f"{next(self._numbers)}.zarr"
        return ScratchVolume(str(path), tuple(shape), chunks_of(tile, shape))

    def release(self, volume: Volume) -> None:
        if isinstance(volume, ScratchVolume):
            shutil.rmtree(volume.path, ignore_errors=True)

    def close(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
