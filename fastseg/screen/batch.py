"""Segmenting many files, one after another: each is finished or reported, and none stops the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.io import Image, read
from fastseg.screen.events import ItemOutcome, ItemPhase, RunStarted, StepStarted
from fastseg.screen.items import OnEvent, expand, images_of, prepare, quiet, run_items
from fastseg.screen.large import out_of_core
from fastseg.screen.naming import Outputs, plan_outputs
from fastseg.screen.outputs import Ledger, all_or_none, plain, write_outputs
from fastseg.screen.request import Plan, SegmentRequest, check_request
from fastseg.screen.workplace import Workplace, workplace
from fastseg.tiling.source import ImageVolume, LazyArray
from fastseg.workflow.run import Outcome, StepEvent, run_workflow
from fastseg.workflow.spacing import matching_ratio, spacing_note, to_grid


def segment_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    request: SegmentRequest,
    on_event: OnEvent = quiet,
) -> list[ItemOutcome]:
    """Segment files one after another.

    A file that cannot be segmented gives an outcome with an error, and the next one is taken. An item's outputs are
    complete or absent; the segmentation itself is written last.

    Parameters
    ----------
    paths : path-like, or several
        Files, folders and glob patterns, as `fastseg.io.find_images` takes them.
    request : SegmentRequest
    on_event : callable
        Called with what happens, in order and in this thread. An exception that it raises ends the run.

    Returns
    -------
    list of ItemOutcome
        One for each image, in order, and one for each input that led to no image.

    Raises
    ------
    UsageError
        When the request itself is wrong, or two images would be written to the same file. Nothing has been read or
        written then.
    """
    plan = check_request(request)
    items = expand(paths)
    images = images_of(items)
    prepare(images, plan.output, lambda stem: plan_outputs(plan, stem).main, "segment")
    ledger = Ledger(images)
    with workplace(request, plan.device) as place:
        return run_items(
            items,
            RunStarted(plan.workflow.name, str(plan.device), len(items)),
            lambda source, relay: _segment_one(source, plan, place, ledger, relay),
            on_event,
        )


def _segment_one(source: str, plan: Plan, place: Workplace, ledger: Ledger, relay: OnEvent) -> ItemOutcome:
    def on_step(event: StepEvent) -> None:
        relay(StepStarted(source, event.step, event.operator, event.number, event.total))

    request = plan.request
    started = perf_counter()
    relay(ItemPhase(source, "reading"))
    image = read(
        source,
        channel=request.channel,
        scene=request.scene,
        time=request.time,
        axes=request.axes,
        spacing=plan.spacing,
    )
    outputs = plan_outputs(plan, image.stem)
    if request.resume and all(path.exists() for path in outputs.paths()):
        return ItemOutcome(source=source, outputs=tuple(outputs.paths()), kept=True)
    ledger.check(outputs.paths(), request.overwrite)
    if request.out_of_core:
        return _segment_large(source, image, plan, place, outputs, ledger, started, on_step, relay)
    ratio = matching_ratio(plan.workflow, image.spacing) if request.match_spacing else request.rescale
    volume = image.volume()
    outcome = run_workflow(
        plan.workflow,
        volume,
        engine=place.engine(request.tile),
        rescale=ratio,
        keep=outputs.kept(),
        on_step=on_step,
        compat=request.compat,
        until=plan.until,
        or_cpu=plan.or_cpu,
    )
    result = outcome.result
    if getattr(result, "ndim", 0):
        result = to_host(result)
        if request.match_spacing:
            result = to_grid(result, volume.shape)
    relay(ItemPhase(source, "writing"))
    write_outputs(plan, outputs, image, volume, result, outcome)
    ledger.record(outputs.paths(), source)
    notes = [*image.notes, *outcome.notes]
    return _finished(source, plan, outputs, started, notes, _facts(plan, outputs, result), image, ratio)


def _segment_large(
    source: str,
    image: Image,
    plan: Plan,
    place: Workplace,
    outputs: Outputs,
    ledger: Ledger,
    started: float,
    on_step: Callable[[StepEvent], None],
    relay: OnEvent,
) -> ItemOutcome:
    beside: list[Path] = []
    with all_or_none(beside), out_of_core(plan, image, place, outputs.main, on_step) as large:
        relay(ItemPhase(source, "writing"))
        lazy = LazyArray(ImageVolume(image))
        write_outputs(plan, outputs, image, lazy, large.result, Outcome(large.result), main=not large.written)
        beside += outputs.paths() if not large.written else outputs.paths()[1:]
        facts = {"foreground": large.foreground, "voxels": prod(large.result.shape)}
    ledger.record(outputs.paths(), source)
    notes = [*image.notes, *large.notes]
    return _finished(source, plan, outputs, started, notes, facts, image, plan.request.rescale)


def _finished(
    source: str,
    plan: Plan,
    outputs: Outputs,
    started: float,
    notes: list[str],
    facts: dict[str, Any],
    image: Image,
    ratio: float | None,
) -> ItemOutcome:
    note = None if plan.request.match_spacing else spacing_note(plan.workflow, image.spacing, ratio)
    if facts.get("foreground") == 0:
        here = "" if plan.until is None else f" by step '{plan.until}'"
        notes = [*notes, f"no voxel was segmented{here}"]
    return ItemOutcome(
        source=source,
        outputs=tuple(outputs.paths()),
        seconds=perf_counter() - started,
        notes=(*notes, *([note] if note else [])),
        **facts,
    )


def _facts(plan: Plan, outputs: Outputs, result: Any) -> dict[str, Any]:
    """What there is to say about a result, as fields of `ItemOutcome`."""
    if plan.until is not None and plan.until in outputs.scalars:
        return {"values": {outputs.scalars[plan.until]: plain(result)}}
    if result.dtype.kind == "f":
        return {"limits": (float(result.min()), float(result.max()))}
    return {"foreground": int(np.count_nonzero(result)), "voxels": int(result.size)}
