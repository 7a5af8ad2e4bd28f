"""The engine: runs a rule over a grid of tiles. In memory is the same engine with one tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fastseg.arrays import Device, Namespace, namespace_for, to_host
from fastseg.tiling.block import Block, Place
from fastseg.tiling.components import Components, bounding_boxes, find_components, gather
from fastseg.tiling.executors import Executor, Serial
from fastseg.tiling.grid import Grid
from fastseg.tiling.rules import Chain, Labels, Link, Local, Objects, Reduce, Rule, Table, Whole
from fastseg.tiling.volume import ArrayVolume, PendingVolume, Volume
from fastseg.types import Box


def split_inputs(inputs: Iterable[Any]) -> tuple[list[Volume], tuple[Any, ...]]:
    """Volumes, which are tiled, and values, which every tile is given as they are."""
    items = list(inputs)
    volumes = [item for item in items if isinstance(item, Volume)]
    return volumes, tuple(item for item in items if not isinstance(item, Volume))


class Engine:
    """Runs rules over grids.

    Parameters
    ----------
    tile : sequence of int, optional
        Largest tile (z, y, x) in voxels; None for one tile, the in-memory case.
    executor : Executor, optional
        Who runs the tasks of a pass; in this thread by default.
    device : Device, optional
        Where the blocks live; the CPU by default.
    """

    def __init__(
        self,
        tile: Sequence[int] | None = None,
        executor: Executor | None = None,
        device: Device | None = None,
    ) -> None:
        self.tile = None if tile is None else tuple(int(t) for t in tile)
        self.executor: Executor = executor or Serial()
        self.ns: Namespace = namespace_for(device or Device("cpu"))

    def run(self, rule: Rule, inputs: Mapping[str, Any], params: Any) -> Any:
        """Apply a rule.

        Parameters
        ----------
        rule : Rule
        inputs : mapping of str to Volume or value
            In the operator's order.
        params : object
            The operator's parameters.

        Returns
        -------
        Volume or value
            A value if the (last) rule is `Reduce`.
        """
        with self.ns.active():
            if isinstance(rule, Chain):
                return self._chain(rule, inputs, params)
            return self._single(rule, list(inputs.values()), params)[0]

    def _chain(self, chain: Chain, inputs: Mapping[str, Any], params: Any) -> Any:
        links = list(chain.links(params, tuple(inputs)))
        last_use = {name: i for i, link in enumerate(links) for name in _names(link)}
        known = dict(inputs)
        result: Any = None
        for i, link in enumerate(links):
            own = params if link.params is None else link.params
            result, emitted = self._single(link.rule, [known[name] for name in link.inputs], own)
            known[link.name] = result
            known[f"{link.name}.emitted"] = emitted
            for name in list(known):
                if last_use.get(name, -1) <= i:
                    del known[name]
        return result

    def _single(self, rule: Any, inputs: Sequence[Any], params: Any) -> tuple[Any, Any]:
        """Result and emitted value of any rule but a chain."""
        volumes, values = split_inputs(inputs)
        grid = Grid.over(volumes[0].shape, self.tile)
        if isinstance(rule, Local):
            return self._local(rule, volumes, values, params, grid.of_planes() if rule.planes else grid)
        if isinstance(rule, Reduce):
            value = self._reduce(rule, volumes, values, params, grid)
            return (ArrayVolume(self.ns.xp.asarray(value)) if rule.volume else value), None
        if isinstance(rule, Labels):
            return self._labels(rule, volumes, values, params, grid), None
        if isinstance(rule, Objects):
            return self._objects(rule, volumes, values, params, grid), None
        return self._whole(rule, volumes, values, params), None

    def _local(
        self, rule: Local, volumes: list[Volume], values: tuple[Any, ...], params: Any, grid: Grid
    ) -> tuple[Volume, Any]:
        output = PendingVolume(rule.output_shape(grid.shape, params), self.ns.xp)
        task = partial(_local_tile, rule, volumes, values, params, grid.shape, output, self.ns)
        partials = list(self.executor.map(task, grid))
        emitted = None if rule.emits is None else _merge(rule.emits, partials, values, params)
        return output, emitted

    def _reduce(
        self, rule: Reduce, volumes: list[Volume], values: tuple[Any, ...], params: Any, grid: Grid
    ) -> Any:
        task = partial(_chunk_tile, rule, volumes, values, params, grid.shape, self.ns)
        return _merge(rule, self.executor.map(task, grid), values, params)

    def _components(
        self, rule: Labels | Objects, volumes: list[Volume], values: tuple[Any, ...], params: Any, grid: Grid
    ) -> Components:
        local = PendingVolume(grid.shape, self.ns.xp)
        return find_components(rule, params, volumes, values, grid, local, self.executor, self.ns)

    def _labels(
        self, rule: Labels, volumes: list[Volume], values: tuple[Any, ...], params: Any, grid: Grid
    ) -> Volume:
        components = self._components(rule, volumes, values, params, grid)
        tables: dict[str, np.ndarray] = {}
        for name, table in rule.tables(params).items():
            tables[name] = self._table(table, tables, components, volumes, values, params)
        decision = rule.decide(tables, components.count, values, params)
        output = PendingVolume(grid.shape, self.ns.xp)
        task = partial(_label_apply, rule, volumes, values, params, components, decision, output, self.ns)
        for _ in self.executor.map(task, enumerate(grid)):
            pass
        return output

    def _table(
        self,
        table: Table,
        tables: Mapping[str, np.ndarray],
        components: Components,
        volumes: list[Volume],
        values: tuple[Any, ...],
        params: Any,
    ) -> np.ndarray:
        task = partial(_table_tile, table, dict(tables), components, volumes, values, params, self.ns)
        merged: np.ndarray | None = None
        for numbers, rows in self.executor.map(task, enumerate(components.grid)):
            if merged is None:
                merged = np.full((components.count + 1, *rows.shape[1:]), table.initial, rows.dtype)
            getattr(np, table.combine).at(merged, numbers, rows)
        assert merged is not None  # a grid has at least one tile
        return merged

    def _objects(
        self, rule: Objects, volumes: list[Volume], values: tuple[Any, ...], params: Any, grid: Grid
    ) -> Volume:
        components = self._components(rule, volumes, values, params, grid)
        dtype = rule.dtype([v.dtype for v in volumes], params)
        output = ArrayVolume(self.ns.xp.zeros(grid.shape, dtype))
        boxes = bounding_boxes(components, self.executor)
        task = partial(_object, rule, volumes, values, params, components, output, self.ns)
        for _ in self.executor.map(task, enumerate(boxes, start=1)):
            pass
        return output

    def _whole(self, rule: Whole, volumes: list[Volume], values: tuple[Any, ...], params: Any) -> Volume:
        arrays = tuple(v.read(Box.whole(v.shape)) for v in volumes)
        box = Box.whole(volumes[0].shape)
        ns = self.ns
        if rule.host_only and ns.on_gpu:
            ns = namespace_for(Device("cpu"))
            arrays = tuple(to_host(a) for a in arrays)
        result = rule.compute(Block(arrays, values, params, Place(box, box, box.shape), ns))
        return ArrayVolume(self.ns.xp.asarray(result))


def _names(link: Link) -> list[str]:
    return [*link.inputs, link.name]


def _merge(rule: Reduce, partials: Iterable[Any], values: tuple[Any, ...], params: Any) -> Any:
    merged: Any = None
    for number, item in enumerate(partials):
        merged = item if number == 0 else rule.combine(merged, item)
    return rule.finalize(merged, values, params)


def _block(
    halo: Sequence[int],
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    params: Any,
    shape: tuple[int, ...],
    ns: Namespace,
    core: Box,
) -> Block:
    box = core.grow(tuple(halo)[-len(shape) :], shape)
    return Block(tuple(v.read(box) for v in volumes), values, params, Place(box, core, shape), ns)


def _local_tile(
    rule: Local,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    params: Any,
    shape: tuple[int, ...],
    output: Volume,
    ns: Namespace,
    core: Box,
) -> Any:
    block = _block(rule.halo(params), volumes, values, params, shape, ns, core)
    result = rule.apply(block)
    emitted = None
    if rule.emits is not None:
        result, emitted = result
    if output.shape == shape:
        output.write(core, result if result.shape == core.shape else result[block.place.keep])
    else:  # planes that change their size; the planes themselves stay where they are
        output.write(Box((*core.start[:-2], 0, 0), (*core.stop[:-2], *output.shape[-2:])), result)
    return emitted


def _chunk_tile(
    rule: Reduce,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    params: Any,
    shape: tuple[int, ...],
    ns: Namespace,
    core: Box,
) -> Any:
    return rule.chunk(_block(rule.halo(params), volumes, values, params, shape, ns, core))


def _table_tile(
    table: Table,
    tables: Mapping[str, np.ndarray],
    components: Components,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    params: Any,
    ns: Namespace,
    numbered: tuple[int, Box],
) -> tuple[np.ndarray, np.ndarray]:
    number, core = numbered
    ids = components.local.read(core)
    block = _block((0, 0, 0), volumes, values, params, components.grid.shape, ns, core)
    numbers = components.of_tile(number)
    earlier = {name: rows[numbers] for name, rows in tables.items()}
    return numbers, to_host(table.chunk(block, ids, len(numbers) - 1, earlier))


def _label_apply(
    rule: Labels,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    params: Any,
    components: Components,
    decision: np.ndarray,
    output: Volume,
    ns: Namespace,
    numbered: tuple[int, Box],
) -> None:
    number, core = numbered
    block = _block((0, 0, 0), volumes, values, params, components.grid.shape, ns, core)
    rows = gather(decision[components.of_tile(number)], components.local.read(core), ns)
    output.write(core, rule.apply(block, rows))


def _object(
    rule: Objects,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    params: Any,
    components: Components,
    output: ArrayVolume,
    ns: Namespace,
    numbered: tuple[int, Box],
) -> None:
    number, tight = numbered
    shape = components.grid.shape
    box = tight.grow((rule.margin,) * len(shape), shape)
    inside = components.read(box) == number
    host = namespace_for(Device("cpu"))
    arrays = tuple(to_host(v.read(box)) for v in volumes)
    result = rule.compute(Block(arrays, values, params, Place(box, tight, shape), host), inside)
    here = output.array[box.slices]
    where = ns.xp.asarray(inside)
    here[where] = ns.xp.asarray(result[inside])
