"""One pass over the tiles: every node of a fused stage, read once and written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastseg.arrays import Namespace
from fastseg.tiling.block import Block, Place
from fastseg.tiling.program import Node, blaming
from fastseg.tiling.rules import Halo, Local, Reduce
from fastseg.tiling.volume import Volume
from fastseg.types import Array, Box


def load(volume: Volume, box: Box, ns: Namespace) -> Array:
    """A box of a volume as a contiguous array on the device; the array itself where the box is all of it."""
    return ns.xp.ascontiguousarray(ns.xp.asarray(volume.read(box)))


def on_axes(halo: Halo, ndim: int) -> tuple[int, ...]:
    """A halo for a volume of `ndim` axes."""
    return tuple(halo)[-ndim:]


@dataclass(frozen=True)
class FusedPass:
    """The task of a fused stage; called with the core of a tile.

    Attributes
    ----------
    nodes : tuple of Node
    reads, growth : dict of str to Halo
        See `fastseg.tiling.program.Stage`.
    volumes, values : dict
        What the nodes read from outside the stage.
    outputs : dict of str to Volume
        Where results go that are needed later.
    shape : tuple of int
    ns : Namespace
    """

    nodes: tuple[Node, ...]
    reads: Mapping[str, Halo]
    growth: Mapping[str, Halo]
    volumes: Mapping[str, Volume]
    values: Mapping[str, Any]
    outputs: Mapping[str, Volume]
    shape: tuple[int, ...]
    ns: Namespace

    def __call__(self, core: Box) -> dict[str, Any]:
        """Compute one tile; give the partial statistics by node."""
        held: dict[str, tuple[Box, Array]] = {}
        for name, volume in self.volumes.items():
            box = core.grow(on_axes(self.reads[name], len(self.shape)), self.shape)
            held[name] = (box, load(volume, box, self.ns))
        last_use = {name: i for i, node in enumerate(self.nodes) for name in node.inputs}
        partials: dict[str, Any] = {}
        for i, node in enumerate(self.nodes):
            with blaming(node):
                self._node(node, core, held, partials)
            for name in list(held):
                if last_use.get(name, -1) <= i:
                    del held[name]
        return partials

    def _node(
        self, node: Node, core: Box, held: dict[str, tuple[Box, Array]], partials: dict[str, Any]
    ) -> None:
        ndim = len(self.shape)
        wanted = core.grow(on_axes(self.growth[node.name], ndim), self.shape)
        box = wanted.grow(on_axes(node.rule.halo(node.params), ndim), self.shape)
        arrays = tuple(_cut(*held[name], box, self.ns) for name in node.inputs if name in held)
        values = tuple(self.values[name] for name in node.inputs if name not in held)
        block = Block(arrays, values, node.params, Place(box, wanted, self.shape), self.ns)
        if isinstance(node.rule, Reduce):
            partials[node.name] = node.rule.chunk(block)
            return
        result = node.rule.apply(block)
        if node.rule.emits is not None:
            result, partials[node.name] = result
        output = self.outputs.get(node.name)
        if (
            node.rule.output_shape is not Local.output_shape
        ):  # planes that change their size stay where they are
            assert output is not None  # such a node is alone in its stage
            output.write(Box((*core.start[:-2], 0, 0), (*core.stop[:-2], *output.shape[-2:])), result)
            return
        if result.shape != wanted.shape:
            result = result[block.place.keep]
        held[node.name] = (wanted, result)
        if output is not None:
            output.write(core, result[core.within(wanted)] if wanted != core else result)


def _cut(box: Box, array: Array, wanted: Box, ns: Namespace) -> Array:
    """The part of an array that covers `wanted`, contiguous."""
    return array if box == wanted else ns.xp.ascontiguousarray(array[wanted.within(box)])
