"""Measuring labelled objects, deciding on them as a whole, and writing what was decided, tile by tile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fastseg.arrays import Namespace, to_host
from fastseg.arrays.labels import lookup
from fastseg.tiling.block import Block, Place
from fastseg.tiling.components import Components, merge_rows
from fastseg.tiling.executors import Executor
from fastseg.tiling.passes import load
from fastseg.tiling.rules import Labels, Table
from fastseg.tiling.run_volume import RunVolume
from fastseg.tiling.volume import Volume
from fastseg.types import Box


@dataclass(frozen=True)
class LabelPass:
    """What the tasks of a labels pass share.

    Attributes
    ----------
    rule : Labels
    volumes, values, params
        Inputs of the operator.
    components : Components
    output : Volume
    ns : Namespace
    """

    rule: Labels
    volumes: tuple[Volume, ...]
    values: tuple[Any, ...]
    params: Any
    components: Components
    output: Volume
    ns: Namespace

    def _block(self, core: Box) -> Block:
        arrays = tuple(load(v, core, self.ns) for v in self.volumes)
        place = Place(core, core, self.components.grid.shape)
        return Block(arrays, self.values, self.params, place, self.ns)

    def measure_tile(
        self, table: Table, tables: Mapping[str, np.ndarray], numbered: tuple[int, Box]
    ) -> tuple[np.ndarray, Any]:
        """Final numbers of the objects of a tile, and their rows of a table."""
        number, core = numbered
        local = self.components.local
        numbers = self.components.of_tile(number)
        earlier = {name: rows.take(numbers, axis=0) for name, rows in tables.items()}  # faster than indexing
        if isinstance(local, RunVolume) and table.runs_with is not None:
            return numbers, table.runs_with(self._block(core), local.runs(core), earlier)
        rows = table.chunk(self._block(core), load(local, core, self.ns), len(numbers) - 1, earlier)
        return numbers, rows if table.merge is not None else to_host(rows)

    def write_tile(self, decision: np.ndarray, numbered: tuple[int, Box]) -> None:
        """Write what was decided on the objects of a tile."""
        number, core = numbered
        decided = decision[self.components.of_tile(number)]
        local = self.components.local
        if isinstance(local, RunVolume):
            if self.rule.apply_runs is not None:
                self.output.write(core, self.rule.apply_runs(self._block(core), local.runs(core), decided))
                return
            rows = local.runs(core).paint(decided)
        else:
            rows = lookup(self.ns, decided, load(local, core, self.ns))
        self.output.write(core, self.rule.apply(self._block(core), rows))


def run_labels(task: LabelPass, executor: Executor) -> None:
    """Fill the tables that did not come with the labelling, decide, and write the output.

    Parameters
    ----------
    task : LabelPass
    executor : Executor
    """
    components = task.components
    known = components.tables
    task = replace(task, components=replace(components, tables={}))  # tasks need not carry them
    tables: dict[str, np.ndarray] = {}
    for name, table in task.rule.tables(task.params).items():
        if name in known:
            tables[name] = known[name]
            continue
        parts = executor.map(partial(task.measure_tile, table, dict(tables)), enumerate(components.grid))
        tables[name] = (table.merge or partial(merge_rows, table))(components.count, parts)
    decision = task.rule.decide(tables, components.count, task.values, task.params)
    for _ in executor.map(partial(task.write_tile, decision), enumerate(components.grid)):
        pass
