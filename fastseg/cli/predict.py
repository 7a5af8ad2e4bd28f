"""``fastseg predict``: masks or probabilities of images by a trained network."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastseg.cli.guard import guarded, settings
from fastseg.cli.options import (
    AxesOption,
    DebugOption,
    DeviceOption,
    Format,
    FormatOption,
    GpuPoolOption,
    GpusOption,
    MemoryOption,
    OverwriteOption,
    PreviewOption,
    ResumeOption,
    SceneOption,
    SchedulerOption,
    ScratchOption,
    SpacingOption,
    TileOption,
    TimeOption,
    WorkersOption,
)
from fastseg.cli.parsing import length_triple, memory_size, ratio_triple, whole_triple
from fastseg.errors import UsageError

if TYPE_CHECKING:
    from fastseg.unet.model_info import Selection


class Flips(StrEnum):
    """Sets of test-time flips."""

    NONE = "none"
    SINGLE = "single"
    ALL = "all"


class Mode(StrEnum):
    """Patch grids."""

    ALIGNED = "aligned"
    COMPAT = "compat"


class Probabilities(StrEnum):
    """Types of stored probabilities."""

    SINGLE = "float32"
    HALF = "float16"


@guarded
def predict(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[INPUT]...", help="Image files, folders or quoted patterns ('*.tif')."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="FOLDER|FILE", help="Model folder, or a checkpoint (.pth)."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of the results; made if needed."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A configuration file of the reference, in place of INPUT and --model."
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Network of a checkpoint, where its tensors do not tell."),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust-checkpoint",
            help="Open a checkpoint that holds more than weights. It runs code of its author's choice.",
        ),
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="Masks of the voxels with a probability above P; -1 writes probabilities."
        ),
    ] = None,
    normalize: Annotated[
        str | None,
        typer.Option(
            "--normalize",
            metavar="RECIPE",
            help="Number or name of the training's normalisation, or FILE.yaml:NAME; one for each channel with commas.",
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            metavar="Z,Y,X",
            help="New over old size of the image that the network is shown; results keep the image's size.",
        ),
    ] = None,
    flips: Annotated[
        Flips,
        typer.Option("--tta", help="Average over mirrored images: along each axis alone, or all eight."),
    ] = Flips.NONE,
    patch: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Input of the network; the largest that fits by default."),
    ] = None,
    mode: Annotated[
        Mode,
        typer.Option(help="Patches whose size does not show, or the reference's ('compat')."),
    ] = Mode.ALIGNED,
    stretch: Annotated[
        bool,
        typer.Option(
            "--stretch",
            help="Stretch the map to 0..1 first, as thresholds of the reference's file mode need.",
        ),
    ] = False,
    min_size: Annotated[
        int, typer.Option("--min-size", metavar="N", min=0, help="Remove objects of fewer voxels from masks.")
    ] = 0,
    outputs: Annotated[
        str | None,
        typer.Option(
            metavar="main|all|T:C,...",
            help="Outputs of the network: the main one, class 1 of all, or output:class pairs.",
        ),
    ] = None,
    probabilities: Annotated[
        Probabilities, typer.Option(help="Type of stored probabilities; 16 bits need --format ome-zarr.")
    ] = Probabilities.SINGLE,
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="float32, tf32, bfloat16 or float16.")
    ] = "float32",
    compile_: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network first; pays for itself on GPUs only, if at all."),
    ] = False,
    device: DeviceOption = "auto",
    channel: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IDX|NAME",
            help="Channel, where a file holds several; repeated for a network of several, in their order.",
        ),
    ] = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    timelapse: Annotated[
        bool, typer.Option("--timelapse", help="Predict every time point of files that hold several.")
    ] = False,
    axes: AxesOption = None,
    spacing: SpacingOption = None,
    output_format: FormatOption = Format.TIFF,
    preview: PreviewOption = False,
    overwrite: OverwriteOption = False,
    tile: TileOption = None,
    memory: MemoryOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    gpus: GpusOption = None,
    gpu_pool: GpuPoolOption = None,
    scratch: ScratchOption = None,
    resume: ResumeOption = False,
    debug: DebugOption = False,
) -> None:
    """Predict images with a trained network, one after another.

    Writes <name>_struct_segmentation.tiff for each image; <name>_seg_<output>.tiff where several outputs are asked for.
    A model folder knows normalisation, threshold and outputs; options replace them.

    --memory, --workers, --scheduler, --gpus and --scratch let an image be larger than memory.

    Exit code: 0 if all went well, 1 if some images failed, 2 if the request was wrong, 130 after Ctrl-C.
    """
    settings.debug = settings.debug or debug
    # Options first: a typing error should not wait for the imports.
    decided: dict[str, Any] = {
        "model": model,
        "network": network,
        "threshold": threshold,
        "normalization": _recipes(normalize),
        "resize": ratio_triple(resize, "--resize"),
        "flips": None if flips is Flips.NONE else flips.value,
        "patch": whole_triple(patch, "--patch"),
        "selections": _selections(outputs),
        "channels": None if not channel else tuple(channel),
        "timelapse": timelapse or None,
    }
    common: dict[str, Any] = {
        "trusted": trust,
        "mode": mode.value,
        "stretch": stretch,
        "min_size": min_size,
        "probabilities": probabilities.value,
        "precision": precision,
        "compile": compile_,
        "scene": scene,
        "time": time,
        "axes": axes,
        "spacing": length_triple(spacing, "--spacing"),
        "format": output_format.value,
        "preview": preview,
        "overwrite": overwrite,
        "tile": whole_triple(tile, "--tile"),
        "memory": memory_size(memory),
        "workers": workers,
        "scheduler": scheduler,
        "gpus": gpus,
        "gpu_pool": memory_size(gpu_pool),
        "scratch": scratch,
        "resume": resume,
    }
    given = {name: value for name, value in decided.items() if value is not None}
    images: list[Any] = list(inputs or [])
    if config is None:
        _check_given(images, model, output)
        fields = {**common, **given, "output": output, "device": device}
    else:
        from fastseg.screen.predict_config import read_config

        _check_config_alone(images, given)
        images, fields = read_config(config, compat=mode is Mode.COMPAT)
        fields = {**fields, **common}
        if output is not None:
            fields["output"] = output
        if device != "auto":
            fields["device"] = device

    from fastseg.cli.watch import watched
    from fastseg.screen import PredictRequest, predict_files

    request = PredictRequest(**fields)
    raise typer.Exit(watched(lambda on_event: predict_files(images, request, on_event), "predicted"))


def _check_given(images: list[Any], model: str | None, output: Path | None) -> None:
    wanted = {"INPUT": bool(images), "--model": model is not None, "--output": output is not None}
    missing = [name for name, there in wanted.items() if not there]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: give INPUT, --model and "
            "--output, or --config"
        )


_OPTIONS = {
    "normalization": "--normalize",
    "flips": "--tta",
    "selections": "--outputs",
    "channels": "--channel",
}


def _check_config_alone(images: list[Any], given: dict[str, Any]) -> None:
    named = ["INPUT"] if images else []
    named += [_OPTIONS.get(name, f"--{name}") for name in given]
    if named:
        raise UsageError(
            f"{', '.join(named)}: a configuration file decides this, leave it out beside --config"
        )


def _recipes(text: str | None) -> str | tuple[str, ...] | None:
    if text is None or "," not in text:
        return text
    return tuple(part.strip() for part in text.split(","))


def _selections(text: str | None) -> str | tuple[Selection, ...] | None:
    """``main``, ``all``, or output and class as in ``0:1,1:1``.

    Raises
    ------
    UsageError
        For anything else.
    """
    if text is None or text == "all":
        return text
    from fastseg.unet.model_info import Selection

    if text == "main":
        return (Selection(),)
    pairs = []
    for part in text.split(","):
        output, colon, class_ = part.strip().partition(":")
        if not (output.isdecimal() and colon and class_.isdecimal()):
            raise UsageError(
                f"--outputs '{text}' is none: give main, all, or output and class such as 0:1,1:1"
            )
        pairs.append(Selection.model_validate({"output": int(output), "class": int(class_)}))
    return tuple(pairs)
