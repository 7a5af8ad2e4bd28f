"""One prediction on its way: programs, resizing between them, smaller patches where memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from fastseg.errors import UsageError
from fastseg.tiling import Engine, Volume
from fastseg.tiling.journal import Journal
from fastseg.tiling.program import Stage
from fastseg.tiling.statistics import Extrema
from fastseg.types import Box
from fastseg.unet.fit import Fitted, seen_shape
from fastseg.unet.memory import choose_patch, fixed_bytes, patch_cost, smallest_patch
from fastseg.unet.model import Model
from fastseg.unet.patches import AlignedGrid, cuts_no_patch, halo_of
from fastseg.unet.plan import PatchReport, report
from fastseg.unet.program import (
    PredictProgram,
    finish_program,
    network_program,
    normalization_program,
    prediction_program,
    unit_range_program,
)
from fastseg.unet.resize import copy_volume, resize_volume
from fastseg.unet.rule import NotEnoughMemory, Prediction, remarks
from fastseg.unet.settings import PredictSettings


@dataclass
class Predicted:
    """What a prediction gives.

    Attributes
    ----------
    maps : dict of str to Volume
        One a selection, by its name: float32 probabilities, or bool masks.
    report : PatchReport
    facts : dict of str to int or Extrema
        Foreground voxels of each mask, or least and greatest value of each map.
    seconds : float
    notes : list of str
        Remarks for the user.
    """

    maps: dict[str, Volume]
    report: PatchReport
    facts: dict[str, int | Extrema]
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def array(self, name: str | None = None) -> np.ndarray:
        """A map as an array (z, y, x); the first by default."""
        volume = next(iter(self.maps.values())) if name is None else self.maps[name]
        return np.asarray(volume.read(Box.whole(volume.shape)))


OnStage: TypeAlias = Callable[[Stage, int, int], None]


def quiet(stage: Stage, number: int, total: int) -> None:
    pass


class Job:
    """One prediction on its way.

    Parameters
    ----------
    model, settings, fitted, engine, outputs, on_stage, journal
        As of `predict_volumes`.
    """

    def __init__(
        self,
        model: Model,
        settings: PredictSettings,
        fitted: Fitted,
        engine: Engine,
        outputs: Mapping[str, Volume],
        on_stage: OnStage,
        journal: Journal | None,
    ) -> None:
        self.model = model
        self.settings = settings
        self.params = fitted.params
        self.inner = _with_tile(engine, fitted.tile)
        self.outer = _with_tile(engine, fitted.outer)
        self.outputs = outputs
        self.on_stage = on_stage
        self.journal = journal
        self.notes: list[str] = []

    def direct(self, channels: Sequence[Volume]) -> Predicted:
        """On the image's own grid."""
        shape = tuple(channels[0].shape)
        if self.journal is not None and (done := self.journal.read().stages):
            self.notes.append(f"stages 1 to {done} were finished by an earlier run")
        program, found = self._network(
            channels, lambda params: prediction_program(self.model, params, self.settings), self.outputs
        )
        return self._predicted(program, found, shape)

    def resized(self, channels: Sequence[Volume]) -> Predicted:
        """On another grid; the maps are brought back before they are thresholded."""
        shape = tuple(channels[0].shape)
        seen = seen_shape(shape, self.settings)
        before = normalization_program(self.model, self.settings)
        first = self.settings.resize_first
        volumes = list(channels) if first else self._run(self.outer, before, channels)
        volumes = [self._moved(v, seen, channels) for v in volumes]

        def program(params: Prediction) -> PredictProgram:
            entry = before if first else unit_range_program(len(channels))
            network = network_program(params, self.settings, tuple(entry.wanted.values()))
            nodes = (*entry.nodes, *network.nodes)
            return PredictProgram(nodes, entry.inputs, network.wanted, network.ranges)

        inner, maps = self._network(volumes, program, {})
        for volume in volumes:
            self._release(volume, channels)
        back = {name: self._moved(maps[node], shape, ()) for name, node in inner.wanted.items()}
        after = finish_program(self.model, self.settings, {name: f"{name}:map" for name in back})
        inputs = {f"{name}:map": volume for name, volume in back.items()}
        goals = {after.wanted[name]: volume for name, volume in self.outputs.items()}
        if all(node in inputs for node in after.wanted.values()):  # nothing is thresholded
            for name, volume in self.outputs.items():
                copy_volume(back[name], volume, self.outer)
        found = self.outer.run_program(after.nodes, inputs, after.goals_among(inputs), goals, self.on_stage)
        found |= {name: volume for name, volume in inputs.items() if name not in found}
        return self._predicted(after, found, seen)

    def _network(
        self,
        channels: Sequence[Volume],
        program: Callable[[Prediction], PredictProgram],
        outputs: Mapping[str, Volume],
    ) -> tuple[PredictProgram, dict[str, Any]]:
        """Run the network, in smaller patches where memory runs out."""
        shape = tuple(channels[0].shape)
        while True:
            made = program(self.params)
            inputs = dict(zip(made.inputs, channels, strict=True))
            goals = {made.wanted[name]: volume for name, volume in outputs.items()}
            try:
                found = self.inner.run_program(
                    made.nodes, inputs, made.goals, goals, self.on_stage, self.journal
                )
            except NotEnoughMemory as error:
                self.params = _smaller(self.params, shape, self.inner.tile)
                self.notes.append(f"{error}; going on with {self.params.patches}")
                continue
            self.notes += remarks(self.params, self.inner.executor)
            for name, node in made.ranges.items():
                if not found[node].high > found[node].low:
                    text = f"{name} is {found[node].low:g} everywhere: nothing to stretch, the map is 0"
                    self.notes.append(text)
            return made, found

    def _run(self, engine: Engine, program: PredictProgram, channels: Sequence[Volume]) -> list[Volume]:
        """The results of a program, which are its inputs where it does nothing."""
        inputs = dict(zip(program.inputs, channels, strict=True))
        found = {**inputs}
        if program.nodes:
            found |= engine.run_program(
                program.nodes, inputs, program.goals_among(inputs), on_stage=self.on_stage
            )
        return [found[node] for node in program.wanted.values()]

    def _moved(self, volume: Volume, shape: Sequence[int], kept: Sequence[Volume]) -> Volume:
        """The volume on another grid; it is given back unless it is one of those `kept`."""
        found = resize_volume(volume, shape, self.outer)
        if found is not volume:
            self._release(volume, kept)
        return found

    def _release(self, volume: Volume, kept: Sequence[Volume]) -> None:
        if not any(volume is item for item in kept):
            self.outer.storage.release(volume)

    def _predicted(self, program: PredictProgram, found: Mapping[str, Any], seen: Sequence[int]) -> Predicted:
        return Predicted(
            maps={name: found[node] for name, node in program.wanted.items()},
            report=report(self.params, seen, self.inner.tile),
            facts={name: found[node] for name, node in program.facts.items()},
            notes=self.notes,
        )


