"""A prediction as a program of the tiling engine: normalise, run the network, stretch, threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastseg.arrays import Device
from fastseg.errors import UsageError
from fastseg.tiling.program import Node
from fastseg.tiling.statistics import EXTREMA
from fastseg.unet.flips import flip_set
from fastseg.unet.graph import Triple
from fastseg.unet.memory import patch_cost
from fastseg.unet.model import Model, check_selections
from fastseg.unet.model_info import Selection
from fastseg.unet.normalization import NONE, Recipe, get_recipe, recipe_nodes
from fastseg.unet.patches import cuts_no_patch, halo_of
from fastseg.unet.plan import batch_size, make_grid, patch_memory
from fastseg.unet.rule import FIELD, NETWORK, Prediction
from fastseg.unet.threshold import ABOVE, STRETCH, check_threshold, float32_limit
from fastseg.unet.torch_library import torch_device


@dataclass(frozen=True)
class PredictSettings:
    """How a model is applied.

    Attributes
    ----------
    normalization : int, str, Recipe, sequence of Recipe or None
        Recipe for every channel, or one a channel; the model's own by default.
    threshold : float or None
        Masks of the voxels above it; below 0 for probabilities. The model's own by default, probabilities if it has
        none.
    selections : tuple of Selection, optional
        The probability maps; the model's own by default.
    flips : {"none", "single", "all"}
        Test-time flips.
    mode : {"aligned", "compat"}
        Patch grid, see `fastseg.unet.patches`.
    patch : (z, y, x), optional
        Input size of a patch. In aligned mode the result does not depend on it.
    stretch : bool
        Compat: stretch the map to the unit range before it is thresholded or given.
    device : str or Device
    precision : {"float32", "tf32", "bfloat16", "float16"}
    memory : int, optional
        Bytes for the patches that are computed at one time, in each worker.
    """

    normalization: int | str | Recipe | Sequence[Recipe] | None = None
    threshold: float | None = None
    selections: tuple[Selection, ...] | None = None
    flips: str = "none"
    mode: str = "aligned"
    patch: Triple | None = None
    stretch: bool = False
    device: str | Device = "auto"
    precision: str = "float32"
    memory: int | None = None


@dataclass(frozen=True)
class PredictProgram:
    """A prediction as a program of the tiling engine.

    Attributes
    ----------
    nodes : tuple of Node
    inputs : tuple of str
        What the nodes call the channels of the image.
    wanted : dict of str to str
        The node of each map, by the selection's name.
    ranges : tuple of str
        Nodes that give the range of stretched maps.
    params : Prediction
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    wanted: Mapping[str, str]
    ranges: tuple[str, ...]
    params: Prediction


def prediction_params(
    model: Model, shape: Sequence[int], settings: PredictSettings, tile: Sequence[int] | None = None
) -> Prediction:
    """The network's part of a prediction, with its patch grid chosen.

    Raises
    ------
    UsageError, Problems
        For settings that do not fit the model or the machine.
    """
    from fastseg.unet.runner import PRECISIONS, check_precision

    arch = model.architecture
    device = torch_device(settings.device)
    check_precision(settings.precision, device)
    selections = model.info.selections if settings.selections is None else settings.selections
    check_selections(selections, arch, "selected outputs")
    outputs = sorted({s.output for s in selections})
    item_size = PRECISIONS[settings.precision].itemsize
    budget = patch_memory(device) if settings.memory is None else settings.memory
    grid = make_grid(arch, shape, settings.mode, settings.patch, budget, device, outputs, item_size)
    cost = patch_cost(arch, grid.largest, outputs, item_size)
    limit = None if settings.stretch else _limit(model, settings)
    return Prediction(
        model=model,
        grid=grid,
        halo=halo_of(grid, shape, cuts_no_patch(grid, shape, tile)),
        selections=selections,
        flips=flip_set(settings.flips),
        device=device,
        precision=settings.precision,
        batch=batch_size(cost, budget, arch, device),
        limit=limit,
    )


def _limit(model: Model, settings: PredictSettings) -> float | None:
    given = model.info.threshold if settings.threshold is None else check_threshold(settings.threshold)
    return None if given is None else float32_limit(given)


def prediction_program(model: Model, params: Prediction, settings: PredictSettings) -> PredictProgram:
    """The nodes of a prediction.

    Raises
    ------
    UsageError
        If there is no such recipe, or not one for every channel.
    """
    channels = model.architecture.params.channels
    inputs = tuple(f"channel{number}" for number in range(channels))
    nodes: list[Node] = []
    sources = []
    for name, recipe in zip(inputs, _recipes(model, settings, channels), strict=True):
        own, source = recipe_nodes(recipe, name, f"{name}:normalised")
        nodes += own
        sources.append(source)
    # what a tile needs beside blocks and result: the channels flipped and continued, record and maps
    scratch = 4.0 * (channels + 2 * len(params.selections))
    step = f"predict with {model.architecture.name}"
    nodes.append(Node("network", NETWORK, tuple(sources), params, step, scratch))
    wanted, ranges = {}, []
    for selection in params.selections:
        found = "network"
        if len(params.selections) > 1:
            found = selection.name
            nodes.append(Node(found, FIELD, ("network",), selection.name, step))
        if settings.stretch:
            low_high, map_ = f"{selection.name}:range", f"{selection.name}:stretched"
            nodes.append(Node(low_high, EXTREMA, (found,), None, "range of the probabilities"))
            nodes.append(Node(map_, STRETCH, (found, low_high), channels, "stretch"))
            ranges.append(low_high)
            found = map_
            limit = _limit(model, settings)
            if limit is not None:
                found = f"{selection.name}:mask"
                nodes.append(Node(found, ABOVE, (map_,), limit, "threshold"))
        wanted[selection.name] = found
    return PredictProgram(tuple(nodes), inputs, wanted, tuple(ranges), params)


def _recipes(model: Model, settings: PredictSettings, channels: int) -> list[Recipe]:
    given = settings.normalization
    if given is None:
        given = model.info.normalization or NONE
    if isinstance(given, int | str | Recipe):
        return [get_recipe(given)] * channels
    if len(given) != channels:
        raise UsageError(f"{len(given)} normalisations were given; the network takes {channels} channels")
    return [get_recipe(recipe) for recipe in given]
