"""What to do with the images of a run; checked as a whole before the first one is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastseg.arrays import Device, parse_device
from fastseg.errors import UsageError
from fastseg.io.units import check_spacing
from fastseg.operators.registry import get_operator
from fastseg.screen.run_request import RunRequest, check_format, check_not_inside_image, check_run
from fastseg.types import Spacing
from fastseg.workflow.edit import with_assignments
from fastseg.workflow.load import get_workflow
from fastseg.workflow.parameters import step_parameters
from fastseg.workflow.run import check_ratio, step_id
from fastseg.workflow.schema import Workflow
from fastseg.workflow.spacing import check_matchable


@dataclass(frozen=True)
class SegmentRequest(RunRequest):
    """How to segment the images of a run, and what to write where; the rest is as of `RunRequest`.

    Attributes
    ----------
    workflow : str, Path or Workflow
        Name (see ``fastseg workflows list``) or definition file.
    output : str or Path
        Folder of the results; made if it does not exist.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        Where to compute. ``auto``: the first GPU, or the CPU, which also takes over where the GPU's memory does not
        suffice for small tiles either.
    channel : int or str, optional
        By index or name; needed where a file holds several.
    rescale : float, optional
        Ratio by which y and x are resampled; the results stay on that grid and carry its voxel size.
    match_spacing : bool
        Rescale every image to the pixel size that the workflow was tuned for, and bring the result back to the image's
        own grid. Excludes `rescale`.
    assignments : sequence of str
        Parameters of steps that replace the definition's, as ``STEP.PARAMETER=VALUE``.
    until : str, optional
        A step, by id or exposed name: only what it needs is run, and its result is written in place of the
        segmentation.
    save_steps : bool
        Write the result of every step as well.
    compat : bool
        Restore what is corrected on purpose in the reference implementation's operators.
    """

    workflow: str | Path | Workflow
    output: str | Path
    device: str | Device = "auto"
    channel: int | str | None = None
    rescale: float | None = None
    match_spacing: bool = False
    assignments: Sequence[str] = ()
    until: str | None = None
    save_steps: bool = False
    compat: bool = False


@dataclass(frozen=True)
class Plan:
    """A request that has been checked, with its names resolved.

    `workflow` has the changed parameters, `until` is the id of a step.
    """

    request: SegmentRequest
    workflow: Workflow
    device: Device
    output: Path
    spacing: Spacing | None
    suffix: str
    until: str | None = None

    @property
    def or_cpu(self) -> bool:
        """Whether the CPU may take over where the memory of a GPU does not suffice: if no GPU was asked for."""
        return str(self.request.device) == "auto" and self.request.gpus is None

    @property
    def rescales(self) -> bool:
        """Whether images are rescaled, as far as the workflow does that."""
        return self.request.match_spacing or self.request.rescale is not None


def check_request(request: SegmentRequest) -> Plan:
    """Everything that can be wrong without looking at an image.

    Raises
    ------
    UsageError
        For a workflow, parameter, step, device, tile, spacing, ratio, format or output folder that cannot be used.
    """
    workflow = with_assignments(get_workflow(request.workflow), request.assignments)
    until = None if request.until is None else step_id(workflow, request.until, request.compat)
    if until is not None and request.preview:
        _check_picture(workflow, until)
    device = parse_device(request.device)
    suffix = check_format(request)
    check_rescale(request.rescale, workflow, request.compat)
    if request.match_spacing:
        if request.rescale is not None:
            raise UsageError(
                f"--match-spacing finds the ratio itself: leave out --rescale {request.rescale:g}"
            )
        check_matchable(workflow)
    check_run(request)
    if request.out_of_core:
        _check_out_of_core(request)
    output = Path(request.output)
    check_not_inside_image(output)
    return Plan(
        request=request,
        workflow=workflow,
        device=parse_device("cuda") if request.gpus is not None else device,
        output=output,
        spacing=None if request.spacing is None else check_spacing(request.spacing),
        suffix=suffix,
        until=until,
    )


def _check_out_of_core(request: SegmentRequest) -> None:
    wanted = {
        "--until": request.until is not None,
        "--save-steps": request.save_steps,
        "--match-spacing": request.match_spacing,
    }
    for name, asked in wanted.items():
        if asked:
            raise UsageError(
                f"{name} works in memory only: leave out --memory, --workers, --scheduler, --gpus and --scratch"
            )


def _check_picture(workflow: Workflow, until: str) -> None:
    operator = workflow.step(until).operator
    if get_operator(operator).output.kind == "scalar":
        raise UsageError(
            f"step '{until}' ({operator}) gives a number, of which there is no picture: leave out --preview"
        )


def check_rescale(rescale: float | None, workflow: Workflow, compat: bool) -> None:
    """Refuse a ratio that is out of range or drives a parameter out of its range.

    Raises
    ------
    UsageError
        With the ratio, or the step and its parameter.
    """
    if rescale is None:
        return
    check_ratio(rescale)
    if workflow.rescale == "supported":
        for step in workflow.steps:  # parameters multiplied by the ratio may leave their range
            step_parameters(step, rescale, compat)
