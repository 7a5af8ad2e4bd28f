"""Computing object by object, and putting the results back tile by tile.

An object inside one tile is computed by the task of that tile, which reads its box once for all of them. One that
crosses tiles is computed once, by a task of the tile where its bounding box begins, and leaves its voxels on a shelf
for the tiles that it reaches into. Every voxel of the output is written once, by the task of its tile.

Rules that compute many objects at once do so on the device, if they can; everything else happens on the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastseg.arrays import Device, Namespace, namespace_for, to_host, within_memory
from fastseg.arrays.host_steps import declare_host_step
from fastseg.arrays.labels import lookup
from fastseg.errors import GpuMemoryError, UsageError
from fastseg.tiling.block import Block, Place
from fastseg.tiling.components import Components
from fastseg.tiling.executors import Executor
from fastseg.tiling.labelled import Touching
from fastseg.tiling.packed import gather_object
from fastseg.tiling.rules import Objects
from fastseg.tiling.shelf import Shelf
from fastseg.tiling.volume import Volume
from fastseg.types import Array, Box


@dataclass(frozen=True)
class TileItem:
    """A tile, its core, and its labels whose objects lie in it alone."""

    number: int
    core: Box
    own: np.ndarray


@dataclass(frozen=True)
class CrossingItem:
    """Objects that cross tiles, to be computed by the task of one tile."""

    tile: int
    objects: Touching


@dataclass(frozen=True)
class ObjectPass:
    """What the tasks of an object-wise pass share.

    Attributes
    ----------
    rule : Objects
    volumes, values, params
        Inputs of the operator.
    components : Components
    dtype : numpy dtype
        Of the output.
    output : Volume
    shelf : Shelf
        Where the voxels of crossing objects wait for their tiles.
    ns : Namespace
    limit : int, optional
        Voxels of the largest box that may be computed at once; a larger object is gathered voxel by voxel.
    """

    rule: Objects
    volumes: tuple[Volume, ...]
    values: tuple[Any, ...]
    params: Any
    components: Components
    dtype: np.dtype[Any]
    output: Volume
    shelf: Shelf
    ns: Namespace
    limit: int | None = None

    @property
    def _shape(self) -> tuple[int, ...]:
        return self.components.grid.shape

    def _grown(self, box: Box) -> Box:
        return box.grow((self.rule.margin,) * len(self._shape), self._shape)

    @property
    def _place(self) -> Namespace:
        """Where objects are computed."""
        return self.ns if self.rule.on_device else namespace_for(Device("cpu"))

    def _taken(self, array: Array) -> Array:
        """An array where objects are computed; a view or the array itself where it is there already."""
        return array if self.rule.on_device and self.ns.on_gpu else to_host(array)

    def _read(self, box: Box) -> tuple[Array, ...]:
        return tuple(self._taken(volume.read(box)) for volume in self.volumes)

    def _block(self, arrays: tuple[Array, ...], box: Box, core: Box) -> Block:
        cut = tuple(self._place.xp.ascontiguousarray(self._place.xp.asarray(a)) for a in arrays)
        return Block(cut, self.values, self.params, Place(box, core, self._shape), self._place)

    def _compute(
        self, arrays: tuple[np.ndarray, ...], place: Box, tight: Box, inside: np.ndarray
    ) -> np.ndarray:
        """The result of one object in its grown box, cut out of what was read."""
        box = self._grown(tight)
        assert self.rule.compute is not None  # a rule without it has compute_many
        return self.rule.compute(self._block(tuple(a[box.within(place)] for a in arrays), box, tight), inside)

    def _labels_of(self, item: TileItem) -> Array:
        """The objects of a tile alone, numbered from 1 in its grown box; 0 elsewhere."""
        xp = self._place.xp
        labels = xp.asarray(self._taken(self.components.local.read(item.core)))
        first, last = self.components.offsets[item.number : item.number + 2]
        place = self._grown(item.core)
        if place == item.core and len(item.own) == last - first:
            return xp.ascontiguousarray(labels)
        numbers = np.zeros(last - first + 1, np.int32)
        numbers[item.own] = np.arange(1, len(item.own) + 1)
        wide = xp.zeros(place.shape, np.int32)
        wide[item.core.within(place)] = lookup(self._place, numbers, labels)
        return wide

    def _compute_many(self, box: Box, core: Box, labels: Array, count: int) -> Array:
        assert self.rule.compute_many is not None
        result = self.rule.compute_many(self._block(self._read(box), box, core), labels, count)
        return result.astype(self.dtype, copy=False)

    def write_tile(self, item: TileItem) -> None:
        """Compute the objects of a tile and write it, with the voxels of those that reach into it."""
        xp = self._place.xp
        if not len(item.own):
            out = xp.zeros(item.core.shape, self.dtype)
        elif self.rule.compute_many is None:
            assert self.rule.compute is not None
            declare_host_step(
                self.ns, self.rule.compute.__name__.strip("_"), "objects are computed one by one"
            )
            out = self._one_by_one(item)
        else:
            place = self._grown(item.core)
            result = self._compute_many(place, item.core, self._labels_of(item), len(item.own))
            out = xp.ascontiguousarray(result[item.core.within(place)])
        flat = out.reshape(-1)
        for positions, values in self.shelf.take(item.number):
            flat[xp.asarray(positions)] = xp.asarray(values)
        self.output.write(item.core, out)

    def _one_by_one(self, item: TileItem) -> np.ndarray:
        """The core of a tile with the results of its objects, each computed on its own."""
        from scipy.ndimage import find_objects

        out = np.zeros(item.core.shape, self.dtype)
        labels = to_host(self.components.local.read(item.core))
        boxes = find_objects(labels)
        place = self._grown(item.core)
        arrays = self._read(place)
        corner = item.core.start
        for label in item.own:
            slices = boxes[label - 1]
            tight = Box(
                tuple(s.start + c for s, c in zip(slices, corner, strict=True)),
                tuple(s.stop + c for s, c in zip(slices, corner, strict=True)),
            )
            box = self._grown(tight)
            inside = np.zeros(box.shape, bool)
            own = labels[slices] == label
            inside[tight.within(box)] = own
            out[slices][own] = self._compute(arrays, place, tight, inside)[tight.within(box)][own]
        return out

    def compute_crossing(self, item: CrossingItem) -> None:
        """Compute objects that cross tiles and leave their voxels on the shelf."""
        found: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
        for group in self._groups(item.objects):
            numbers, starts, stops = group.numbers, group.starts, group.stops
            union = self._grown(_box(starts.min(0), stops.max(0)))
            if self.limit is not None and union.size > self.limit:
                self._shelve_packed(int(numbers[0]), union, found)
                continue
            which = self.components.which(union, numbers)
            if self.rule.compute_many is not None:
                core = _box(starts.min(0), stops.max(0))
                inside = which > 0  # `which` may be overwritten
                result = self._compute_crossing_many(union, core, which, len(numbers))
                self._shelve(union, inside, result, found)
                continue
            arrays = self._read(union)
            for k, (start, stop) in enumerate(zip(starts, stops, strict=True), start=1):
                tight = _box(start, stop)
                box = self._grown(tight)
                inside = which[box.within(union)] == k
                result = self._compute(arrays, union, tight, inside)
                self._shelve(box, inside, result, found)
        for tile, pieces in found.items():
            positions, values = (np.concatenate(part) for part in zip(*pieces, strict=True))
            self.shelf.put(tile, item.tile, positions, values)

    def _compute_crossing_many(self, box: Box, core: Box, which: np.ndarray, count: int) -> np.ndarray:
        """The results of crossing objects, on the host; smaller tiles would make their box no smaller."""
        place = self._place

        def compute() -> np.ndarray:
            return to_host(self._compute_many(box, core, place.xp.asarray(which), count))

        try:
            return within_memory(place, compute)
        except GpuMemoryError:
            reason = "the box of objects that cross tiles does not fit into the memory of the GPU"
        assert self.rule.compute_many is not None
        declare_host_step(self.ns, self.rule.compute_many.__name__.strip("_"), reason)
        host = replace(self, rule=replace(self.rule, on_device=False))
        return to_host(host._compute_many(box, core, which, count))

    def _groups(self, objects: Touching) -> Iterator[Touching]:
        """All objects together where one box holds them without much beside them; otherwise one by one."""
        union = _box(objects.starts.min(0), objects.stops.max(0))
        singles = np.prod(objects.stops - objects.starts, axis=1).sum()
        largest = np.prod(self.components.grid.tile)
        if union.size <= max(4 * singles, 2 * largest) and (self.limit is None or union.size <= self.limit):
            yield objects
            return
        for k in range(len(objects.numbers)):
            one = slice(k, k + 1)
            yield Touching(objects.numbers[one], objects.starts[one], objects.stops[one])

    def _shelve(
        self,
        box: Box,
        inside: np.ndarray,
        result: np.ndarray,
        found: dict[int, list[tuple[np.ndarray, np.ndarray]]],
    ) -> None:
        for tile, core in self.components.grid.overlapping(box):
            shared = core.intersect(box)
            there = shared.within(box)
            index = np.nonzero(inside[there])
            if len(index[0]):
                values = result[there][index].astype(self.dtype)
                moved = tuple(i + s.start for i, s in zip(index, shared.within(core), strict=True))
                found.setdefault(tile, []).append((np.ravel_multi_index(moved, core.shape), values))

    def _shelve_packed(
        self, number: int, box: Box, found: dict[int, list[tuple[np.ndarray, np.ndarray]]]
    ) -> None:
        """Compute an object whose box is too large from its voxels alone."""
        declare_host_step(self.ns, f"object {number}", "its box does not fit into the memory budget")
        packed = gather_object(self.components, number, box, self.volumes)
        if self.rule.packed is None or self.limit is None or len(packed.positions) > self.limit:
            raise UsageError(_too_wide(number, box, len(packed.positions), self.limit))
        values = self.rule.packed(packed, self.values, self.params, self.limit).astype(self.dtype)
        for tile, core in self.components.grid.overlapping(box):
            chosen, positions = packed.within(core)
            if len(positions):
                found.setdefault(tile, []).append((positions, values[chosen]))


def _box(start: np.ndarray, stop: np.ndarray) -> Box:
    return Box(tuple(int(n) for n in start), tuple(int(n) for n in stop))


def _too_wide(number: int, box: Box, voxels: int, limit: int | None) -> str:
    extent = "x".join(str(n) for n in box.shape)
    return (
        f"object {number} spans {extent} voxels, {voxels:,} of them its own, and the memory budget leaves room for "
        f"{limit:,} at a time: give a larger --memory or fewer workers"
    )


def run_objects(task: ObjectPass, executor: Executor) -> None:
    """Compute all objects and write the output.

    Parameters
    ----------
    task : ObjectPass
    executor : Executor

    Raises
    ------
    UsageError
        If an object is too large for the memory budget in any form.
    """
    components = task.components
    for _ in executor.map(task.compute_crossing, _crossing_items(components)):
        pass
    alone = components.alone()
    items = (
        TileItem(number, core, _labels_where(alone, components.offsets, number))
        for number, core in enumerate(components.grid)
    )
    for _ in executor.map(task.write_tile, items):
        pass


def _labels_where(alone: np.ndarray, offsets: np.ndarray, tile: int) -> np.ndarray:
    first, last = int(offsets[tile]), int(offsets[tile + 1])
    return np.flatnonzero(alone[first + 1 : last + 1]).astype(np.int32) + 1


def _crossing_items(components: Components) -> Iterator[CrossingItem]:
    """Crossing objects by the tile in which their bounding boxes begin."""
    objects = components.crossing()
    if not len(objects.numbers):
        return
    grid = components.grid
    index = objects.starts // np.array(grid.tile)
    owners = np.ravel_multi_index(tuple(index.T), grid.counts)
    order = np.argsort(owners, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
        part.sort()
        chosen = Touching(objects.numbers[part], objects.starts[part], objects.stops[part])
        yield CrossingItem(int(owners[part[0]]), chosen)
