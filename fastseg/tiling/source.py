"""The image as a volume that is read box by box, and a result as an array that is read slice by slice."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from fastseg.io.image import Image
from fastseg.io.omezarr_store import OmeZarrStore
from fastseg.tiling.volume import Volume
from fastseg.types import Array, Box


class ImageVolume(Volume):
    """The stack of an `Image` of one time point and channel, as float32; it reads from the file what is asked for."""

    def __init__(self, image: Image) -> None:
        self.image = image

    @property
    def shape(self) -> tuple[int, ...]:
        return self.image.shape[2:]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, box: Box) -> np.ndarray:
        with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused as such
            return np.ascontiguousarray(self.image.data[(0, 0, *box.slices)], dtype=np.float32)

    def write(self, box: Box, block: Array) -> None:
        raise TypeError("inputs are never modified")


class StoreVolume(Volume):
    """An output that tiles are written to, and that can be read again."""

    def __init__(self, store: OmeZarrStore) -> None:
        self.store = store
        self._array: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "_array": None}

    @property
    def shape(self) -> tuple[int, ...]:
        return self.store.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.store.content.image.dtype

    def read(self, box: Box) -> np.ndarray:
        import zarr

        if self._array is None:
            self._array = zarr.open_array(f"{self.store.folder}/0", mode="r")
        return np.asarray(self._array[box.slices])

    def write(self, box: Box, block: Array) -> None:
        self.store.write(box, block)


_AHEAD = 1 << 26
"""Bytes that are read ahead at most where planes are asked for one by one."""

_LAYER = 32
"""Planes that are read ahead at most: the depth of the chunks that fastseg writes."""


class LazyArray:
    """A volume with the slicing that writers use: whole numbers and slices of step 1.

    Whole planes that are asked for one after another are read ahead, a layer at a time: a chunk holds many planes, and
    is unpacked once instead of once a plane.
    """

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._ahead: tuple[Box, np.ndarray] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.volume.shape

    @property
    def ndim(self) -> int:
        return len(self.volume.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.volume.dtype

    def __getitem__(self, index: Any) -> np.ndarray:
        given = index if isinstance(index, tuple) else (index,)
        if len(given) > self.ndim:
            raise IndexError(f"{len(given)} indices for a volume of {self.ndim} axes")
        given = (*given, *(slice(None),) * (self.ndim - len(given)))
        start, stop, drop = [], [], []
        for axis, (one, size) in enumerate(zip(given, self.shape, strict=True)):
            if isinstance(one, slice):
                low, high, step = one.indices(size)
                if step != 1:
                    raise IndexError("only slices of step 1 can be read from a volume")
                start.append(low)
                stop.append(max(low, high))
            else:
                number = int(one) + (size if one < 0 else 0)
                if not 0 <= number < size:
                    raise IndexError(f"index {one} is out of range for axis {axis} of {size} voxels")
                start.append(number)
                stop.append(number + 1)
                drop.append(axis)
        block = self._read(Box(tuple(start), tuple(stop)))
        return block.squeeze(axis=tuple(drop)) if drop else block

    def _read(self, box: Box) -> np.ndarray:
        planes = box.start[1:] == (0,) * (self.ndim - 1) and box.stop[1:] == self.shape[1:]
        if not (planes and box.stop[0] - box.start[0] == 1):
            return np.asarray(self.volume.read(box))
        if self._ahead is None or not self._ahead[0].start[0] <= box.start[0] < self._ahead[0].stop[0]:
            room = _AHEAD // max(1, prod(self.shape[1:]) * self.dtype.itemsize)
            depth = max(1, min(_LAYER, room))
            first = box.start[0] // depth * depth
            layer = Box((first, *box.start[1:]), (min(first + depth, self.shape[0]), *box.stop[1:]))
            self._ahead = layer, np.asarray(self.volume.read(layer))
        layer, held = self._ahead
        return held[box.within(layer)]
