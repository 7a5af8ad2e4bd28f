"""``fastseg segment``: binary segmentations of images by a named workflow."""

from __future__ import annotations

from typing import Annotated

import typer

from fastseg.cli.guard import guarded, settings
from fastseg.cli.options import (
    AxesOption,
    ChannelOption,
    CompatOption,
    DebugOption,
    DeviceOption,
    Format,
    FormatOption,
    GpuPoolOption,
    GpusOption,
    MemoryOption,
    OutputOption,
    OverwriteOption,
    PreviewOption,
    RescaleOption,
    ResumeOption,
    SceneOption,
    SchedulerOption,
    ScratchOption,
    SetOption,
    SpacingOption,
    TileOption,
    TimeOption,
    WorkersOption,
    WorkflowOption,
)
from fastseg.cli.parsing import length_triple, memory_size, whole_triple


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
    output_format: FormatOption = Format.TIFF,
    save_steps: Annotated[
        bool, typer.Option("--save-steps", help="Write the result of every step, too (OME-TIFF).")
    ] = False,
    preview: PreviewOption = False,
    overwrite: OverwriteOption = False,
    tile: TileOption = None,
    compat: CompatOption = False,
    memory: MemoryOption = None,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    gpus: GpusOption = None,
    gpu_pool: GpuPoolOption = None,
    scratch: ScratchOption = None,
    resume: ResumeOption = False,
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

    from fastseg.cli.watch import watched
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
    raise typer.Exit(watched(lambda on_event: segment_files(inputs, request, on_event), "segmented"))
