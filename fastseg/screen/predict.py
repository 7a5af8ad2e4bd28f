"""Predicting many files with a trained model, one after another: each is finished or reported."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.arrays import Device, free_bytes
from fastseg.io import Image
from fastseg.screen.events import ItemOutcome, ItemPhase, RunStarted, StepStarted
from fastseg.screen.items import OnEvent, expand, images_of, prepare, quiet, run_items
from fastseg.screen.large import SHARE
from fastseg.screen.outputs import Ledger, all_or_none
from fastseg.screen.predict_outputs import (
    plan_predict_outputs,
    stores,
    write_predictions,
    write_preview_of,
)
from fastseg.screen.predict_request import PredictPlan, PredictRequest, check_predict
from fastseg.screen.predict_stack import Stack, read_stack, time_points
from fastseg.screen.work_key import work_key
from fastseg.screen.workplace import Workplace, workplace
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.tiling.executors import Executor
from fastseg.tiling.program import Stage
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.source import ImageVolume, LazyArray, StoreVolume
from fastseg.tiling.statistics import Extrema
from fastseg.tiling.waves import ClusterExecutor
from fastseg.unet.fit import Fitted, fit_memory, fit_tile
from fastseg.unet.job import OnStage, Predicted
from fastseg.unet.predict import predict_volumes
from fastseg.unet.settings import recipes_of

_NEAR = 0.1
"""Voxel sizes that differ by less from those of the training are taken to be the same."""


def predict_files(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    request: PredictRequest,
    on_event: OnEvent = quiet,
) -> list[ItemOutcome]:
    """Predict files one after another.

    A file that cannot be predicted gives an outcome with an error, and the next one is taken. The outputs of a stack
    are complete or absent; the main one is written last.

    Parameters
    ----------
    paths : path-like, or several
        Files, folders and glob patterns, as `fastseg.io.find_images` takes them.
    request : PredictRequest
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
    plan = check_predict(request)
    items = expand(paths)
    images = images_of(items)
    prepare(images, plan.output, lambda stem: plan_predict_outputs(plan, stem).main, "predict")
    ledger = Ledger(images)
    name = Path(plan.request.model).name
    with workplace(request, Device("cpu")) as place:
        return run_items(
            items,
            RunStarted(name, str(plan.device), len(items), "model"),
            lambda source, relay: _predict_one(source, plan, place, ledger, relay),
            on_event,
        )


def _predict_one(
    source: str, plan: PredictPlan, place: Workplace, ledger: Ledger, relay: OnEvent
) -> ItemOutcome:
    started = perf_counter()
    relay(ItemPhase(source, "reading"))
    times: Sequence[int | None] = [None]
    if plan.request.timelapse:
        times = range(time_points(source, plan))
    found = []
    for number, time in enumerate(times):
        stack = read_stack(source, plan, time)
        found.append(_predict_stack(source, stack, plan, place, ledger, (number, len(times)), relay))
    return _merged(source, found, perf_counter() - started)


def _predict_stack(
    source: str,
    stack: Stack,
    plan: PredictPlan,
    place: Workplace,
    ledger: Ledger,
    position: tuple[int, int],
    relay: OnEvent,
) -> ItemOutcome:
    paths = stack.outputs.paths()
    if plan.request.resume and all(path.exists() for path in paths):
        return ItemOutcome(source=source, outputs=tuple(paths), kept=True)
    ledger.check(paths, plan.request.overwrite)
    number, count = position

    def on_stage(stage: Stage, index: int, total: int) -> None:
        name = ", ".join(dict.fromkeys(node.step or node.name for node in stage.nodes))
        at = "" if count == 1 else f"T {number}: "
        relay(StepStarted(source, f"{at}{name}", name, number * total + index, count * total))

    writing = partial(relay, ItemPhase(source, "writing"))
    work = _in_scratch if plan.request.out_of_core else _in_memory
    found = work(stack, plan, place, on_stage, writing)
    ledger.record(paths, source)
    return ItemOutcome(
        source=source,
        outputs=tuple(paths),
        notes=(*_notes(stack, plan), *found.notes, str(found.report)),
        **_facts(found, stack.image),
    )


def _in_memory(
    stack: Stack, plan: PredictPlan, place: Workplace, on_stage: OnStage, writing: Callable[[], None]
) -> Predicted:
    arrays = [image.volume() for image in stack.channels]
    with np.errstate(over="ignore"):  # what is beyond float32 becomes infinite, and is refused as such
        volumes: list[Volume] = [ArrayVolume(np.ascontiguousarray(a, dtype=np.float32)) for a in arrays]
    engine = place.engine(plan.request.tile)
    found = predict_volumes(plan.model, volumes, plan.settings, engine, on_stage=on_stage)
    writing()
    maps = {name: found.array(name) for name in stack.outputs.maps}
    write_predictions(plan, stack.outputs, stack.image, arrays[0], maps)
    return found


