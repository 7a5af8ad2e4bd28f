"""What a sweep is to do; checked as a whole before the image is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastseg.arrays import Device, parse_device
from fastseg.errors import Problems, UsageError
from fastseg.io.units import check_spacing
from fastseg.screen.request import check_rescale
from fastseg.screen.run_request import check_not_inside_image
from fastseg.types import Spacing
from fastseg.workflow.edit import parse_assignment, with_assignments
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import check_ratio
from fastseg.workflow.schema import Workflow
from fastseg.workflow.variation import SweepPlan, Variation, parse_variation, plan_sweep

VIEWS = ("middle", "projection")


@dataclass(frozen=True)
class SweepRequest:
    """What to vary, and what to write where.

    Attributes
    ----------
    workflow : str, Path or Workflow
        Name (see ``fastseg workflows list``) or definition file.
    output : str or Path
        Folder of the results; made if it does not exist.
    variations : sequence of str
        Parameters and their values, as ``STEP.PARAMETER=FROM:TO:COUNT`` or ``STEP.PARAMETER=A,B,C``.
    assignments : sequence of str
        Other parameters that replace the definition's, as ``STEP.PARAMETER=VALUE``.
    device, channel, scene, time, axes, spacing, rescale, compat, overwrite
        As in `SegmentRequest`.
    view : {"middle", "projection"}
        What the contact sheet shows: the middle plane, or the maximum projection along z.
    save_masks : bool
        Write the mask of every combination as well (OME-TIFF).
    """

    workflow: str | Path | Workflow
    output: str | Path
    variations: Sequence[str]
    assignments: Sequence[str] = ()
    device: str | Device = "auto"
    channel: int | str | None = None
    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    spacing: Sequence[float] | None = None
    rescale: float | None = None
    compat: bool = False
    view: Literal["middle", "projection"] = "middle"
    save_masks: bool = False
    overwrite: bool = False


def check_sweep(request: SweepRequest) -> tuple[SweepPlan, Device, Spacing | None]:
    """Everything that can be wrong without looking at the image.

    Returns
    -------
    plan : SweepPlan
    device : Device
    spacing : tuple of float or None

    Raises
    ------
    UsageError
        For a workflow, parameter, value, device, spacing, ratio, view or output folder that cannot be used.
    """
    workflow = with_assignments(get_workflow(request.workflow), request.assignments)
    if request.view not in VIEWS:
        raise UsageError(f"view '{request.view}' is unknown: use {' or '.join(VIEWS)}")
    variations = _variations(workflow, request)
    check_ratio(request.rescale)
    plan = plan_sweep(workflow, variations)
    device = parse_device(request.device)
    if request.rescale is not None:
        for definition in plan.definitions:
            check_rescale(request.rescale, definition, request.compat)
    check_not_inside_image(Path(request.output))
    return plan, device, None if request.spacing is None else check_spacing(request.spacing)


def _variations(workflow: Workflow, request: SweepRequest) -> list[Variation]:
    found, problems = [], []
    fixed = [parse_assignment(text)[0] for text in request.assignments]
    for text in request.variations:
        try:
            variation = parse_variation(text)
        except UsageError as error:
            problems.append(str(error))
            continue
        found.append(variation)
        if any(variation.target.overlaps(target) for target in fixed):
            problems.append(f"{variation.target}: is set and varied")
    if problems:
        raise Problems(f"sweep of workflow '{workflow.name}'", problems)
    return found
