"""Names shared by every layer: axes, spacing, boxes. Standard library and numpy only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

AXES = "TCZYX"

Spacing: TypeAlias = tuple[float, float, float]
"""Voxel size (z, y, x) in micrometres."""

Array: TypeAlias = Any
"""A ``numpy.ndarray`` or a ``cupy.ndarray``."""


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box of voxels, ``start <= index < stop`` on every axis."""

    start: tuple[int, ...]
    stop: tuple[int, ...]

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        return cls((0,) * len(shape), tuple(int(n) for n in shape))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    @property
    def size(self) -> int:
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def slices(self) -> tuple[slice, ...]:
        return tuple(slice(a, b) for a, b in zip(self.start, self.stop, strict=True))

    def grow(self, halo: Sequence[int], shape: Sequence[int]) -> Box:
        """The box with `halo` voxels more on both sides of each axis, cut at the border of a volume of `shape`."""
        start = tuple(max(0, a - h) for a, h in zip(self.start, halo, strict=True))
        stop = tuple(min(n, b + h) for b, h, n in zip(self.stop, halo, shape, strict=True))
        return Box(start, stop)

    def within(self, outer: Box) -> tuple[slice, ...]:
        """Slices that pick this box out of an array that covers `outer`."""
        return tuple(slice(a - o, b - o) for a, b, o in zip(self.start, self.stop, outer.start, strict=True))

    def intersect(self, other: Box) -> Box:
        """What both boxes share; empty (stop == start on an axis) where they do not meet."""
        start = tuple(max(a, b) for a, b in zip(self.start, other.start, strict=True))
        stop = tuple(max(a, min(b, c)) for a, b, c in zip(start, self.stop, other.stop, strict=True))
        return Box(start, stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self.start, self.stop, strict=True))
