"""``fastseg segment``: binary segmentations of images by a named workflow."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from fastseg.cli.guard import DEBUG_HINT, guarded, say_error, settings
from fastseg.cli.parsing import length_triple, whole_triple

if TYPE_CHECKING:
    from fastseg.screen import ItemOutcome


class Format(StrEnum):
    """Formats of a segmentation."""

    TIFF = "ome-tiff"
    ZARR = "ome-zarr"


def _complete(incomplete: str) -> list[str]:
    from fastseg.workflow.load import library_names

    return [name for name in library_names() if name.startswith(incomplete)]


@guarded
def segment(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", help="Image files, folders or quoted patterns ('*.tif')."),
    ],
    workflow: Annotated[
        str,
        typer.Option(
            "--workflow",
            "-w",
            metavar="NAME|FILE",
            help="Workflow by name (see 'fastseg workflows list') or a definition file (.yaml, .json).",
            autocompletion=_complete,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the results; made if needed.")
    ],
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE", help="auto, cpu, cuda or cuda:N; auto takes the first GPU, else the CPU."
        ),
    ] = "auto",
    channel: Annotated[
        str | None, typer.Option(metavar="IDX|NAME", help="Channel, where a file holds several.")
    ] = None,
    scene: Annotated[
        str | None, typer.Option(metavar="IDX|NAME", help="Scene or field, where a file holds several.")
    ] = None,
    time: Annotated[
        int | None, typer.Option(metavar="IDX", min=0, help="Time point, where a file holds several.")
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            metavar="ZYX", help="Axes of the files (letters of TCZYX), where they carry none or wrong ones."
        ),
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Voxel size in micrometres, in place of the files'."),
    ] = None,
    rescale: Annotated[
        float | None,
        typer.Option(metavar="RATIO", help="Resample y and x by this ratio; results stay on that grid."),
    ] = None,
    output_format: Annotated[
        Format, typer.Option("--format", help="Format of the segmentations.")
    ] = Format.TIFF,
    save_steps: Annotated[
        bool, typer.Option("--save-steps", help="Write the result of every step, too (OME-TIFF).")
    ] = False,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Write a PNG of every image with the outlines of its segmentation."),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
    tile: Annotated[
        str | None,
        typer.Option(metavar="Z,Y,X", help="Largest tile in voxels; the results do not depend on it."),
    ] = None,
    compat: Annotated[
        bool,
        typer.Option(
            "--compat",
            help="Restore the reference implementation's behaviour where it is corrected on purpose.",
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Segment images, one after another.

    Writes <name>_struct_segmentation.tiff for each image. An image that cannot be segmented is reported and does not
    stop the others.

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
        format=output_format.value,
        save_steps=save_steps,
        preview=preview,
        overwrite=overwrite,
        tile=size,
        compat=compat,
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
