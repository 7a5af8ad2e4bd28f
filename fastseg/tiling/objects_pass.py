"""Computing object by object, and putting the results back tile by tile.

An object inside one tile is computed by the task of that tile; one that crosses tiles is computed once, by a task of
its own. Every voxel of the output is written once, by the task of its tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.arrays import Device, Namespace, namespace_for, to_host
from fastseg.tiling.block import Block, Place
from fastseg.tiling.components import Components
from fastseg.tiling.executors import Executor
from fastseg.tiling.rules import Objects
from fastseg.tiling.volume import Volume
from fastseg.types import Box


@dataclass(frozen=True)
class Numbered:
    """An object: its number and its bounding box."""

    number: int
    box: Box


@dataclass(frozen=True)
class Computed:
    """The result of an object in its bounding box, and which voxels are its own; on the host."""

    box: Box
    inside: np.ndarray
    result: np.ndarray


@dataclass(frozen=True)
class TileItem:
    """A tile with the objects to compute in it and the results that cross it."""

    core: Box
    own: tuple[Numbered, ...]
    crossing: tuple[Computed, ...]


@dataclass(frozen=True)
class ObjectPass:
    """What the tasks of an object-wise pass share."""

    rule: Objects
    volumes: tuple[Volume, ...]
    values: tuple[Any, ...]
    params: Any
    components: Components
    dtype: np.dtype[Any]
    output: Volume
    ns: Namespace

    def compute(self, item: Numbered) -> Computed:
        """The result of one object."""
        shape = self.components.grid.shape
        box = item.box.grow((self.rule.margin,) * len(shape), shape)
        inside = self.components.read(box) == item.number
        arrays = tuple(np.ascontiguousarray(to_host(v.read(box))) for v in self.volumes)
        host = namespace_for(Device("cpu"))
        block = Block(arrays, self.values, self.params, Place(box, item.box, shape), host)
        result = self.rule.compute(block, inside)
        tight = item.box.within(box)
        return Computed(item.box, inside[tight], result[tight])

    def write_tile(self, item: TileItem) -> None:
        """Compute the objects of a tile and write it, with the results that cross it."""
        out = np.zeros(item.core.shape, self.dtype)
        for numbered in item.own:
            _paste(out, item.core, self.compute(numbered))
        for computed in item.crossing:
            _paste(out, item.core, computed)
        self.output.write(item.core, self.ns.xp.asarray(out))


def _paste(out: np.ndarray, core: Box, computed: Computed) -> None:
    shared = core.intersect(computed.box)
    there, here = shared.within(computed.box), shared.within(core)
    inside = computed.inside[there]
    out[here][inside] = computed.result[there][inside]


def run_objects(task: ObjectPass, boxes: Sequence[Box], executor: Executor) -> None:
    """Compute all objects and write the output.

    Parameters
    ----------
    task : ObjectPass
    boxes : sequence of Box
        Bounding boxes of objects 1, 2, ...
    executor : Executor
    """
    grid = task.components.grid
    tiles = list(grid)
    own: list[list[Numbered]] = [[] for _ in tiles]
    wide: list[tuple[Numbered, list[int]]] = []
    for number, box in enumerate(boxes, start=1):
        touched = [tile for tile, _ in grid.overlapping(box)]
        if len(touched) == 1:
            own[touched[0]].append(Numbered(number, box))
        else:
            wide.append((Numbered(number, box), touched))
    crossing: list[list[Computed]] = [[] for _ in tiles]
    results = executor.map(task.compute, [numbered for numbered, _ in wide])
    for (_, touched), computed in zip(wide, results, strict=True):
        for tile in touched:
            crossing[tile].append(computed)
    items = (TileItem(core, tuple(own[i]), tuple(crossing[i])) for i, core in enumerate(tiles))
    for _ in executor.map(task.write_tile, items):
        pass
