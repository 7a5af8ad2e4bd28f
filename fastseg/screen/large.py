"""Images larger than memory, and several processes on one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fastseg.arrays import free_bytes
from fastseg.io import Image
from fastseg.io.omezarr_store import OmeZarrStore
from fastseg.io.writing_tiles import new_mask
from fastseg.screen.grids import rescaled_spacing
from fastseg.screen.request import Plan
from fastseg.screen.work_key import work_key
from fastseg.screen.workplace import Workplace
from fastseg.tiling import Engine
from fastseg.tiling.plan import Plan as Stages
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.source import ImageVolume, LazyArray, StoreVolume
from fastseg.tiling.volume import Volume
from fastseg.tiling.waves import ClusterExecutor
from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.run import StepEvent
from fastseg.workflow.run_tiled import StageEvent, TiledOutcome, plan_workflow, run_tiled

SHARE = 0.6
"""Part of the free memory that is used where no budget is given."""


@dataclass(frozen=True)
class Large:
    """A segmentation that was computed stage by stage.

    Attributes
    ----------
    result : LazyArray
        On disk; it can be read as long as the context lasts.
    foreground : int
        Its voxels that are not 0.
    notes : list of str
        For the user.
    written : bool
        The tiles wrote the output themselves; it takes its place when the context ends well.
    """

    result: LazyArray
    foreground: int
    notes: list[str]
    written: bool


@contextmanager
def out_of_core(
    plan: Plan, image: Image, place: Workplace, output: Path, on_step: Callable[[StepEvent], None]
) -> Iterator[Large]:
    """Segment an image stage by stage.

    Parameters
    ----------
    plan : Plan
    image : Image
    place : Workplace
    output : Path
        The segmentation. As OME-Zarr it is written by the tasks of the tiles.
    on_step : callable
        Called before every stage.

    Yields
    ------
    Large

    Raises
    ------
    UsageError
        If no tile fits the memory budget, nothing has been computed then; or if an object turns out to be too large.
    """
    request = plan.request
    source = ImageVolume(image)
    laid = plan_workflow(
        plan.workflow,
        source.shape,
        rescale=request.rescale,
        compat=request.compat,
        tile=request.tile,
        memory=request.memory or int(SHARE * free_bytes(place.device)),
        tasks=place.tasks,
        processes=place.processes,
    )

    executor = place.with_tasks(laid.tasks)

    def on_stage(event: StageEvent) -> None:
        name = ", ".join(event.steps)
        on_step(StepEvent(name, name, event.number, event.total))

    def run(scratch: Scratch, into: Volume | None) -> TiledOutcome:
        return run_tiled(
            plan.workflow,
            source,
            Engine(laid.tile, executor, place.device, scratch, laid.room),
            rescale=request.rescale,
            compat=request.compat,
            output=into,
            on_stage=on_stage,
            journal=scratch.journal,
        )

    key = work_key(request, image, dump_yaml(plan.workflow), request.rescale, request.compat, request.channel)
    with Scratch(request.scratch, key, request.resume) as scratch:
        if isinstance(executor, ClusterExecutor):
            executor.check_paths(scratch.folder, [image.source, output.parent])
        if plan.suffix != "zarr":
            done = run(scratch, None)
            yield Large(LazyArray(done.result), done.foreground, done.notes, False)
            return
        with _store(plan, image, laid, output) as store:
            done = run(scratch, StoreVolume(store))
            for level, boxes in store.pyramid():
                for _ in executor.map(partial(store.reduce, level), boxes):
                    pass
            yield Large(LazyArray(done.result), done.foreground, done.notes, True)


def _store(plan: Plan, image: Image, laid: Stages, output: Path) -> AbstractContextManager[OmeZarrStore]:
    form, last = plan.workflow.result, laid.stages[-1]
    return new_mask(
        output,
        last.shape,
        tile=last.tile,
        spacing=rescaled_spacing(image.spacing, laid.shape, last.shape),
        foreground=form.foreground,
        dtype=form.dtype,
        overwrite=plan.request.overwrite,
    )
