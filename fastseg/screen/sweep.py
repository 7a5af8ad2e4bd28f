"""Sweeping parameters on one file: a table and a contact sheet of the results."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from fastseg.arrays import to_device
from fastseg.errors import UsageError, WriteError
from fastseg.io import Image, prepare_directory, read, write_mask
from fastseg.io.atomic import atomic_output
from fastseg.io.contact_sheet import Panel, write_contact_sheet
from fastseg.screen.grids import rescaled_spacing
from fastseg.screen.outputs import Ledger, discard
from fastseg.screen.sweep_request import SweepRequest, check_sweep
from fastseg.tiling import Engine
from fastseg.workflow.edit import parameter_value
from fastseg.workflow.schema import Workflow
from fastseg.workflow.spacing import spacing_note
from fastseg.workflow.sweep import SweepPoint, run_sweep
from fastseg.workflow.variation import SweepPlan


@dataclass(frozen=True)
class SweepStarted:
    """The request is right and the image is about to be read: names, and the number of combinations."""

    workflow: str
    device: str
    total: int


@dataclass(frozen=True)
class PointFinished:
    """A combination is done; `done` of `total` are."""

    point: SweepPoint
    done: int
    total: int


SweepEvent: TypeAlias = SweepStarted | PointFinished


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep gave.

    Attributes
    ----------
    names : tuple of str
        What was varied, as ``step.parameter``.
    points : tuple of SweepPoint
        Without masks; the last variation changes fastest.
    outputs : tuple of Path
        The table, the contact sheet, then the masks if they were asked for.
    notes : tuple of str
        Remarks for the user.
    seconds : float
        From opening the file to the last output.
    """

    names: tuple[str, ...]
    points: tuple[SweepPoint, ...]
    outputs: tuple[Path, ...]
    notes: tuple[str, ...]
    seconds: float


def _quiet(event: SweepEvent) -> None:
    pass


def sweep_file(
    path: str | os.PathLike[str], request: SweepRequest, on_event: Callable[[SweepEvent], None] = _quiet
) -> SweepOutcome:
    """Run a workflow on one file for every combination of values.

    Writes ``<stem>_sweep.csv``, a row for each combination, and ``<stem>_sweep.png``, a contact sheet; with
    `save_masks` also ``<stem>_sweep_<row>.tiff``. After a failure none of them is left.

    Parameters
    ----------
    path : path-like
    request : SweepRequest
    on_event : callable
        Called with what happens, in this thread.

    Returns
    -------
    SweepOutcome

    Raises
    ------
    UsageError
        When the request is wrong; nothing has been read or written then.
    ReadError, InputError
        When the file cannot be read or segmented.
    WriteError
        When an output exists already or cannot be written.
    """
    plan, device, spacing = check_sweep(request)
    try:
        output = prepare_directory(request.output)
    except WriteError as error:
        raise UsageError(str(error)) from error
    on_event(SweepStarted(plan.workflow.name, str(device), len(plan.values)))
    started = perf_counter()
    image = read(
        path,
        channel=request.channel,
        scene=request.scene,
        time=request.time,
        axes=request.axes,
        spacing=spacing,
    )
    table, sheet = (output / f"{image.stem}_sweep.{suffix}" for suffix in ("csv", "png"))
    numbers = range(1, len(plan.values) + 1) if request.save_masks else ()
    width = max(2, len(str(len(plan.values))))
    masks = [output / f"{image.stem}_sweep_{number:0{width}d}.tiff" for number in numbers]
    outputs = (table, sheet, *masks)
    Ledger([Path(path)]).check(outputs, request.overwrite)
    volume = image.volume()
    panels: dict[int, Panel] = {}
    written: list[Path] = []

    def on_point(point: SweepPoint, done: int, total: int) -> None:
        assert point.mask is not None
        panels[point.number] = _panel(point, request.view)
        if masks:
            _write_mask(masks[point.number], point.mask, image, volume.shape, request.overwrite)
            written.append(masks[point.number])
        on_event(PointFinished(point, done, total))

    try:
        points = run_sweep(
            plan,
            to_device(volume, device),
            engine=Engine(device=device),
            rescale=request.rescale,
            compat=request.compat,
            keep_masks=False,
            on_point=on_point,
        )
        names = tuple(str(v.target) for v in plan.variations)
        _write_table(table, names, points, masks, request.overwrite)
        written.append(table)
        write_contact_sheet(
            sheet,
            _plane(volume, request.view),
            [panels[number] for number in range(len(points))],
            columns=len(plan.variations[-1].values) if len(plan.variations) > 1 else None,
            spacing=image.spacing,
            title=_title(plan, image, volume.shape[0], request.view),
            overwrite=request.overwrite,
        )
    except BaseException:
        for file in written:
            discard(file)
        raise
    return SweepOutcome(
        names, tuple(points), outputs, _notes(plan.workflow, image, request.rescale), perf_counter() - started
    )


def _plane(volume: np.ndarray, view: str) -> np.ndarray:
    return volume.max(axis=0) if view == "projection" else volume[volume.shape[0] // 2]


def _panel(point: SweepPoint, view: str) -> Panel:
    assert point.mask is not None
    return Panel(
        mask=_plane(point.mask, view).copy(),
        heading=tuple(f"{name} = {_text(value)}" for name, value in point.values.items()),
        facts=(f"{point.voxels:,} voxels", f"{point.objects:,} object{'s' * (point.objects != 1)}"),
    )


def _title(plan: SweepPlan, image: Image, depth: int, view: str) -> str:
    """The image, what is shown, and what the definition itself says."""
    shown = "maximum projection" if view == "projection" else f"plane z = {depth // 2} of 0 to {depth - 1}"
    targets = [v.target for v in plan.variations]
    own = ", ".join(f"{t} = {_text(parameter_value(plan.workflow.step(t.step), t))}" for t in targets)
    return f"{image.stem}: {plan.workflow.name} (definition: {own}), {shown}"


def _text(value: Any) -> str:
    return (
        f"{value:g}"
        if isinstance(value, float)
        else json.dumps(value)
        if not isinstance(value, str)
        else value
    )


def _notes(workflow: Workflow, image: Image, rescale: float | None) -> tuple[str, ...]:
    notes = list(image.notes)
    if rescale is not None and workflow.rescale == "ignored":
        notes.append(f"workflow '{workflow.name}' does not rescale: the ratio {rescale:g} has no effect")
    note = spacing_note(workflow, image.spacing, rescale)
    return (*notes, *([note] if note else []))


def _write_mask(path: Path, mask: np.ndarray, image: Image, shape: tuple[int, ...], overwrite: bool) -> None:
    write_mask(path, mask, spacing=rescaled_spacing(image.spacing, shape, mask.shape), overwrite=overwrite)


def _write_table(
    path: Path, names: Sequence[str], points: Sequence[SweepPoint], masks: Sequence[Path], overwrite: bool
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, "voxels", "objects", "seconds", *(["mask"] if masks else [])])
    for point in points:
        values = [v if isinstance(v, str) else json.dumps(v) for v in point.values.values()]
        file = [masks[point.number].name] if masks else []
        writer.writerow([*values, point.voxels, point.objects, f"{point.seconds:.3f}", *file])
    data = text.getvalue().encode("utf-8")
    with atomic_output(path, overwrite=overwrite, needed=len(data)) as temporary:
        temporary.write_bytes(data)
