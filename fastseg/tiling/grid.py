"""Regular grids of tiles over a volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from fastseg.types import Box


@dataclass(frozen=True, slots=True)
class Grid:
    """A volume of `shape` cut into tiles of at most `tile` voxels a side, in scan order.

    The last tile along an axis is smaller when `tile` does not divide the shape. A volume of one tile is the
    in-memory case.
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]

    @classmethod
    def over(cls, shape: Sequence[int], tile: Sequence[int] | None = None) -> Grid:
        """A grid over `shape`; without `tile` it has one tile. A short `tile` refers to the last axes."""
        shape = tuple(int(n) for n in shape)
        if tile is None:
            return cls(shape, shape)
        sides = tuple(int(t) for t in tile)[-len(shape) :]
        sides = shape[: len(shape) - len(sides)] + sides
        return cls(shape, tuple(max(1, min(t, n)) for t, n in zip(sides, shape, strict=True)))

    def of_planes(self) -> Grid:
        """A grid of tiles that span whole planes (the last two axes).

        They hold fewer planes, at least one, so that a tile is no larger than it was.
        """
        planes = prod(self.tile) // max(1, prod(self.shape[-2:]))
        return Grid(self.shape, (*(max(1, min(t, planes)) for t in self.tile[:-2]), *self.shape[-2:]))

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of tiles along each axis."""
        return tuple(-(-n // t) for n, t in zip(self.shape, self.tile, strict=True))

    @property
    def is_whole(self) -> bool:
        return all(c == 1 for c in self.counts)

    def __len__(self) -> int:
        count = 1
        for c in self.counts:
            count *= c
        return count

    def __iter__(self) -> Iterator[Box]:
        for index in product(*(range(c) for c in self.counts)):
            yield self.box(index)

    def box(self, index: Sequence[int]) -> Box:
        """The box of the tile with this grid index."""
        start = tuple(i * t for i, t in zip(index, self.tile, strict=True))
        stop = tuple(min(a + t, n) for a, t, n in zip(start, self.tile, self.shape, strict=True))
        return Box(start, stop)

    def overlapping(self, box: Box) -> Iterator[tuple[int, Box]]:
        """Number (in scan order) and box of every tile that shares a voxel with `box`."""
        ranges = [range(a // t, -(-b // t)) for (a, b), t in zip(box, self.tile, strict=True)]
        for index in product(*ranges):
            number = 0
            for i, c in zip(index, self.counts, strict=True):
                number = number * c + i
            yield number, self.box(index)
