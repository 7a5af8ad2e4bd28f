"""The files made from one image: their names, and writing all of them or none."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.errors import WriteError
from fastseg.io import Image, output_path, write_image, write_labels, write_mask
from fastseg.io.atomic import atomic_output, check_absent
from fastseg.io.preview import write_preview
from fastseg.operators.registry import get_operator
from fastseg.screen.request import Plan
from fastseg.types import Spacing
from fastseg.workflow.run import Outcome
from fastseg.workflow.schema import Workflow

_RESERVED = ("struct_segmentation", "preview", "steps")


@dataclass(frozen=True)
class Outputs:
    """Where the results of one image go.

    Attributes
    ----------
    mask : Path
    steps : dict of str to Path
        For the ids of the steps whose results are arrays.
    scalars : dict of str to str
        Ids of the steps whose results are single values, and their names in the file `values`.
    values, preview : Path or None
    """

    mask: Path
    steps: dict[str, Path] = field(default_factory=dict)
    scalars: dict[str, str] = field(default_factory=dict)
    values: Path | None = None
    preview: Path | None = None

    def paths(self) -> list[Path]:
        """All of them, the segmentation first."""
        extra = [p for p in (self.values, self.preview) if p is not None]
        return [self.mask, *self.steps.values(), *extra]

    def kept(self) -> set[str]:
        """Ids of the steps whose results are needed."""
        return {*self.steps, *self.scalars}


def plan_outputs(plan: Plan, stem: str) -> Outputs:
    """The files that an image of this stem gives."""
    mask = output_path(plan.output, stem, plan.suffix)
    preview = plan.output / f"{stem}_preview.png" if plan.request.preview else None
    if not plan.request.save_steps:
        return Outputs(mask, preview=preview)
    names = step_names(plan.workflow, rescaled=plan.request.rescale is not None)
    scalars = {
        i: n for i, n in names.items() if get_operator(plan.workflow.step(i).operator).output.kind == "scalar"
    }
    return Outputs(
        mask=mask,
        steps={i: plan.output / f"{stem}_{n}.tiff" for i, n in names.items() if i not in scalars},
        scalars=scalars,
        values=plan.output / f"{stem}_steps.json" if scalars else None,
        preview=preview,
    )


def step_names(workflow: Workflow, rescaled: bool) -> dict[str, str]:
    """Names of the steps' results by step id, in the order of the run.

    The name under which the workflow exposes a step, or the step's id. Steps that only pass their input on because
    there is no rescale ratio are left out, unless exposed.
    """
    exposed: dict[str, str] = {}
    for name, step_id in workflow.exposes.items():
        exposed.setdefault(step_id, name)
    active = rescaled and workflow.rescale == "supported"
    steps = [s.id for s in workflow.ordered() if active or s.when != "rescale" or s.id in exposed]
    taken = {*_RESERVED, *exposed.values()}
    names: dict[str, str] = {}
    for step_id in steps:
        name = exposed.get(step_id, step_id)
        if step_id not in exposed or name in _RESERVED:
            while name in taken:
                name = f"step_{name}"
            taken.add(name)
        names[step_id] = name
    return names


class Ledger:
    """The files of a run: its inputs, which no output may replace, and what it has written so far."""

    def __init__(self, inputs: Iterable[Path]) -> None:
        self._inputs = {os.path.realpath(path) for path in inputs}
        self._written: dict[tuple[int, int], str] = {}

    def check(self, outputs: Outputs, overwrite: bool) -> None:
        """Refuse outputs that are in the way of something.

        Raises
        ------
        WriteError
            When one is an input of this run, was written for another item of it, or exists and may not be replaced.
        """
        for path in outputs.paths():
            if os.path.realpath(path) in self._inputs:
                raise WriteError(f"{path} is an input of this run: choose another output folder")
            with suppress(OSError):
                status = path.stat()
                owner = self._written.get((status.st_dev, status.st_ino))
                if owner is not None:
                    raise WriteError(f"{path} was just written for {owner}: segment the two in separate runs")
            check_absent(path, overwrite)

    def record(self, paths: Iterable[Path], source: str) -> None:
        """Note what was written for `source`."""
        for path in paths:
            status = path.stat()
            self._written[status.st_dev, status.st_ino] = source


def write_outputs(
    plan: Plan, outputs: Outputs, image: Image, volume: np.ndarray, mask: np.ndarray, outcome: Outcome
) -> None:
    """Write everything or nothing.

    The segmentation comes last: where it is, the rest is complete. What was written before a failure is removed.

    Parameters
    ----------
    plan : Plan
    outputs : Outputs
    image : Image
        For its name and voxel size.
    volume : array (Z, Y, X)
        The raw voxels.
    mask : array (Z, Y, X)
        The segmentation, on the grid that the workflow left it on.
    outcome : Outcome
        With the results of the steps in `outputs`.

    Raises
    ------
    WriteError
        When a file cannot be written.
    """
    overwrite = plan.request.overwrite
    spacing = rescaled_spacing(image.spacing, volume.shape, mask.shape)
    jobs: list[tuple[Path, Callable[[Path], object]]] = [
        (path, partial(_write_step, outcome, step_id, image, volume, overwrite))
        for step_id, path in outputs.steps.items()
    ]
    if outputs.values is not None:
        values = {name: outcome.steps[i] for i, name in outputs.scalars.items()}
        jobs.append((outputs.values, partial(_write_values, values, overwrite)))
    if outputs.preview is not None:
        picture = partial(write_preview, image=on_grid(volume, mask.shape), mask=mask, spacing=spacing)
        title = f"{image.stem}: {plan.workflow.name}"
        jobs.append((outputs.preview, partial(picture, title=title, overwrite=overwrite)))
    result = plan.workflow.result
    segmentation = partial(write_mask, mask=mask, foreground=result.foreground, dtype=result.dtype)
    jobs.append((outputs.mask, partial(segmentation, spacing=spacing, overwrite=overwrite)))
    written: list[Path] = []
    try:
        for path, write in jobs:
            write(path)
            written.append(path)
    except BaseException:
        for path in written:
            _discard(path)
        raise


def rescaled_spacing(spacing: Spacing | None, old: tuple[int, ...], new: tuple[int, ...]) -> Spacing | None:
    """Voxel size after y and x were resampled so that the first and last samples coincide.

    Parameters
    ----------
    spacing : tuple of float or None
        (z, y, x) of the old grid.
    old, new : tuple of int
        Shapes; y and x are the last two.
    """
    if spacing is None:
        return None
    y, x = (
        length if 1 in (n, m) else length * (n - 1) / (m - 1)
        for length, n, m in zip(spacing[-2:], old[-2:], new[-2:], strict=True)
    )
    return (spacing[0], y, x)


class _Resampled:
    """The planes of a stack on another grid in y and x, by linear interpolation, each made when it is asked for."""

    def __init__(self, volume: np.ndarray, shape: tuple[int, ...]) -> None:
        self.volume = volume
        self.shape = shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, z: int) -> np.ndarray:
        from scipy.ndimage import map_coordinates

        plane = self.volume[z].astype(np.float32)
        axes = [np.linspace(0, n - 1, m) for n, m in zip(plane.shape, self.shape[-2:], strict=True)]
        return map_coordinates(plane, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")


def on_grid(volume: np.ndarray, shape: tuple[int, ...]) -> Any:
    """`volume` as it is if it has this shape, else its planes resampled to it, for display."""
    return volume if volume.shape == shape else _Resampled(volume, shape)


def _write_step(
    outcome: Outcome, step_id: str, image: Image, volume: np.ndarray, overwrite: bool, path: Path
) -> None:
    result = to_host(outcome.steps.pop(step_id))  # freed as soon as it is written
    if result.ndim == 2:
        result = result[np.newaxis]
    spacing = rescaled_spacing(image.spacing, volume.shape, result.shape)
    if result.dtype.kind in "ui":
        write_labels(path, result, spacing=spacing, overwrite=overwrite)
    else:
        name = path.stem.removeprefix(f"{image.stem}_")
        write_image(path, result, spacing=spacing, name=name, overwrite=overwrite)


def _write_values(values: dict[str, Any], overwrite: bool, path: Path) -> None:
    text = json.dumps(values, indent=2, default=_plain) + "\n"
    with atomic_output(path, overwrite=overwrite, needed=len(text)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """Numbers and small arrays of numpy or cupy as JSON knows them."""
    return to_host(value).tolist()


def _discard(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
