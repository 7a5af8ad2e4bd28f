"""Writing the files made from one image: all of them or none, and none in the way of another."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.errors import WriteError
from fastseg.io import Image, write_image, write_labels, write_mask
from fastseg.io.atomic import atomic_output, check_absent
from fastseg.io.preview import write_preview, write_step_preview
from fastseg.screen.grids import on_grid, rescaled_spacing
from fastseg.screen.naming import Outputs
from fastseg.screen.request import Plan
from fastseg.workflow.run import Outcome


class Ledger:
    """The files of a run: its inputs, which no output may replace, and what it has written so far."""

    def __init__(self, inputs: Iterable[Path]) -> None:
        self._inputs = {os.path.realpath(path) for path in inputs}
        self._written: dict[tuple[int, int], str] = {}

    def check(self, paths: Iterable[Path], overwrite: bool) -> None:
        """Refuse outputs that are in the way of something.

        Raises
        ------
        WriteError
            When one is an input of this run, was written for another item of it, or exists and may not be replaced.
        """
        for path in paths:
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


@contextmanager
def all_or_none(paths: Iterable[Path]) -> Iterator[None]:
    """Remove files if the block ends with an exception."""
    try:
        yield
    except BaseException:
        for path in paths:
            discard(path)
        raise


def write_outputs(
    plan: Plan,
    outputs: Outputs,
    image: Image,
    volume: Any,
    result: Any,
    outcome: Outcome,
    *,
    main: bool = True,
) -> None:
    """Write everything or nothing.

    The main output comes last: where it is, the rest is complete. What was written before a failure is removed.

    Parameters
    ----------
    plan : Plan
    outputs : Outputs
    image : Image
        For its name and voxel size.
    volume : array (Z, Y, X)
        The raw voxels; like the result it may be one that reads from disk what is asked for.
    result : array (Z, Y, X) or value
        The segmentation, or the result of the step that the run ended with; on the grid that the workflow left it on,
        unless it was brought back.
    outcome : Outcome
        With the results of the steps in `outputs`.
    main : bool
        Write the main output; otherwise that is somebody else's task.

    Raises
    ------
    WriteError
        When a file cannot be written.
    """
    overwrite = plan.request.overwrite
    jobs: list[tuple[Path, Callable[[Path], object]]] = [
        (path, partial(_write_step, outcome, step_id, image, volume, overwrite))
        for step_id, path in outputs.steps.items()
    ]
    if outputs.values is not None:
        values = {name: outcome.steps[i] for i, name in outputs.scalars.items()}
        jobs.append((outputs.values, partial(_write_values, values, overwrite)))
    if outputs.preview is not None:
        jobs.append((outputs.preview, partial(_write_preview, plan, image, volume, result)))
    if plan.until is None and main:
        form = plan.workflow.result
        segmentation = partial(write_mask, mask=result, foreground=form.foreground, dtype=form.dtype)
        spacing = rescaled_spacing(image.spacing, volume.shape, result.shape)
        jobs.append((outputs.main, partial(segmentation, spacing=spacing, overwrite=overwrite)))
    elif plan.until is not None and outputs.main != outputs.values:
        jobs.append((outputs.main, partial(_write_array, result, image, volume, overwrite)))
    written: list[Path] = []
    with all_or_none(written):
        for path, write in jobs:
            write(path)
            written.append(path)


def _write_step(
    outcome: Outcome, step_id: str, image: Image, volume: np.ndarray, overwrite: bool, path: Path
) -> None:
    result = to_host(outcome.steps.pop(step_id))  # freed as soon as it is written
    _write_array(result, image, volume, overwrite, path)


def _write_array(result: np.ndarray, image: Image, volume: np.ndarray, overwrite: bool, path: Path) -> None:
    if result.ndim == 2:
        result = result[np.newaxis]
    spacing = rescaled_spacing(image.spacing, volume.shape, result.shape)
    if result.dtype.kind in "ui":
        write_labels(path, result, spacing=spacing, overwrite=overwrite)
    else:
        name = path.stem.removeprefix(f"{image.stem}_")
        write_image(path, result, spacing=spacing, name=name, overwrite=overwrite)


def _write_preview(plan: Plan, image: Image, volume: Any, result: Any, path: Path) -> None:
    if result.ndim == 2:
        result = result[np.newaxis]
    title = f"{image.stem}: {plan.workflow.name}" + ("" if plan.until is None else f", step {plan.until}")
    write = write_step_preview if result.dtype.kind == "f" else write_preview
    write(
        path,
        on_grid(volume, result.shape),
        result,
        spacing=rescaled_spacing(image.spacing, volume.shape, result.shape),
        title=title,
        overwrite=plan.request.overwrite,
    )


def _write_values(values: dict[str, Any], overwrite: bool, path: Path) -> None:
    text = json.dumps(values, indent=2, default=plain) + "\n"
    with atomic_output(path, overwrite=overwrite, needed=len(text)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def plain(value: Any) -> Any:
    """Numbers and small arrays of numpy or cupy as JSON knows them."""
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return to_host(value).tolist() if hasattr(value, "dtype") else value


def discard(path: Path) -> None:
    """Remove an output, as far as it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
