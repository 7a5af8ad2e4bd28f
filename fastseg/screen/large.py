"""Images larger than memory, and several processes on one image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastseg.arrays import Device, free_bytes
from fastseg.io import Image
from fastseg.screen.request import Plan
from fastseg.tiling import Engine
from fastseg.tiling.cluster import existing_cluster, gpu_workers, local_workers
from fastseg.tiling.executors import Executor, Serial
from fastseg.tiling.source import ImageVolume, LazyArray
from fastseg.tiling.storage import Scratch, Storage
from fastseg.workflow.run import StepEvent
from fastseg.workflow.run_tiled import StageEvent, plan_workflow, run_tiled

_SHARE = 0.6
"""Part of the free memory that is used where no budget is given."""


@dataclass(frozen=True)
class Workplace:
    """Where the work of a run is done: the executor, how many processes it has, and the device."""

    executor: Executor
    processes: int
    device: Device

    def engine(self, tile: tuple[int, ...] | None, storage: Storage | None = None) -> Engine:
        """An engine at this place."""
        return Engine(tile, self.executor, self.device, storage)


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def workplace(plan: Plan) -> Iterator[Workplace]:
    """The place that a request asks for, for the time of the run.

    Raises
    ------
    UsageError, DeviceError
        If it cannot be had.
    """
    request = plan.request
    if request.workers is not None:
        with local_workers(request.workers, usable_cores()) as executor:
            yield Workplace(executor, request.workers, plan.device)
    elif request.scheduler is not None:
        with existing_cluster(request.scheduler) as executor:
            yield Workplace(executor, executor.workers(), plan.device)
    elif request.gpus is not None:
        with gpu_workers(request.gpus) as executor:
            yield Workplace(executor, executor.workers(), plan.device)
    else:
        yield Workplace(Serial(), 1, plan.device)


@contextmanager
def out_of_core(
    plan: Plan, image: Image, place: Workplace, on_step: Callable[[StepEvent], None]
) -> Iterator[tuple[LazyArray, list[str]]]:
    """The segmentation of an image, computed stage by stage; it can be read as long as the context lasts.

    Yields
    ------
    LazyArray
        The result, on disk.
    list of str
        Notes for the user.

    Raises
    ------
    UsageError
        If no tile fits the memory budget; nothing has been computed then.
    """
    request = plan.request
    source = ImageVolume(image)
    memory = request.memory or int(_SHARE * free_bytes(place.device))
    laid = plan_workflow(
        plan.workflow,
        source.shape,
        rescale=request.rescale,
        compat=request.compat,
        tile=request.tile,
        memory=memory,
        workers=place.processes,
    )

    def on_stage(event: StageEvent) -> None:
        name = ", ".join(event.steps)
        on_step(StepEvent(name, name, event.number, event.total))

    with Scratch(request.scratch) as scratch:
        done = run_tiled(
            plan.workflow,
            source,
            place.engine(laid.tile, scratch),
            rescale=request.rescale,
            compat=request.compat,
            on_stage=on_stage,
        )
        yield LazyArray(done.result), done.notes
