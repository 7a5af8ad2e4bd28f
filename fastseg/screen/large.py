"""Images larger than memory, and several processes on one image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fastseg.arrays import free_bytes
from fastseg.arrays.gpu_memory import give_back_memory
from fastseg.errors import GpuMemoryError, UsageError
from fastseg.io import Image
from fastseg.io.omezarr_store import OmeZarrStore
from fastseg.io.writing_tiles import new_mask
from fastseg.screen.grids import rescaled_spacing
from fastseg.screen.request import Plan
from fastseg.screen.work_key import work_key
from fastseg.screen.workplace import Workplace
from fastseg.tiling import Engine
from fastseg.tiling.plan import PROCESS, make_plan, readable
from fastseg.tiling.plan import Plan as Stages
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.shrink import Descent
from fastseg.tiling.source import ImageVolume, LazyArray, StoreVolume
from fastseg.tiling.volume import Volume
from fastseg.tiling.waves import ClusterExecutor
from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.run import StepEvent
from fastseg.workflow.run_tiled import StageEvent, TiledOutcome, plan_workflow, program_for, run_tiled

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

    A stage that does not fit into the memory of a GPU is run again, and those after it are run, on smaller tiles, and
    at last on the CPU if no GPU was asked for.

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
    GpuMemoryError
        If a GPU that was asked for has too little memory for tiles of any size.
    """
    request = plan.request
    source = ImageVolume(image)
    descent = Descent(place.device, plan.or_cpu)
    place, laid = _begun(plan, source, place, descent)
    attempt = _Attempt(plan, source, place, laid, output, on_step)
    key = work_key(request, image, dump_yaml(plan.workflow), request.rescale, request.compat, request.channel)
    with Scratch(request.scratch, key, request.resume) as scratch:
        if isinstance(place.executor, ClusterExecutor):
            place.executor.check_paths(scratch.folder, [image.source, output.parent])
        resumed = scratch.journal.read().stages
        while True:
            opened = ExitStack()
            try:
                large = opened.enter_context(attempt.run(scratch, resumed))
                break
            except GpuMemoryError as error:
                said = str(error)
            give_back_memory(attempt.place.device)
            scratch.remove_unfinished()
            attempt = attempt.after(said, descent)
        with opened:
            yield replace(large, notes=[*large.notes, *descent.notes])


def _begun(plan: Plan, source: ImageVolume, place: Workplace, descent: Descent) -> tuple[Workplace, Stages]:
    """Where the run begins, and its plan: on the CPU if a GPU that nobody named has too little for any tile."""
    try:
        return place, _planned(plan, source, place)
    except UsageError:
        if place.device.kind == "cpu" or not plan.or_cpu or plan.request.memory is not None:
            raise
    free = readable(free_bytes(place.device))
    descent.notes.append(
        f"{free} that are free on {place.device} do not suffice for any tile; going on on the CPU"
    )
    place = place.on_cpu()
    return place, _planned(plan, source, place)


def _budget(plan: Plan, place: Workplace) -> int:
    """Memory of the run where none is given: of the host, or of one GPU a process with what a process itself takes."""
    free = int(SHARE * free_bytes(place.device))
    if place.device.kind == "cpu":
        return free
    processes = place.processes or 1
    return free * (processes if plan.request.gpus is not None else 1) + PROCESS * processes


def _planned(plan: Plan, source: ImageVolume, place: Workplace) -> Stages:
    request = plan.request
    return plan_workflow(
        plan.workflow,
        source.shape,
        rescale=request.rescale,
        compat=request.compat,
        tile=request.tile,
        memory=request.memory or _budget(plan, place),
        tasks=place.tasks,
        processes=place.processes,
    )


@dataclass
class _Attempt:
    """A run on tiles of one size."""

    plan: Plan
    source: ImageVolume
    place: Workplace
    laid: Stages
    output: Path
    on_step: Callable[[StepEvent], None]
    running: str = ""

    @contextmanager
    def run(self, scratch: Scratch, resumed: int) -> Iterator[Large]:
        """Compute everything, and finish or discard the output with the context.

        Parameters
        ----------
        scratch : Scratch
        resumed : int
            Stages that an earlier run finished.
        """
        if self.plan.suffix != "zarr":
            done = self._compute(scratch, None, resumed)
            yield Large(LazyArray(done.result), done.foreground, done.notes, False)
            return
        with _store(self.plan, self.source.image, self.laid, self.output) as store:
            done = self._compute(scratch, StoreVolume(store), resumed)
            executor = self.place.with_tasks(self.laid.tasks)
            for level, boxes in store.pyramid():
                for _ in executor.map(partial(store.reduce, level), boxes):
                    pass
            yield Large(LazyArray(done.result), done.foreground, done.notes, True)

    def _compute(self, scratch: Scratch, into: Volume | None, resumed: int) -> TiledOutcome:
        request, laid, place = self.plan.request, self.laid, self.place
        return run_tiled(
            self.plan.workflow,
            self.source,
            Engine(laid.tile, place.with_tasks(laid.tasks), place.device, scratch, laid.room),
            rescale=request.rescale,
            compat=request.compat,
            output=into,
            on_stage=self._begin,
            journal=scratch.journal,
            resumed=resumed,
        )

    def _begin(self, event: StageEvent) -> None:
        self.running = ", ".join(event.steps)
        self.on_step(StepEvent(self.running, self.running, event.number, event.total))

    def after(self, said: str, descent: Descent) -> _Attempt:
        """The next attempt, after the memory of the GPU ran out; see `Descent.next`."""
        request = self.plan.request
        nodes, wanted = program_for(self.plan.workflow, request.rescale, request.compat)
        shape, laid, place = self.source.shape, self.laid, self.place
        tasks = laid.tasks if place.processes is None else 1  # the GPUs of workers are their own
        what = f"step '{self.running}'"
        before = None if laid.whole else laid.tile
        tile = descent.next(what, said, (nodes, wanted), shape, before, tasks)
        if tile is not None:
            smaller = replace(make_plan(nodes, shape, wanted, tile), room=laid.room, tasks=laid.tasks)
            return replace(self, laid=smaller)
        there = place.on_cpu()
        return replace(self, place=there, laid=_planned(self.plan, self.source, there))


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
