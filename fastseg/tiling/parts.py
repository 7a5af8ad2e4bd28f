"""Arrays that a reduction collects piece by piece: what the tiles found, by the box that it fills."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from fastseg.arrays import to_host
from fastseg.arrays.deferred import kept_on_device
from fastseg.tiling.block import Block
from fastseg.types import Array, Box

Parts: TypeAlias = dict[Box, Any]
"""Arrays of the host; where one tile is all, `kept_on_device` of its own."""


def part_of(block: Block, box: Box, array: Array) -> Parts:
    """What one tile found: it stays on the device if that is everything, and is collected on the host otherwise."""
    everything = block.place.core.shape == block.place.shape
    return {box: kept_on_device(array) if everything else to_host(array)}


def join_parts(a: Parts, b: Parts) -> Parts:
    """Combine by keeping the pieces of both."""
    return {**a, **b}


def _combined(a: Parts, b: Parts, ufunc: np.ufunc) -> Parts:
    merged = dict(a)
    for box, part in b.items():
        merged[box] = ufunc(merged[box], part) if box in merged else part
    return merged


def add_parts(a: Parts, b: Parts) -> Parts:
    """Combine by adding the pieces of one box."""
    return _combined(a, b, np.add)


def highest_parts(a: Parts, b: Parts) -> Parts:
    """Combine by the maximum of the pieces of one box."""
    return _combined(a, b, np.maximum)


def assemble_parts(partial: Parts, values: tuple[Any, ...], params: Any) -> Any:
    """Finalise by putting the pieces together; see `fastseg.arrays.deferred.held_array`."""
    if len(partial) == 1:
        return next(iter(partial.values()))
    shape = tuple(max(box.stop[i] for box in partial) for i in range(len(next(iter(partial)).stop)))
    whole = np.empty(shape, next(iter(partial.values())).dtype)
    for box, part in partial.items():
        whole[box.slices] = part
    return whole
