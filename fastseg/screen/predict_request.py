"""What a trained model is to do with the images of a run; checked as a whole before the first one is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastseg.arrays import Device
from fastseg.errors import Problems, ReadError, UsageError
from fastseg.io.units import check_spacing
from fastseg.screen.run_request import (
    RunRequest,
    check_format,
    check_not_inside_image,
    check_run,
    check_tile,
)
from fastseg.types import Spacing
from fastseg.unet.model import Model, load_model
from fastseg.unet.model_info import Selection
from fastseg.unet.normalization import Recipe
from fastseg.unet.settings import PredictSettings, check_settings, selections_of, threshold_of
from fastseg.unet.torch_library import torch_device


@dataclass(frozen=True)
class PredictRequest(RunRequest):
    """How to predict the images of a run, and what to write where; the rest is as of `RunRequest`.

    Attributes
    ----------
    model : str or Path
        Model folder or checkpoint.
    output : str or Path
        Folder of the results; made if it does not exist.
    network : str, optional
        Of a checkpoint; recognised from its tensors otherwise.
    network_params : dict, optional
        Its parameters, such as ``zoom_ratio``; recognised as far as they are not given.
    trusted : bool
        Open a checkpoint that holds more than weights, which runs code of its author's choice.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        Where the network runs.
    channels : sequence of int or str, optional
        By index, from the end where it is below 0, or by name, in the order of the training. Needed where the network
        or a file has several.
    normalization, threshold, resize, resize_first, flips, patch, mode, stretch, min_size, precision, compile
        As of `fastseg.unet.settings.PredictSettings`.
    selections : "all" or sequence of Selection, optional
        The probability maps; the model's own by default, "all" for class 1 of every output.
    probabilities : {"float32", "float16"}
        Type of stored probabilities; 16 bits need OME-Zarr.
    timelapse : bool
        Predict every time point of files that have several.
    """

    model: str | Path
    output: str | Path
    network: str | None = None
    network_params: dict[str, Any] | None = None
    trusted: bool = False
    device: str | Device = "auto"
    channels: Sequence[int | str] | None = None
    normalization: int | str | Recipe | Sequence[int | str | Recipe] | None = None
    threshold: float | None = None
    resize: tuple[float, float, float] | None = None
    resize_first: bool = False
    flips: str = "none"
    patch: tuple[int, int, int] | None = None
    mode: str = "aligned"
    stretch: bool = False
    min_size: int = 0
    precision: str = "float32"
    compile: bool = False
    selections: Literal["all"] | Sequence[Selection] | None = None
    probabilities: Literal["float32", "float16"] = "float32"
    timelapse: bool = False


@dataclass(frozen=True)
class PredictPlan:
    """A request that has been checked, with the model loaded.

    Attributes
    ----------
    request : PredictRequest
    model : Model
    settings : PredictSettings
    selections : tuple of Selection
    channels : tuple of int, str or None
        One for each channel of the network; None where a file may have no more than one.
    device : Device
        Where the network runs.
    output : Path
    spacing : tuple of float or None
    suffix : str
    threshold : float or None
        None for probabilities.
    """

    request: PredictRequest
    model: Model
    settings: PredictSettings
    selections: tuple[Selection, ...]
    channels: tuple[int | str | None, ...]
    device: Device
    output: Path
    spacing: Spacing | None
    suffix: str
    threshold: float | None


def check_predict(request: PredictRequest) -> PredictPlan:
    """Everything that can be wrong without looking at an image.

    Raises
    ------
    UsageError
        For a model, device, setting, format or output folder that cannot be used.
    """
    suffix = check_format(request)
    check_run(request)
    check_tile(request.patch, "patch")
    if request.timelapse and request.time is not None:
        raise UsageError(f"--timelapse takes every time point: leave out --time {request.time}")
    _check_probabilities(request)
    output = Path(request.output)
    check_not_inside_image(output)
    # workers of --gpus see their own GPU as the first one
    device = torch_device("cuda" if request.gpus is not None else request.device)
    model = _load(request)
    settings = _settings(request, model, device)
    check_settings(settings, model)
    return PredictPlan(
        request=request,
        model=model,
        settings=settings,
        selections=selections_of(model, settings),
        channels=_channels(request, model),
        device=device,
        output=output,
        spacing=None if request.spacing is None else check_spacing(request.spacing),
        suffix=suffix,
        threshold=threshold_of(model, settings),
    )


def _check_probabilities(request: PredictRequest) -> None:
    if request.probabilities not in ("float32", "float16"):
        raise UsageError(
            f"probabilities of type '{request.probabilities}' are unknown: use float32 or float16"
        )
    if request.probabilities == "float16" and request.format != "ome-zarr":
        raise UsageError("OME-TIFF has no 16-bit floats: use float32 probabilities, or --format ome-zarr")


def _load(request: PredictRequest) -> Model:
    try:
        return load_model(request.model, request.network, request.network_params, trusted=request.trusted)
    except Problems:
        raise
    except ReadError as error:
        raise UsageError(str(error)) from error


def _settings(request: PredictRequest, model: Model, device: Device) -> PredictSettings:
    if request.selections == "all":
        classes = model.architecture.graph.classes
        chosen: tuple[Selection, ...] | None = tuple(
            Selection.model_validate({"output": number}) for number in range(len(classes))
        )
    else:
        chosen = None if request.selections is None else tuple(request.selections)
    return PredictSettings(
        normalization=request.normalization,  # type: ignore[arg-type]
        threshold=request.threshold,
        selections=chosen,
        flips=request.flips,
        mode=request.mode,
        patch=request.patch,
        stretch=request.stretch,
        resize=request.resize,
        resize_first=request.resize_first,
        min_size=request.min_size,
        device=device,
        precision=request.precision,
        compile=request.compile,
    )


def _channels(request: PredictRequest, model: Model) -> tuple[int | str | None, ...]:
    count = model.architecture.params.channels
    if request.channels is None:
        if count == 1:
            return (None,)
        raise UsageError(
            f"{request.model} takes {count} channels: name them with --channel, once for each, in the order of its "
            "training"
        )
    if len(request.channels) != count:
        given = ", ".join(str(c) for c in request.channels)
        raise UsageError(
            f"{request.model} takes {count} channel{'s' if count > 1 else ''}; {len(request.channels)} were given "
            f"({given})"
        )
    return tuple(request.channels)
