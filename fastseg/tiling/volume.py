"""Volumes: what tasks read boxes from and write boxes to."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from fastseg.arrays import namespace_of, to_host
from fastseg.types import Array, Box


class Volume(ABC):
    """A voxel grid that is read and written by boxes. Reading never copies more than the box."""

    # no protocol: what tasks are given is told apart dozens of times a stack, which takes a millisecond with one
    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]: ...

    @abstractmethod
    def read(self, box: Box) -> Array: ...

    @abstractmethod
    def write(self, box: Box, block: Array) -> None: ...


class ArrayVolume(Volume):
    """A volume held in one array, on the host or on a device. Reading gives views."""

    def __init__(self, array: Array) -> None:
        self.array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.array.dtype)

    def read(self, box: Box) -> Array:
        return self.array[box.slices]

    def write(self, box: Box, block: Array) -> None:
        self.array[box.slices] = namespace_of(self.array).put(block)


class PendingVolume(Volume):
    """The output of a pass in memory: allocated at the first write, when its dtype is known.

    A block that covers everything is adopted as it is, so a grid of one tile costs neither an allocation nor a copy.
    """

    def __init__(self, shape: tuple[int, ...], xp: Any) -> None:
        self._shape = shape
        self._xp = xp
        self._array: Array = None
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.array.dtype)

    @property
    def array(self) -> Array:
        if self._array is None:
            raise RuntimeError("volume was read before anything was written to it")
        return self._array

    def read(self, box: Box) -> Array:
        return self.array[box.slices]

    def write(self, box: Box, block: Array) -> None:
        block = self._xp.asarray(block)  # a step that was taken on the host hands in an array of the host
        with self._lock:  # two tasks may come first
            if self._array is None:
                if block.shape == self._shape:
                    self._array = block
                    return
                self._array = self._xp.empty(self._shape, block.dtype)
        self._array[box.slices] = block


class HostVolume(PendingVolume):
    """The output of a pass in the memory of the host, wherever it is computed."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape, np)

    def write(self, box: Box, block: Array) -> None:
        super().write(box, to_host(block))
