"""``fastseg sweep``: what a workflow finds in one image as its parameters change."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastseg.cli.console import amount, print_lines, print_table
from fastseg.cli.guard import guarded, settings
from fastseg.cli.options import (
    AxesOption,
    ChannelOption,
    CompatOption,
    DebugOption,
    DeviceOption,
    OutputOption,
    OverwriteOption,
    RescaleOption,
    SceneOption,
    SetOption,
    SpacingOption,
    TimeOption,
    WorkflowOption,
)
from fastseg.cli.parsing import length_triple

if TYPE_CHECKING:
    from fastseg.screen import SweepOutcome


class View(StrEnum):
    """What the contact sheet shows of the stacks."""

    MIDDLE = "middle"
    PROJECTION = "projection"


@guarded
def sweep(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file or OME-Zarr folder.")],
    workflow: WorkflowOption,
    output: OutputOption,
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            metavar="STEP.PARAM=FROM:TO:COUNT",
            help="A parameter and its values, evenly spaced or listed (STEP.PARAM=A,B,C); repeatable: every "
            "combination is run.",
        ),
    ],
    assignments: SetOption = None,
    view: Annotated[
        View, typer.Option(help="What the contact sheet shows: the middle plane or the projection.")
    ] = View.MIDDLE,
    save_masks: Annotated[
        bool, typer.Option("--save-masks", help="Write the mask of every combination, too (OME-TIFF).")
    ] = False,
    device: DeviceOption = "auto",
    channel: ChannelOption = None,
    scene: SceneOption = None,
    time: TimeOption = None,
    axes: AxesOption = None,
    spacing: SpacingOption = None,
    rescale: RescaleOption = None,
    overwrite: OverwriteOption = False,
    compat: CompatOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a workflow on one image over ranges of parameters.

    Writes <name>_sweep.csv and a contact sheet, <name>_sweep.png. Steps that do not depend on what is varied are
    computed once.

    fastseg sweep cells.tif -w sec61b --vary m.value=0.05:0.3:6 -o out
    """
    settings.debug = settings.debug or debug
    voxel = length_triple(spacing, "--spacing")

    from fastseg.cli.progress import SweepBar
    from fastseg.screen import SweepRequest, sweep_file

    request = SweepRequest(
        workflow=workflow,
        output=output,
        variations=tuple(vary),
        assignments=tuple(assignments or ()),
        device=device,
        channel=channel,
        scene=scene,
        time=time,
        axes=axes,
        spacing=voxel,
        rescale=rescale,
        compat=compat,
        view=view.value,
        save_masks=save_masks,
        overwrite=overwrite,
    )
    with SweepBar() as bar:
        outcome = sweep_file(image, request, bar)
    _conclude(outcome)


def _conclude(outcome: SweepOutcome) -> None:
    for note in outcome.notes:
        print_lines(f"note: {note}")
    rows = [
        (*(_text(v) for v in p.values.values()), str(p.voxels), str(p.objects), f"{p.seconds:.2f}")
        for p in outcome.points
    ]
    print_table((*outcome.names, "voxels", "objects", "seconds"), rows)
    table, sheet, *masks = outcome.outputs
    more = f" and {amount(len(masks), 'mask')}" if masks else ""
    print_lines(f"{amount(len(rows), 'combination')} in {outcome.seconds:.1f} s: {table}, {sheet}{more}")


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
