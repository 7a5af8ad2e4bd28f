"""Operators on whole columns and planes: hot pixels, planes to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.arrays.deferred import held_array
from fastseg.arrays.morphology import binary_dilation
from fastseg.operators.boundary import ball
from fastseg.operators.spec import Input, OpSpec, Output
from fastseg.tiling import Block, Chain, Link, Local, Reduce
from fastseg.tiling.parts import Parts, add_parts, assemble_parts, part_of
from fastseg.tiling.statistics import kept, per_plane, sum_of
from fastseg.types import Array, Box

_GROWTH = 2
_FEWEST = 100
"""Foreground voxels below which a plane ends the range that is kept."""


def _column_sums(block: Block) -> Parts:
    core = block.place.core
    return part_of(block, Box(core.start[1:], core.stop[1:]), kept(block).sum(axis=0, dtype=np.int64))


def _without_hot(block: Block) -> Array:
    core, shape = block.place.core, block.place.shape
    inner = Box(core.start[1:], core.stop[1:])
    around = inner.grow((_GROWTH, _GROWTH), shape[1:])
    sums = block.ns.put(held_array(block.values[0])[around.slices])
    hot = binary_dilation(block.ns, sums >= shape[0] - 2, ball(_GROWTH, 2))
    return block.arrays[0] & ~hot[inner.within(around)]


def _hot_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    (mask,) = inputs
    sums = Reduce(_column_sums, add_parts, assemble_parts)
    return [Link("sums", sums, (mask,)), Link("out", Local(_without_hot), (mask, "sums"))]


def _foreground(block: Block) -> np.ndarray:
    counts = to_host(kept(block).sum(axis=(1, 2), dtype=np.int64))
    return per_plane(counts, block.place.core, block.place.shape, 0)


def _window(partial: np.ndarray, values: tuple[Any, ...], params: Any) -> tuple[int, int]:
    """First and last plane that are kept; the last plane of the stack never is."""
    planes = partial.size
    middle = int(np.argmax(partial))
    below = [z for z in range(1, middle) if partial[z] < _FEWEST]
    above = [z for z in range(middle + 1, planes - 1) if partial[z] < _FEWEST]
    return (below[-1] if below else 0), (above[0] if above else planes - 2)


def _in_window(block: Block) -> Array:
    low, high = block.values[0]
    core = block.place.core
    z = np.arange(core.start[0], core.stop[0])
    inside = block.ns.xp.asarray((z >= low) & (z <= high))
    return block.arrays[0] & inside[:, None, None]


def _window_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    (mask,) = inputs
    return [
        Link("window", Reduce(_foreground, sum_of, _window), (mask,)),
        Link("out", Local(_in_window), (mask, "window")),
    ]


_MASK = (Input("mask", ("mask",), (3,), "mask"),)
_SAME = Output("mask", summary="bool, same shape")

REMOVE_HOT_PIXELS = OpSpec(
    name="remove_hot_pixels",
    summary="Clear columns along z that are foreground in all planes but two, and their surroundings",
    description="A hot column is dilated by a disk of radius 2 pixels. With two planes or fewer everything is cleared.",
    inputs=_MASK,
    output=_SAME,
    rule=Chain(_hot_links),
    category="planes",
    reference="remove_hot_pixel",
)
PRUNE_SLICES = OpSpec(
    name="prune_slices",
    summary="Clear the planes beyond the first sparse one on either side of the fullest plane",
    description="A plane is sparse below 100 foreground voxels; the sparse plane itself stays. The last plane of the "
    "stack is always cleared, as in the reference.",
    inputs=_MASK,
    output=_SAME,
    rule=Chain(_window_links),
    category="planes",
    reference="prune_z_slices",
)

SPECS = (REMOVE_HOT_PIXELS, PRUNE_SLICES)
