"""How a model is applied: what may be asked for, what is refused, and what it means for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastseg.arrays import Device
from fastseg.errors import UsageError
from fastseg.unet.flips import flip_set
from fastseg.unet.graph import Triple
from fastseg.unet.memory import at_once, patch_cost
from fastseg.unet.model import Model, check_selections
from fastseg.unet.model_info import Selection
from fastseg.unet.normalization import NONE, Recipe, get_recipe
from fastseg.unet.patches import cuts_no_patch, halo_of
from fastseg.unet.plan import batch_size, make_grid, patch_memory
from fastseg.unet.resize import check_resize
from fastseg.unet.rule import Prediction
from fastseg.unet.threshold import check_threshold, float32_limit
from fastseg.unet.torch_library import torch_device
from fastseg.unet.wording import counted


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
    resize : (z, y, x), optional
        New over old length of the image that the network is shown; the maps come back on the image's own grid. Each
        channel is normalised, resampled and stretched to the unit range, in this order.
    resize_first : bool
        Compat: resample before normalising, and do not stretch, as the reference does for folders.
    min_size : int
        Masks lose objects of fewer voxels (connected by faces).
    device : str or Device
    precision : {"float32", "tf32", "bfloat16", "float16"}
    compile : bool
        Compile the network for every size of patch (`torch.compile`); without a compiler it runs as it is.
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
    resize: tuple[float, float, float] | None = None
    resize_first: bool = False
    min_size: int = 0
    device: str | Device = "auto"
    precision: str = "float32"
    compile: bool = False
    memory: int | None = None


def check_settings(settings: PredictSettings, model: Model) -> None:
    """Everything that can be wrong with settings before an image is seen.

    Raises
    ------
    UsageError, Problems
    """
    from fastseg.unet.runner import check_precision

    arch = model.architecture
    check_precision(settings.precision, torch_device(settings.device))
    if settings.selections is not None:
        check_selections(settings.selections, arch, "selected outputs")
    flip_set(settings.flips)
    recipes_of(model, settings)
    threshold_of(model, settings)
    check_resize(settings.resize)
    if settings.min_size < 0:
        raise UsageError(f"a least size of {settings.min_size} voxels is not possible: give 0 or more")
    if settings.min_size > 1 and threshold_of(model, settings) is None:
        raise UsageError(
            f"a least size of {settings.min_size} voxels is for masks, and probabilities are asked for: give a "
            "threshold, or leave --min-size out"
        )
    if settings.patch is not None or settings.mode != "aligned":
        make_grid(arch, (1, 1, 1), settings.mode, settings.patch)


def prediction_params(
    model: Model,
    shape: Sequence[int],
    settings: PredictSettings,
    tile: Sequence[int] | None = None,
    *,
    patches_for: Sequence[int] | None = None,
) -> Prediction:
    """The network's part of a prediction, with its patch grid chosen.

    Parameters
    ----------
    model : Model
    shape : (z, y, x)
        That the network is shown.
    settings : PredictSettings
    tile : (z, y, x), optional
        The engine's; one by default.
    patches_for : (z, y, x), optional
        Choose patches for a volume of this shape, such as that of a tile.

    Raises
    ------
    UsageError, Problems
        For settings that do not fit the model or the machine.
    """
    from fastseg.unet.runner import PRECISIONS, check_precision

    arch = model.architecture
    device = torch_device(settings.device)
    check_precision(settings.precision, device)
    selections = selections_of(model, settings)
    outputs = sorted({s.output for s in selections})
    item_size = PRECISIONS[settings.precision].itemsize
    budget = patch_memory(device) if settings.memory is None else settings.memory
    chosen = shape if patches_for is None else patches_for
    whole = at_once(device, settings.compile)
    grid = make_grid(arch, chosen, settings.mode, settings.patch, budget, device, outputs, item_size, whole)
    cost = patch_cost(arch, grid.largest, outputs, item_size, whole)
    later = settings.stretch or settings.resize is not None
    limit = None if later else limit_of(model, settings)
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
        compiled=settings.compile,
    )


def selections_of(model: Model, settings: PredictSettings) -> tuple[Selection, ...]:
    """The probability maps that are wanted.

    Raises
    ------
    Problems
        If the network does not have them.
    """
    found = model.info.selections if settings.selections is None else settings.selections
    check_selections(found, model.architecture, "selected outputs")
    return found


def threshold_of(model: Model, settings: PredictSettings) -> float | None:
    """The threshold of the masks, None for probabilities.

    Raises
    ------
    UsageError
        If it is out of range.
    """
    return model.info.threshold if settings.threshold is None else check_threshold(settings.threshold)


def limit_of(model: Model, settings: PredictSettings) -> float | None:
    """The float32 that probabilities have to be above, None for probabilities."""
    given = threshold_of(model, settings)
    return None if given is None else float32_limit(given)


def recipes_of(model: Model, settings: PredictSettings) -> list[Recipe]:
    """The normalisation of every channel.

    Raises
    ------
    UsageError
        If there is no such recipe, or not one for every channel.
    """
    channels = model.architecture.params.channels
    given = settings.normalization
    if given is None:
        given = model.info.normalization or NONE
    if isinstance(given, int | str | Recipe):
        return [get_recipe(given)] * channels
    if len(given) != channels:
        raise UsageError(
            f"{counted(len(given), 'normalisation')} given; the network takes {counted(channels, 'channel')}: give one "
            "for all, or one for each"
        )
    return [get_recipe(recipe) for recipe in given]
