"""What to do with the images of a run; checked as a whole before the first one is opened."""

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastseg.arrays import Device, parse_device
from fastseg.errors import UsageError
from fastseg.io.reading import is_zarr
from fastseg.io.units import check_spacing
from fastseg.operators.registry import get_operator
from fastseg.types import Spacing
from fastseg.workflow.edit import with_assignments
from fastseg.workflow.load import get_workflow
from fastseg.workflow.parameters import step_parameters
from fastseg.workflow.run import check_ratio, step_id
from fastseg.workflow.schema import Workflow
from fastseg.workflow.spacing import check_matchable

FORMATS = {"ome-tiff": "tiff", "ome-zarr": "zarr"}
"""Formats of a segmentation and the suffixes of their files."""


@dataclass(frozen=True)
class SegmentRequest:
    """How to segment the images of a run, and what to write where.

    Attributes
    ----------
    workflow : str, Path or Workflow
        Name (see ``fastseg workflows list``) or definition file.
    output : str or Path
        Folder of the results; made if it does not exist.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        Where to compute. ``auto``: the first GPU, or the CPU.
    channel, scene : int or str, optional
        By index or name; needed where a file holds several.
    time : int, optional
        Time point; needed where a file holds several.
    axes : str, optional
        Letters of TCZYX for the files' axes, where they carry none or wrong ones.
    spacing : 3 floats, optional
        Voxel size (z, y, x) in micrometres, in place of the files'.
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
    format : {"ome-tiff", "ome-zarr"}
        Of the segmentations.
    save_steps : bool
        Write the result of every step as well.
    preview : bool
        Write a PNG of the image and the outlines of its segmentation.
    overwrite : bool
        Replace outputs that exist.
    tile : 3 ints, optional
        Largest tile (z, y, x) in voxels. The result does not depend on it.
    compat : bool
        Restore what is corrected on purpose in the reference implementation's operators.
    memory : int, optional
        Bytes that all processes together may take. This and the following ones make the run go stage by stage with
        intermediate volumes on disk, for images larger than memory; the results are the same.
    workers : int, optional
        Worker processes on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler, whose workers are used.
    gpus : str, optional
        ``all`` or numbers such as ``0,1``: one worker a GPU.
    gpu_pool : int, optional
        Bytes that each worker of `gpus` reserves on its GPU at its start, with RMM.
    scratch : str or Path, optional
        Folder for the intermediate volumes; the system's temporary folder by default.
    resume : bool
        Go on after an interruption: images whose segmentation is there are left as they are, and one that was computed
        stage by stage goes on after its last finished stage. Excludes `overwrite`.
    """

    workflow: str | Path | Workflow
    output: str | Path
    device: str | Device = "auto"
    channel: int | str | None = None
    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    spacing: Sequence[float] | None = None
    rescale: float | None = None
    match_spacing: bool = False
    assignments: Sequence[str] = ()
    until: str | None = None
    format: Literal["ome-tiff", "ome-zarr"] = "ome-tiff"
    save_steps: bool = False
    preview: bool = False
    overwrite: bool = False
    tile: tuple[int, int, int] | None = None
    compat: bool = False
    memory: int | None = None
    workers: int | None = None
    scheduler: str | None = None
    gpus: str | None = None
    gpu_pool: int | None = None
    scratch: str | Path | None = None
    resume: bool = False

    @property
    def out_of_core(self) -> bool:
        """Whether the run goes stage by stage with intermediate volumes on disk."""
        given = (self.memory, self.workers, self.scheduler, self.gpus, self.scratch)
        return any(item is not None for item in given)


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
    if request.format not in FORMATS:
        raise UsageError(f"format '{request.format}' is unknown: use {' or '.join(FORMATS)}")
    _check_tile(request.tile)
    check_rescale(request.rescale, workflow, request.compat)
    if request.match_spacing:
        if request.rescale is not None:
            raise UsageError(
                f"--match-spacing finds the ratio itself: leave out --rescale {request.rescale:g}"
            )
        check_matchable(workflow)
    if request.resume and request.overwrite:
        raise UsageError("--resume keeps what is there and --overwrite replaces it: give one of them")
    if request.out_of_core or request.gpu_pool is not None:
        _check_out_of_core(request)
    output = Path(request.output)
    check_not_inside_image(output)
    return Plan(
        request=request,
        workflow=workflow,
        device=parse_device("cuda") if request.gpus is not None else device,
        output=output,
        spacing=None if request.spacing is None else check_spacing(request.spacing),
        suffix=FORMATS[request.format],
        until=until,
    )


def _check_out_of_core(request: SegmentRequest) -> None:
    places = {"--workers": request.workers, "--scheduler": request.scheduler, "--gpus": request.gpus}
    given = [name for name, value in places.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other: choose where the work is done")
    if request.gpu_pool is not None and request.gpus is None:
        raise UsageError("--gpu-pool is for the workers of --gpus: give both")
    if request.workers is not None and request.workers < 1:
        raise UsageError(f"{request.workers} workers were asked for: at least 1 is needed")
    if request.memory is not None and request.memory < 1:
        raise UsageError(f"a memory budget of {request.memory} bytes is not possible: give more than 0")
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


def _check_tile(tile: Sequence[int] | None) -> None:
    if tile is None:
        return
    whole = all(isinstance(n, numbers.Integral) and not isinstance(n, bool) and n > 0 for n in tile)
    if len(tile) != 3 or not whole:
        raise UsageError(f"tile {tuple(tile)} is not a size: three whole numbers z, y, x above 0 are needed")


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


def check_not_inside_image(output: Path) -> None:
    """Refuse a folder inside an OME-Zarr image.

    Raises
    ------
    UsageError
        With both.
    """
    real = Path(os.path.realpath(output))
    for folder in (real, *real.parents):
        if folder.exists() and is_zarr(folder):
            raise UsageError(
                f"output folder {output} lies inside the OME-Zarr image {folder}: choose a folder outside it"
            )
