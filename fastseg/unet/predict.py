"""Predicting a volume: normalise, run the network, threshold; in memory or tile by tile, with one answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.errors import InputError, UsageError
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.tiling.program import Stage
from fastseg.types import Array, Box
from fastseg.unet.memory import choose_patch, fixed_bytes, patch_cost, smallest_patch
from fastseg.unet.model import Model
from fastseg.unet.patches import AlignedGrid, cuts_no_patch, halo_of
from fastseg.unet.plan import PatchReport, report
from fastseg.unet.program import PredictSettings, prediction_params, prediction_program
from fastseg.unet.rule import NotEnoughMemory, Prediction


@dataclass
class Predicted:
    """What a prediction gives.

    Attributes
    ----------
    maps : dict of str to Volume
        One a selection, by its name: float32 probabilities, or bool masks.
    report : PatchReport
    seconds : float
    notes : list of str
        Remarks for the user.
    """

    maps: dict[str, Volume]
    report: PatchReport
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def array(self, name: str | None = None) -> np.ndarray:
        """A map as an array (z, y, x); the first by default."""
        volume = next(iter(self.maps.values())) if name is None else self.maps[name]
        return np.asarray(volume.read(Box.whole(volume.shape)))


def _quiet(stage: Stage, number: int, total: int) -> None:
    pass


def predict_volumes(
    model: Model,
    channels: Sequence[Volume],
    settings: PredictSettings | None = None,
    engine: Engine | None = None,
    *,
    outputs: Mapping[str, Volume] | None = None,
    on_stage: Callable[[Stage, int, int], None] = _quiet,
) -> Predicted:
    """Predict a volume that need not fit into memory.

    Parameters
    ----------
    model : Model
    channels : sequence of Volume (z, y, x)
        float32, never written to.
    settings : PredictSettings, optional
    engine : Engine, optional
        On the CPU; its tile, executor and storage decide where and how the work is done. In memory by default.
    outputs : mapping of str to Volume, optional
        Where maps are written, by the selection's name.
    on_stage : callable
        Called before every stage.

    Returns
    -------
    Predicted
        The result does not depend on the engine.

    Raises
    ------
    InputError
        If the image is unsuitable.
    UsageError, Problems
        If settings do not fit.
    """
    settings, engine = settings or PredictSettings(), engine or Engine()
    started = perf_counter()
    _check_channels(model, channels)
    shape = tuple(channels[0].shape)
    notes: list[str] = []
    params = prediction_params(model, shape, settings, engine.tile)
    while True:
        program = prediction_program(model, params, settings)
        inputs = dict(zip(program.inputs, channels, strict=True))
        goals = {
            node: (outputs or {})[name] for name, node in program.wanted.items() if name in (outputs or {})
        }
        wanted = [*program.wanted.values(), *program.ranges]
        try:
            found = engine.run_program(program.nodes, inputs, wanted, goals, on_stage)
            break
        except NotEnoughMemory as error:
            params = _smaller(params, shape, settings, engine.tile)
            size = ",".join(map(str, params.model.architecture.sizes.size_in(params.grid.largest)))
            notes.append(f"{error}; going on with patches of {size}")
    for selection, name in zip(params.selections, program.ranges):
        if not found[name].high > found[name].low:
            notes.append(
                f"{selection.name} is {found[name].low:g} everywhere: nothing to stretch, the map is 0"
            )
    maps = {name: found[node] for name, node in program.wanted.items()}
    return Predicted(maps, report(params, shape, engine.tile), perf_counter() - started, notes)


def _check_channels(model: Model, channels: Sequence[Volume]) -> None:
    count = model.architecture.params.channels
    if len(channels) != count:
        raise InputError(
            f"the image has {len(channels)} channel{'s' if len(channels) != 1 else ''}; this model takes {count}: "
            "select them with --channel"
        )
    shapes = {tuple(c.shape) for c in channels}
    if len(shapes) > 1 or len(min(shapes)) != 3:
        raise InputError(f"channels must be (Z, Y, X) stacks of one shape; they have {sorted(shapes)}")
    if 0 in min(shapes):
        raise InputError(f"the image has shape {min(shapes)}; no axis may be empty")


def _smaller(
    params: Prediction, shape: Sequence[int], settings: PredictSettings, tile: Sequence[int] | None
) -> Prediction:
    """The same with half the memory for patches; only the aligned grid gives the same result then."""
    arch = params.model.architecture
    outputs = sorted({s.output for s in params.selections})
    if params.batch > 1:
        return replace(params, batch=params.batch // 2)
    cost = patch_cost(arch, params.grid.largest, outputs)
    if not isinstance(params.grid, AlignedGrid) or settings.patch is not None:
        size = ",".join(map(str, cost.size_in))
        raise UsageError(
            f"patches of {size} do not fit into the memory of {params.device}: give smaller ones"
        )
    fixed = fixed_bytes(arch)
    least = patch_cost(arch, smallest_patch(arch), outputs).bytes
    budget = max(least, fixed + (cost.bytes - fixed) // 2)
    smaller = choose_patch(arch, shape, budget, outputs).size_out
    if smaller == params.grid.largest:
        raise UsageError(
            f"{arch.name} does not fit into the memory of {params.device}, even in its smallest patches"
        )
    grid = AlignedGrid(arch.sizes, smaller)
    return replace(params, grid=grid, halo=halo_of(grid, shape, cuts_no_patch(grid, shape, tile)))


def predict(model: Model, image: Array, **settings: Any) -> Predicted:
    """Predict an image in memory.

    Parameters
    ----------
    model : Model
    image : array (Z, Y, X) or (C, Z, Y, X)
        Any real dtype, used as float32; never modified.
    **settings
        Fields of `PredictSettings`; and ``engine``.

    Returns
    -------
    Predicted

    Raises
    ------
    InputError
        If the image is unsuitable.
    UsageError, Problems
        If settings do not fit.
    """
    engine = settings.pop("engine", None)
    array = np.asarray(image)
    if array.ndim not in (3, 4):
        raise InputError(f"the image is {array.ndim}-D {array.shape}; (Z, Y, X) or (C, Z, Y, X) is needed")
    if array.dtype.kind not in "buif":
        raise InputError(f"the image has dtype {array.dtype}; real numbers are needed")
    stacks = array[None] if array.ndim == 3 else array
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused as such
        volumes = [ArrayVolume(np.ascontiguousarray(s, dtype=np.float32)) for s in stacks]
    return predict_volumes(model, volumes, PredictSettings(**settings), engine)
