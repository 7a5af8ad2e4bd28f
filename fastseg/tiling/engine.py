"""The engine: runs programs over a grid of tiles. In memory is the same engine with one tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from fastseg.arrays import Device, Namespace, namespace_for, within_memory
from fastseg.arrays.deferred import held_array
from fastseg.arrays.host_steps import declare_host_step
from fastseg.errors import UsageError
from fastseg.tiling.block import Block, Place
from fastseg.tiling.components import find_components
from fastseg.tiling.estimate import object_voxel_bytes
from fastseg.tiling.executors import IN_MEMORY, Executor, Serial
from fastseg.tiling.grid import Grid
from fastseg.tiling.guarded import GuardedExecutor
from fastseg.tiling.journal import Journal, Progress
from fastseg.tiling.labels_pass import LabelPass, run_labels
from fastseg.tiling.objects_pass import ObjectPass, run_objects
from fastseg.tiling.passes import FusedPass
from fastseg.tiling.program import Node, Stage, base, blaming, flatten, stages
from fastseg.tiling.rules import Labels, Local, Objects, Reduce, Rule, Whole
from fastseg.tiling.run_volume import RunVolume
from fastseg.tiling.storage import HostMemory, Memory, Storage
from fastseg.tiling.volume import ArrayVolume, Volume
from fastseg.types import Box


def _quiet(stage: Stage, number: int, total: int) -> None:
    pass


class Engine:
    """Runs programs over grids.

    Parameters
    ----------
    tile : sequence of int, optional
        Largest tile (z, y, x) in voxels; None for one tile, the in-memory case.
    executor : Executor, optional
        Who runs the tasks of a pass; in this thread by default.
    device : Device, optional
        Where the blocks live; the CPU by default.
    storage : Storage, optional
        Where intermediate volumes live; in memory by default.
    room : int, optional
        Bytes that one task may take; no limit by default. Objects that need more are gathered voxel by voxel.

    Raises
    ------
    UsageError
        If tasks run in other processes and volumes are kept in the memory of this one.
    """

    def __init__(
        self,
        tile: Sequence[int] | None = None,
        executor: Executor | None = None,
        device: Device | None = None,
        storage: Storage | None = None,
        room: int | None = None,
    ) -> None:
        self.tile = None if tile is None else tuple(int(t) for t in tile)
        self.executor: Executor = executor or Serial()
        self.ns: Namespace = namespace_for(device or Device("cpu"))
        self._tasks = GuardedExecutor(self.executor, self.ns) if self.ns.on_gpu else self.executor
        self.storage: Storage = storage or Memory()
        self.room = room
        if getattr(self.executor, "remote", False) and isinstance(self.storage, Memory | HostMemory):
            raise UsageError(IN_MEMORY)

    @property
    def home(self) -> Namespace:
        """Of volumes in memory."""
        return namespace_for(Device("cpu")) if isinstance(self.storage, HostMemory) else self.ns

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
        nodes = flatten("result", rule, {name: f"input:{name}" for name in inputs}, params)
        return self.run_program(nodes, {f"input:{name}": v for name, v in inputs.items()}, ["result"])[
            "result"
        ]

    def run_program(
        self,
        nodes: Sequence[Node],
        inputs: Mapping[str, Any],
        wanted: Sequence[str],
        outputs: Mapping[str, Volume] | None = None,
        on_stage: Callable[[Stage, int, int], None] = _quiet,
        journal: Journal | None = None,
    ) -> dict[str, Any]:
        """Run a program.

        Parameters
        ----------
        nodes : sequence of Node
            In an order in which inputs come first.
        inputs : mapping of str to Volume or value
        wanted : sequence of str
            Nodes whose results are returned.
        outputs : mapping of str to Volume, optional
            Where results of wanted nodes are written, instead of new volumes.
        on_stage : callable
            Called before every stage that is run, with its number from 0 and the number of stages.
        journal : Journal, optional
            Of an earlier run of the same program: the stages that it finished are not run again. Finished stages are
            recorded in it.

        Returns
        -------
        dict of str to Volume or value

        Raises
        ------
        GpuMemoryError
            If the memory of the GPU runs out. Inputs and finished stages are as they were.
        """
        plan = stages(nodes, wanted)
        last_use = {
            base(name): i for i, stage in enumerate(plan) for node in stage.nodes for name in node.inputs
        }
        last_use |= {name: len(plan) for name in wanted}
        done = Progress() if journal is None else journal.read()
        known: dict[str, Any] = {**inputs, **done.known}
        with self.ns.active():
            for i, stage in enumerate(plan):
                if i < done.stages:
                    continue
                on_stage(stage, i, len(plan))
                with blaming(stage.nodes[0]) if not stage.fused else nullcontext():
                    known |= within_memory(self.ns, partial(self._stage, stage, known, outputs or {}))
                gone = [known.pop(name) for name in list(known) if last_use.get(base(name), -1) <= i]
                left = {name: item for name, item in known.items() if name not in inputs}
                if journal is not None and not any(
                    item is left.get(n) for n, item in (outputs or {}).items()
                ):
                    journal.write(
                        Progress(i + 1, left)
                    )  # before anything that an older record names is removed
                for item in gone:
                    if isinstance(item, Volume) and not any(item is given for given in inputs.values()):
                        self.storage.release(item)
                gone, item = [], None  # the next stage need not find room beside them
        return {name: known[name] for name in wanted}

    def _stage(self, stage: Stage, known: Mapping[str, Any], outputs: Mapping[str, Volume]) -> dict[str, Any]:
        """What a stage adds to the known volumes and values."""
        node = stage.nodes[0]
        if isinstance(node.rule, Local | Reduce):
            return self._tiles(stage, known, outputs)
        inputs = [known[name] for name in node.inputs]
        volumes = [item for item in inputs if isinstance(item, Volume)]
        values = tuple(item for item in inputs if not isinstance(item, Volume))
        grid = Grid.over(volumes[0].shape, self.tile)
        output = outputs.get(node.name)
        if isinstance(node.rule, Labels):
            return {node.name: self._labels(node.rule, volumes, values, node.params, grid, output)}
        if isinstance(node.rule, Objects):
            return {node.name: self._objects(node, volumes, values, grid, output)}
        return {node.name: self._whole(node.rule, volumes, values, node.params, output)}

    def _new(self, shape: Sequence[int], grid: Grid) -> Volume:
        tile = grid.tile if tuple(shape) == grid.shape else (*grid.tile[:-2], *shape[-2:])
        return self.storage.volume(shape, tile, self.ns)

    def _tiles(self, stage: Stage, known: Mapping[str, Any], outputs: Mapping[str, Volume]) -> dict[str, Any]:
        volumes = {name: known[name] for name in stage.reads if isinstance(known[name], Volume)}
        inside = {node.name for node in stage.nodes}
        names = {name for node in stage.nodes for name in node.inputs} - inside - set(volumes)
        values = {name: known[name] for name in names}
        shape = next(iter(volumes.values())).shape
        grid = Grid.over(shape, self.tile)
        grid = grid.of_planes() if stage.planes else grid
        written: dict[str, Volume] = {}
        for node in stage.nodes:
            if node.name in stage.writes and isinstance(node.rule, Local):
                size = node.rule.output_shape(shape, node.params)
                written[node.name] = outputs.get(node.name) or self._new(size, grid)
        task = FusedPass(
            tuple(stage.nodes), stage.reads, stage.growth, volumes, values, written, shape, self.ns
        )
        merged = _merge_partials(stage.nodes, self._tasks.map(task, grid))
        found: dict[str, Any] = dict(written)
        for node in stage.nodes:
            if node.name not in merged:
                continue
            rule = node.rule if isinstance(node.rule, Reduce) else node.rule.emits
            own = tuple(values[name] for name in node.inputs if name in values)
            with blaming(node):
                value = rule.finalize(merged[node.name], own, node.params)
            if not isinstance(node.rule, Reduce):
                found[f"{node.name}.emitted"] = value
            else:
                found[node.name] = ArrayVolume(self.home.put(held_array(value))) if rule.volume else value
        return found

    def _labels(
        self,
        rule: Labels,
        volumes: list[Volume],
        values: tuple[Any, ...],
        params: Any,
        grid: Grid,
        given: Volume | None,
    ) -> Volume:
        by_runs = all(table.runs or table.runs_with for table in rule.tables(params).values())
        as_runs = isinstance(self.storage, Memory) and by_runs
        local = RunVolume(grid, self.ns) if as_runs else self._new(grid.shape, grid)
        components = find_components(rule, params, volumes, values, grid, local, self._tasks, self.ns)
        output = given or self._new(grid.shape, grid)
        run_labels(LabelPass(rule, tuple(volumes), values, params, components, output, self.ns), self._tasks)
        self.storage.release(local)
        return output

    def _objects(
        self, node: Node, volumes: list[Volume], values: tuple[Any, ...], grid: Grid, given: Volume | None
    ) -> Volume:
        rule: Objects = node.rule
        local = self._new(grid.shape, grid)
        components = find_components(rule, node.params, volumes, values, grid, local, self._tasks, self.ns)
        output = given or self._new(grid.shape, grid)
        dtype = np.dtype(rule.dtype([v.dtype for v in volumes], node.params))
        limit = None if self.room is None else int(self.room / object_voxel_bytes(node, len(volumes)))
        shelf = self.storage.shelf()
        task = ObjectPass(
            rule, tuple(volumes), values, node.params, components, dtype, output, shelf, self.ns, limit
        )
        run_objects(task, self._tasks)
        self.storage.release(local)
        self.storage.release(shelf)
        return output

    def _whole(
        self,
        rule: Whole,
        volumes: list[Volume],
        values: tuple[Any, ...],
        params: Any,
        given: Volume | None,
    ) -> Volume:
        ns = namespace_for(Device("cpu")) if rule.host_only and self.ns.on_gpu else self.ns
        box = Box.whole(volumes[0].shape)
        if ns is not self.ns:
            declare_host_step(self.ns, rule.compute.__name__.strip("_"), "one queue orders the whole volume")
        arrays = tuple(ns.xp.ascontiguousarray(ns.put(v.read(Box.whole(v.shape)))) for v in volumes)
        result = rule.compute(Block(arrays, values, params, Place(box, box, box.shape), ns))
        output = given or self._new(result.shape, Grid.over(result.shape, self.tile))
        output.write(Box.whole(result.shape), result)
        return output


def _merge_partials(nodes: Sequence[Node], tiles: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The partial statistics of all tiles, merged node by node in the order of the tiles."""
    rules = {node.name: node.rule if isinstance(node.rule, Reduce) else node.rule.emits for node in nodes}
    merged: dict[str, Any] = {}
    for partials in tiles:
        for name, item in partials.items():
            merged[name] = rules[name].combine(merged[name], item) if name in merged else item
    return merged
