"""What to do with the images of a run; checked as a whole before the first one is opened."""

from __future__ import annotations

import math
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
from fastseg.types import Spacing
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import step_parameters
from fastseg.workflow.schema import Workflow

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
    format: Literal["ome-tiff", "ome-zarr"] = "ome-tiff"
    save_steps: bool = False
    preview: bool = False
    overwrite: bool = False
    tile: tuple[int, int, int] | None = None
    compat: bool = False


@dataclass(frozen=True)
class Plan:
    """A request that has been checked, with its names resolved."""

    request: SegmentRequest
    workflow: Workflow
    device: Device
    output: Path
    spacing: Spacing | None
    suffix: str


def check_request(request: SegmentRequest) -> Plan:
    """Everything that can be wrong without looking at an image.

    Raises
    ------
    UsageError
        For a workflow, device, tile, spacing, ratio, format or output folder that cannot be used.
    """
    workflow = get_workflow(request.workflow)
    device = parse_device(request.device)
    if request.format not in FORMATS:
        raise UsageError(f"format '{request.format}' is unknown: use {' or '.join(FORMATS)}")
    _check_tile(request.tile)
    _check_rescale(request.rescale, workflow, request.compat)
    output = Path(request.output)
    _check_not_inside_image(output)
    return Plan(
        request=request,
        workflow=workflow,
        device=device,
        output=output,
        spacing=None if request.spacing is None else check_spacing(request.spacing),
        suffix=FORMATS[request.format],
    )


def _check_tile(tile: Sequence[int] | None) -> None:
    if tile is None:
        return
    whole = all(isinstance(n, numbers.Integral) and not isinstance(n, bool) and n > 0 for n in tile)
    if len(tile) != 3 or not whole:
        raise UsageError(f"tile {tuple(tile)} is not a size: three whole numbers z, y, x above 0 are needed")


def _check_rescale(rescale: float | None, workflow: Workflow, compat: bool) -> None:
    if rescale is None:
        return
    if not (math.isfinite(rescale) and 0 < rescale <= 100):
        raise UsageError(f"rescale ratio {rescale:g} is out of range: it must be above 0 and at most 100")
    if workflow.rescale == "supported":
        for step in workflow.steps:  # parameters multiplied by the ratio may leave their range
            step_parameters(step, rescale, compat)


def _check_not_inside_image(output: Path) -> None:
    real = Path(os.path.realpath(output))
    for folder in (real, *real.parents):
        if folder.exists() and is_zarr(folder):
            raise UsageError(
                f"output folder {output} lies inside the OME-Zarr image {folder}: choose a folder outside it"
            )
