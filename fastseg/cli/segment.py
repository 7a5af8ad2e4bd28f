"""``fastseg segment``: binary segmentations of images by a named workflow."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from fastseg.cli.guard import DEBUG_HINT, guarded, say_error, settings
from fastseg.cli.options import (
    AxesOption,
    ChannelOption,
    CompatOption,
    DebugOption,
    DeviceOption,
    MemoryOption,
    OutputOption,
    OverwriteOption,
    RescaleOption,
    SceneOption,
    SetOption,
    SpacingOption,
    TimeOption,
    WorkersOption,
    WorkflowOption,
)
from fastseg.cli.parsing import length_triple, memory_size, whole_triple

if TYPE_CHECKING:
    from fastseg.screen import ItemOutcome


class Format(StrEnum):
    """Formats of a segmentation."""

    TIFF = "ome-tiff"
    ZARR = "ome-zarr"


@guarded
def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Image files, folders or quoted patterns ('*.tif')."),
    ],
    workflow: WorkflowOption,
    output: OutputOption,
    device: DeviceOption = "auto",
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    spacing: SpacingOption = None,
    rescale: RescaleOption = None,
    match_spacing: Annotated[
        bool,
        typer.Option(
            "--match-spacing",
            help="Rescale every image to the pixel size that the workflow was tuned for; results are brought back.",
        ),
    ] = False,
    assignments: SetOption = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="STEP", help="Run up to this step and write its result, not the segmentation."),
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="Format of the segmentations.")
    ] = Format.TIFF,
    save_steps: Annotated[
        bool, typer.Option("--save-steps", help="Write the result of every step, too (OME-TIFF).")
    ] = False,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Write a PNG of every image with the outlines of its result."),
    ] = False,
    overwrite: OverwriteOption = False,
    tile: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Largest tile in voxels; the results do not depend on it."),
    ] = None,
    compat: CompatOption = False,
    memory: MemoryOption = None,
    workers: WorkersOption = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use the workers of a running Dask scheduler.")
    ] = None,
    gpus: Annotated[
        str | None, typer.Option(metavar="all|0,1", help="One worker process on each of these GPUs.")
    ] = None,
    gpu_pool: Annotated[
        str | None,
        typer.Option(
            "--gpu-pool",
            metavar="SIZE",
            help="Memory that each worker of --gpus reserves at its start, with RMM.",
        ),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for intermediate volumes; the temporary folder by default."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on after an interruption: keep what is finished, and continue large images at their last stage.",
        ),
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Segment images, one after another.

    Writes <name>_struct_segmentation.tiff for each image. An image that cannot be segmented is reported and does not
    stop the others.

    --memory, --workers, --scheduler, --gpus and --scratch let an image be larger than memory: it is computed stage by
    stage, tile by tile, with the same result.

    Exit code: 0 if all went well, 1 if some images failed, 2 if the request was wrong, 130 after Ctrl-C.
    """
    settings.debug = settings.debug or debug
    # Options first: a typing error should not wait for the imports.
    size, voxel = whole_triple(tile, "--tile"), length_triple(spacing, "--spacing")

    from fastseg.cli.progress import Reporter
    from fastseg.screen import SegmentRequest, segment_files

    request = SegmentRequest(
        workflow=workflow,
        output=output,
        device=device,
        channel=channel,
        scene=scene,
        time=time,
        axes=axes,
        spacing=voxel,
        rescale=rescale,
        match_spacing=match_spacing,
        assignments=tuple(assignments or ()),
        until=until,
        format=output_format.value,
        save_steps=save_steps,
        preview=preview,
        overwrite=overwrite,
        tile=size,
        compat=compat,
        memory=memory_size(memory),
        workers=workers,
        scheduler=scheduler,
        gpus=gpus,
        gpu_pool=memory_size(gpu_pool),
        scratch=scratch,
        resume=resume,
    )
    started = perf_counter()
    reporter = Reporter()
    try:
        with reporter:
            outcomes = segment_files(inputs, request, reporter)
    except KeyboardInterrupt as stop:
        done, total = sum(o.ok for o in reporter.outcomes), reporter.total
        raise type(stop)(
            f"stopped: {done} of {total} images are finished, nothing half-written is left"
        ) from None
    raise typer.Exit(_conclude(outcomes, perf_counter() - started))


def _conclude(outcomes: list[ItemOutcome], seconds: float) -> int:
    """Report what failed, sum up, and give the exit code."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    for outcome in failed:
        if settings.debug:
            print(outcome.traceback, file=sys.stderr, end="")
        say_error(outcome.message)
    if not settings.debug and any(not outcome.expected for outcome in failed):
        print(f"({DEBUG_HINT})", file=sys.stderr)
    if len(outcomes) == 1:
        return outcomes[0].exit_code
    from fastseg.cli.console import print_lines

    done = f"{len(outcomes) - len(failed)} of {len(outcomes)}" if failed else f"{len(outcomes)}"
    print_lines(f"{done} images segmented in {seconds:.1f} s" + (f", {len(failed)} failed" if failed else ""))
    return 1 if failed else 0
