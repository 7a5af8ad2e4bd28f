"""``fastseg plan``: how a workflow would run on an image, without running it."""

from __future__ import annotations

from typing import Annotated

import typer

from fastseg.cli.console import print_lines, print_table
from fastseg.cli.guard import guarded
from fastseg.cli.options import (
    AxesOption,
    ChannelOption,
    MemoryOption,
    RescaleOption,
    SceneOption,
    TimeOption,
    WorkersOption,
    WorkflowOption,
)
from fastseg.cli.parsing import memory_size, whole_triple


@guarded
def plan(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file or OME-Zarr folder.")],
    workflow: WorkflowOption,
    memory: MemoryOption = None,
    workers: WorkersOption = None,
    tile: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Force this tile, in voxels.")] = None,
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    rescale: RescaleOption = None,
) -> None:
    """Show stages, tiles, memory and scratch space of a run.

    Without --memory the whole image is one tile.
    """
    size, budget = whole_triple(tile, "--tile"), memory_size(memory)

    from fastseg.arrays import usable_cores
    from fastseg.io import read
    from fastseg.tiling.plan import PROCESS, readable
    from fastseg.workflow.load import get_workflow
    from fastseg.workflow.run_tiled import plan_workflow

    definition = get_workflow(workflow)
    found = read(image, channel=channel, scene=scene, time=time, axes=axes)
    laid = plan_workflow(
        definition,
        found.shape[2:],
        rescale=rescale,
        tile=size,
        memory=budget,
        tasks=workers or usable_cores(),
        processes=workers,
    )

    def sides(values: tuple[int, ...]) -> str:
        return "x".join(str(n) for n in values)

    rows = [
        (
            str(number),
            ", ".join(stage.steps),
            stage.kind,
            sides(stage.tile),
            sides(stage.halo),
            str(stage.tasks),
            readable(stage.task_bytes),
            readable(stage.read_bytes),
            readable(stage.written_bytes),
        )
        for number, stage in enumerate(laid.stages, start=1)
    ]
    print_lines(
        f"workflow {definition.name} on {found.source}: {sides(laid.shape)} voxels, tiles of {sides(laid.tile)}"
    )
    names = ("stage", "steps", "rule", "tile", "halo", "tasks", "memory a task", "reads", "writes")
    print_table(names, rows)
    total = PROCESS * (workers or 1) + laid.task_bytes * laid.tasks
    several = (
        f" in {workers} processes" if workers else f" for {laid.tasks} tasks at a time" * (laid.tasks > 1)
    )
    print_lines(
        f"memory{several}: about {readable(total)}; scratch space: at most {readable(laid.scratch_bytes)} "
        "(before compression)"
    )
