"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """Formats of results."""

    TIFF = "ome-tiff"
    ZARR = "ome-zarr"


def complete_workflow(incomplete: str) -> list[str]:
    """Names of workflows that begin like this; upper and lower case do not matter."""
    from fastseg.workflow.legacy_library import LEGACY_PREFIX, legacy_names
    from fastseg.workflow.load import library_names

    names = [*library_names(), *(LEGACY_PREFIX + name for name in legacy_names())]
    return [name for name in names if name.lower().startswith(incomplete.lower())]


WorkflowOption = Annotated[
    str,
    typer.Option(
        "--workflow",
        "-w",
        metavar="NAME|FILE",
        help="Workflow by name (see 'fastseg workflows list') or a definition file (.yaml, .json).",
        autocompletion=complete_workflow,
    ),
]
OutputOption = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the results; made if needed.")
]
DeviceOption = Annotated[
    str,
    typer.Option(metavar="DEVICE", help="auto, cpu, cuda or cuda:N; auto takes the first GPU, else the CPU."),
]
ChannelOption = Annotated[
    str | None, typer.Option(metavar="IDX|NAME", help="Channel, where a file holds several.")
]
SceneOption = Annotated[
    str | None, typer.Option(metavar="IDX|NAME", help="Scene or field, where a file holds several.")
]
TimeOption = Annotated[
    int | None, typer.Option(metavar="IDX", min=0, help="Time point, where a file holds several.")
]
AxesOption = Annotated[
    str | None,
    typer.Option(
        metavar="ZYX", help="Axes of the files (letters of TCZYX), where they carry none or wrong ones."
    ),
]
SpacingOption = Annotated[
    str | None, typer.Option(metavar="Z,Y,X", help="Voxel size in micrometres, in place of the files'.")
]
RescaleOption = Annotated[
    float | None,
    typer.Option(metavar="RATIO", help="Resample y and x by this ratio; results stay on that grid."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="STEP.PARAM=VALUE",
        help="Change a parameter of a step, or with STEP.PARAM.INDEX an entry of a list; repeatable.",
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")]
CompatOption = Annotated[
    bool,
    typer.Option(
        "--compat",
        help="Restore the reference implementation's behaviour where it is corrected on purpose.",
    ),
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]
MemoryOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Memory for all processes together, such as 4GiB; tiles are made to fit."
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(metavar="N", help="Worker processes that share an image's tiles (needs Dask).")
]
FormatOption = Annotated[Format, typer.Option("--format", help="Format of the results.")]
PreviewOption = Annotated[
    bool, typer.Option("--preview", help="Write a PNG of every image with the outlines of its result.")
]
TileOption = Annotated[
    str | None,
    typer.Option("--tile", metavar="Z,Y,X", help="Largest tile in voxels; the results do not depend on it."),
]
SchedulerOption = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Use the workers of a running Dask scheduler.")
]
GpusOption = Annotated[
    str | None, typer.Option(metavar="all|0,1", help="One worker process on each of these GPUs.")
]
GpuPoolOption = Annotated[
    str | None,
    typer.Option(
        "--gpu-pool",
        metavar="SIZE",
        help="Memory that each worker of --gpus reserves at its start, with RMM.",
    ),
]
ScratchOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder for intermediate volumes; the temporary folder by default."),
]
ResumeOption = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on after an interruption: keep what is finished, and continue large images at their last stage.",
    ),
]
