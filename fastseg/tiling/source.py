"""The image as a volume that is read box by box, and a result as an array that is read slice by slice."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.io.image import Image
from fastseg.tiling.volume import Volume
from fastseg.types import Array, Box


class ImageVolume:
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


class LazyArray:
    """A volume with the slicing that writers use: whole numbers and slices of step 1."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume

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
        block = np.asarray(self.volume.read(Box(tuple(start), tuple(stop))))
        return block.squeeze(axis=tuple(drop)) if drop else block