def _with_tile(engine: Engine, tile: Sequence[int] | None) -> Engine:
    if engine.tile == (None if tile is None else tuple(tile)):
        return engine
    return Engine(tile, engine.executor, engine.ns.device, engine.storage, engine.room)


def _smaller(params: Prediction, shape: Sequence[int], tile: Sequence[int] | None) -> Prediction:
    """The same with half the memory for patches; only the aligned grid gives the same result then."""
    arch, outputs, whole = params.model.architecture, params.outputs, params.at_once
    if params.batch > 1:
        return replace(params, batch=params.batch // 2)
    if not isinstance(params.grid, AlignedGrid):
        raise UsageError(
            f"{params.patches} do not fit into the memory of {params.device}, and with others the result would be "
            "another one: give smaller ones, or --mode aligned"
        )
    cost = patch_cost(arch, params.grid.largest, outputs, at_once=whole)
    fixed = fixed_bytes(arch)
    least = patch_cost(arch, smallest_patch(arch), outputs, at_once=whole).bytes
    budget = max(least, fixed + (cost.bytes - fixed) // 2)
    seen = shape if tile is None else [min(n, t) for n, t in zip(shape, tile, strict=True)]
    smaller = choose_patch(arch, seen, budget, outputs, at_once=whole).size_out
    if smaller == params.grid.largest:
        raise UsageError(
            f"{arch.name} does not fit into the memory of {params.device}, even in its smallest patches"
        )
    grid = AlignedGrid(arch.sizes, smaller)
    return replace(params, grid=grid, halo=halo_of(grid, shape, cuts_no_patch(grid, shape, tile)))
