"""Fitting a prediction into memory: patches and tiles together, before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from fastseg.errors import UsageError
from fastseg.tiling.plan import PROCESS, fit, make_plan, readable
from fastseg.unet.graph import Triple
from fastseg.unet.memory import at_once, patch_cost, smallest_patch
from fastseg.unet.model import Model
from fastseg.unet.patches import AlignedGrid, halo_of, whole_patches
from fastseg.unet.plan import patch_memory
from fastseg.unet.program import (
    PredictProgram,
    finish_program,
    network_program,
    normalization_program,
    prediction_program,
    unit_range_program,
)
from fastseg.unet.resize import resized_shape
from fastseg.unet.rule import Prediction
from fastseg.unet.settings import PredictSettings, prediction_params
from fastseg.unet.torch_library import torch_device

_SHARE = 0.6
"""Part of a task's memory that its patches may take on the CPU; the rest is for the tile."""

_QUEUED = 3
"""Batches on the host beside a GPU: two in flight and one that is prepared."""


@dataclass(frozen=True)
class Fitted:
    """How a volume will be cut.

    Attributes
    ----------
    params : Prediction
        With its patch grid.
    tile : (z, y, x) or None
        Of the engine, on the grid that the network is shown; None for one tile.
    outer : (z, y, x) or None
        Of the engine on the image's own grid; the same as `tile` without a resize.
    room : int or None
        Bytes that a task may take beside its patches.
    """

    params: Prediction
    tile: Triple | None = None
    outer: Triple | None = None
    room: int | None = None


def seen_shape(shape: Sequence[int], settings: PredictSettings) -> Triple:
    """Shape of what the network is shown."""
    return resized_shape(shape, settings.resize or (1, 1, 1))


def fit_tile(
    model: Model, shape: Sequence[int], settings: PredictSettings, tile: Sequence[int] | None
) -> Fitted:
    """Patches for a given tile.

    In aligned mode they are no larger than the tile, and the tile is made of whole ones: nothing is computed twice.

    Parameters
    ----------
    model : Model
    shape : (z, y, x)
        Of the image.
    settings : PredictSettings
    tile : (z, y, x) or None
        One tile if it is None.

    Raises
    ------
    UsageError
        If nothing fits the memory for patches.
    """
    seen = seen_shape(shape, settings)
    if tile is None:
        return Fitted(prediction_params(model, seen, settings))
    outer = _sides(tile, shape)
    inner = _sides(tile, seen)
    params = prediction_params(model, seen, settings, patches_for=inner)
    if isinstance(params.grid, AlignedGrid):
        inner = whole_patches(params.grid, seen, inner)
    cut = prediction_params(model, seen, settings, inner, patches_for=_sides(tile, seen))
    return Fitted(cut, inner, inner if settings.resize is None else outer)


def fit_memory(
    model: Model,
    shape: Sequence[int],
    settings: PredictSettings,
    memory: int,
    tasks: int = 1,
    processes: int = 1,
) -> Fitted:
    """The largest patches and tiles for a memory budget.

    Parameters
    ----------
    model : Model
    shape : (z, y, x)
        Of the image.
    settings : PredictSettings
        Its `memory`, if given, is kept for patches.
    memory : int
        Bytes for all processes together.
    tasks, processes : int
        Tasks that run at one time, and the processes that share them.

    Raises
    ------
    UsageError
        If nothing fits.
    """
    seen = seen_shape(shape, settings)
    room = (memory - processes * PROCESS) // tasks
    on_host = torch_device(settings.device).kind == "cpu"
    whole = at_once(torch_device(settings.device), settings.compile)
    least = patch_cost(model.architecture, smallest_patch(model.architecture), at_once=whole).bytes
    patches = settings.memory
    if patches is None:
        patches = patch_memory(torch_device(settings.device))
        patches = max(least, min(patches, int(_SHARE * room))) if on_host else patches
    while True:
        try:
            return _fit(
                model, seen, shape, replace(settings, memory=patches), memory, tasks, processes, on_host
            )
        except UsageError as error:
            if not on_host or settings.patch is not None or patches <= least:
                raise UsageError(
                    f"a memory budget of {readable(memory)} for {tasks} task{'s' if tasks > 1 else ''} at a time is "
                    f"too small for {model.architecture.name}: {error}"
                ) from None
            patches = max(least, patches // 2)


def _fit(
    model: Model,
    seen: Triple,
    shape: Sequence[int],
    settings: PredictSettings,
    memory: int,
    tasks: int,
    processes: int,
    on_host: bool,
) -> Fitted:
    params = prediction_params(model, seen, settings)
    aligned = isinstance(params.grid, AlignedGrid)
    params = replace(params, halo=halo_of(params.grid, seen, aligned))
    left = memory - tasks * _patch_bytes(params, on_host)
    inner, outer = _programs(model, params, settings)
    laid = fit(inner.nodes, seen, inner.goals, left, tasks, processes)
    tile = _sides(laid.tile, seen)
    if aligned:
        tile = whole_patches(params.grid, seen, tile)
        plan = make_plan(inner.nodes, seen, inner.goals, tile)
        if laid.room is not None and plan.task_bytes > laid.room:
            raise UsageError(
                f"a tile of one patch, {','.join(map(str, tile))}, needs {readable(plan.task_bytes)}"
            )
    if outer is None:
        return Fitted(params, tile, tile, laid.room)
    around = fit(outer.nodes, shape, outer.goals, memory, tasks, processes)
    return Fitted(params, tile, _sides(around.tile, shape), laid.room)


def _programs(
    model: Model, params: Prediction, settings: PredictSettings
) -> tuple[PredictProgram, PredictProgram | None]:
    """What runs on the grid that the network is shown, and what runs on the image's where that is another one."""
    if settings.resize is None:
        return prediction_program(model, params, settings), None
    channels = model.architecture.params.channels
    before = normalization_program(model, settings)
    entry = before if settings.resize_first else unit_range_program(channels)
    network = network_program(params, settings, tuple(entry.wanted.values()))
    inner = PredictProgram((*entry.nodes, *network.nodes), entry.inputs, network.wanted, network.ranges)
    after = finish_program(model, settings, {name: f"{name}:map" for name in network.wanted})
    nodes = after.nodes if settings.resize_first else (*before.nodes, *after.nodes)
    wanted = after.wanted if settings.resize_first else {**before.wanted, **after.wanted}
    return inner, PredictProgram(nodes, before.inputs, wanted, {}, after.facts)


def _patch_bytes(params: Prediction, on_host: bool) -> int:
    """Host memory of the patches of a task."""
    cost = patch_cost(params.model.architecture, params.grid.largest, params.outputs, at_once=params.at_once)
    if on_host:
        return cost.bytes
    channels = params.model.architecture.params.channels
    voxels = prod(cost.size_in) * channels + prod(cost.size_out) * len(params.selections)
    return _QUEUED * params.batch * 4 * voxels + 2**30  # libraries of the GPU


def _sides(tile: Sequence[int], shape: Sequence[int]) -> Triple:
    z, y, x = (max(1, min(int(t), int(n))) for t, n in zip(tile, shape, strict=True))
    return z, y, x