def _in_scratch(
    stack: Stack, plan: PredictPlan, place: Workplace, on_stage: OnStage, writing: Callable[[], None]
) -> Predicted:
    request, image, outputs = plan.request, stack.image, stack.outputs
    volumes = [ImageVolume(channel) for channel in stack.channels]
    fitted, executor = _fitted(image.shape[2:], plan, place)
    key = work_key(
        request,
        image,
        plan.model.info.weights_sha256,
        plan.model.architecture.as_dict(),
        # the same however they were given
        replace(
            plan.settings, device="", normalization=None, threshold=plan.threshold, selections=plan.selections
        ),
        recipes_of(plan.model, plan.settings),
        plan.channels,
        stack.time,
    )
    with Scratch(request.scratch, key, request.resume) as scratch, ExitStack() as opened:
        if isinstance(executor, ClusterExecutor):
            executor.check_paths(scratch.folder, [image.source, plan.output])
        engine = Engine(fitted.tile, executor, Device("cpu"), scratch, fitted.room)
        written: list[Path] = []
        opened.enter_context(all_or_none(written))
        targets = {}
        if plan.suffix == "zarr":
            tile = fitted.outer or image.shape[2:]
            made = {name: opened.enter_context(store) for name, store in stores(plan, outputs, image, tile)}
            targets = {name: StoreVolume(store) for name, store in made.items()}
        found = predict_volumes(
            plan.model,
            volumes,
            plan.settings,
            engine,
            outputs=targets,
            on_stage=on_stage,
            fitted=fitted,
            journal=None if request.resize is not None else scratch.journal,
        )
        writing()
        lazy = LazyArray(ImageVolume(image))
        maps: dict[str, Any] = {name: LazyArray(found.maps[name]) for name in outputs.maps}
        if not targets:
            write_predictions(plan, outputs, image, lazy, maps)
            return found
        for target in targets.values():
            for level, boxes in target.store.pyramid():
                for _ in executor.map(partial(target.store.reduce, level), boxes):
                    pass
        if outputs.preview is not None:
            write_preview_of(plan, image, lazy, next(iter(maps.values())), outputs.preview)
        written += outputs.paths()[1:]
        return found


def _fitted(shape: Sequence[int], plan: PredictPlan, place: Workplace) -> tuple[Fitted, Executor]:
    """Patches and tiles, and who runs the tasks: one at a time on the CPU, where the network takes all cores."""
    request = plan.request
    tasks, processes = place.tasks, place.processes
    if processes is None:
        tasks = 2 if plan.device.kind == "cuda" else 1  # the second one reads and writes
    executor = place.with_tasks(tasks)
    if request.tile is not None:
        return fit_tile(plan.model, shape, plan.settings, request.tile), executor
    memory = request.memory or int(SHARE * free_bytes(place.device))
    return fit_memory(plan.model, shape, plan.settings, memory, tasks, processes or 1), executor


def _facts(found: Predicted, image: Image) -> dict[str, Any]:
    """What there is to say about the main result, as fields of `ItemOutcome`."""
    first = next(iter(found.facts.values()))
    if isinstance(first, Extrema):
        return {"limits": (first.low, first.high)}
    return {"foreground": first, "voxels": prod(image.shape[2:])}


def _notes(stack: Stack, plan: PredictPlan) -> list[str]:
    """Remarks about the file, each once, and a voxel size that is not that of the training."""
    notes = list(dict.fromkeys(note for image in stack.channels for note in image.notes))
    trained, own = plan.model.info.spacing, stack.image.spacing
    if trained is not None and own is not None and plan.settings.resize is None:
        ratio = [a / b for a, b in zip(own, trained, strict=True)]
        if any(abs(r - 1) > _NEAR for r in ratio):
            sizes = [",".join(f"{v:.3g}" for v in size) for size in (own, trained)]
            asked = ",".join(f"{r:.3g}" for r in ratio)
            notes.append(
                f"voxels are {sizes[0]} micrometres, those of the training {sizes[1]}: --resize {asked} brings them "
                "to the same size"
            )
    if plan.settings.normalization is None and plan.model.info.normalization is None:
        notes.append(
            "how images were normalised in training is not known: this one is taken as it is; see --normalize"
        )
    return notes


def _merged(source: str, found: Sequence[ItemOutcome], seconds: float) -> ItemOutcome:
    """The outcome of a file out of those of its time points."""
    done = [outcome for outcome in found if not outcome.kept]
    limits = [outcome.limits for outcome in done if outcome.limits is not None]
    masks = [outcome for outcome in done if outcome.foreground is not None]
    notes = list(dict.fromkeys(note for outcome in done for note in outcome.notes))
    if masks and not any(outcome.foreground for outcome in masks):
        notes.append("no voxel was segmented")
    return ItemOutcome(
        source=source,
        outputs=tuple(path for outcome in found for path in outcome.outputs),
        seconds=seconds,
        foreground=sum(outcome.foreground or 0 for outcome in masks) if masks else None,
        voxels=sum(outcome.voxels or 0 for outcome in masks) if masks else None,
        limits=(min(low for low, _ in limits), max(high for _, high in limits)) if limits else None,
        notes=tuple(notes),
        kept=not done,
    )
