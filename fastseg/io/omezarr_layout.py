"""How the arrays of an OME-Zarr are cut into chunks and shards, and into boxes that are written at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from fastseg.types import Box

Sides = tuple[int, int, int]
_Cost = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

DEFAULT_CHUNK: Sides = (32, 256, 256)
"""Chunks of arrays that are written in one process and not sharded."""

_CHUNK = 17
_PLAIN_CHUNK = 21
_SHARD = 24
"""Wanted voxels, as powers of 2: of chunks inside a shard, of chunks that are files themselves, of shards."""

_LARGEST = 1 << 25
_DEPTH = 32
"""Wanted z of a chunk."""


@dataclass(frozen=True)
class Layout:
    """Chunks and shards of an array (z, y, x).

    Attributes
    ----------
    chunks : tuple of int
    shards : tuple of int or None
        Sides of a shard, a multiple of the chunks'; None for an array without the sharding codec.
    """

    chunks: Sides
    shards: Sides | None = None

    @property
    def unit(self) -> Sides:
        """Sides of what one file holds, and so of what one task has to write alone."""
        return self.shards or self.chunks


def layout_for(tile: Sequence[int], shape: Sequence[int], *, sharded: bool = True) -> Layout:
    """Chunks and shards of an array that is written tile by tile: none lies in two tiles.

    Parameters
    ----------
    tile, shape : sequence of int
        Sides (z, y, x) of the largest tile, and of the array.
    sharded : bool
        Whether chunks are gathered in shards. Zarr v2, and so OME-Zarr 0.4, has none.

    Returns
    -------
    Layout
        Chunks of about 2**17 voxels in shards of up to 2**25, or chunks of about 2**21 without shards. A
        file's side divides the tile's, unless there is one tile along the axis.

    Notes
    -----
    Files are no larger than tiles: a tile of a few voxels makes a file of a few voxels, and many of them.
    Where a side is a prime number its only divisors are 1 and itself; the sides are chosen together, so that
    one that cannot be cut is made up for by the others.
    """
    z, y, x = (min(int(t), int(n)) for t, n in zip(tile, shape, strict=True))
    c, b, a = (int(n) for n in shape)
    return _layout((z, y, x), (c, b, a), sharded)


def default_layout(shape: Sequence[int], *, sharded: bool) -> Layout:
    """The layout of an array whose writers choose their boxes."""
    if sharded:
        return layout_for(shape, shape)
    z, y, x = (min(int(n), c) for n, c in zip(shape, DEFAULT_CHUNK, strict=True))
    return Layout((z, y, x))


def boxes(shape: Sequence[int], unit: Sequence[int], *, most: int = 1 << _SHARD) -> Iterator[Box]:
    """Boxes of whole units that cover an array, in scan order, each of `most` voxels or of one unit."""
    step = [int(n) for n in unit]
    for axis in (2, 1, 0):
        others = prod(step) // step[axis]
        step[axis] *= max(1, min(-(-int(shape[axis]) // step[axis]), most // (others * step[axis])))
    for corner in itertools.product(*(range(0, int(n), s) for n, s in zip(shape, step, strict=True))):
        yield Box(corner, tuple(min(c + s, int(n)) for c, s, n in zip(corner, step, shape, strict=True)))


def is_aligned(box: Box, unit: Sequence[int], shape: Sequence[int]) -> bool:
    """Whether `box` lies in the array and consists of whole units, those at the far border cut by it."""
    return len(box.start) == len(shape) and all(
        0 <= a < b <= n and a % u == 0 and (b % u == 0 or b == n)
        for (a, b), u, n in zip(box, unit, shape, strict=True)
    )


@lru_cache(maxsize=64)
def _layout(tile: Sides, shape: Sides, sharded: bool) -> Layout:
    free = tuple(t >= n for t, n in zip(tile, shape))
    sides = [_powers(n) if f else _divisors(t) for t, n, f in zip(tile, shape, free)]
    target = _CHUNK if sharded else _PLAIN_CHUNK
    depth = min(_DEPTH, shape[0])
    # Wide and flat chunks suit neither boxes nor slices: y and x are equal where they can be.
    chunks = _best(sides, shape, target, lambda z, y, x: np.abs(y - x) + np.abs(z - np.log2(depth)) / 2)
    if not sharded:
        return Layout(chunks)
    counts = [-(-n // c) if f else t // c for t, n, c, f in zip(tile, shape, chunks, free)]
    several = [_powers(k) if f else _divisors(k) for k, f in zip(counts, free)]
    multiples = [[c * k for k in ks] for c, ks in zip(chunks, several)]

    def spread(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return (np.maximum(np.maximum(z, y), x) - np.minimum(np.minimum(z, y), x)) / 4

    shards = _best(multiples, shape, _SHARD, spread)
    return Layout(chunks, shards if shards != chunks else None)


def _best(sides: Sequence[Sequence[int]], shape: Sides, target: int, shape_cost: _Cost) -> Sides:
    """The choice of sides nearest to 2**target voxels, and of the shape that costs least.

    Only voxels inside the array count. Nothing larger than `_LARGEST` is chosen unless there is nothing else.
    """
    inside = [
        np.log2([min(s, n) for s in one]).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (one, n) in enumerate(zip(sides, shape))
    ]
    voxels = inside[0] + inside[1] + inside[2]
    cost = 2 * np.abs(voxels - target) + shape_cost(*inside)
    cost = np.where((voxels > np.log2(_LARGEST)) & (voxels > voxels.min()), np.inf, cost)
    z, y, x = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return sides[0][int(z)], sides[1][int(y)], sides[2][int(x)]


def _divisors(number: int) -> list[int]:
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def _powers(number: int) -> list[int]:
    """1, 2, 4 and on below `number`, and `number`."""
    return [*(1 << k for k in range(max(1, number).bit_length()) if 1 << k < number), max(1, number)]
