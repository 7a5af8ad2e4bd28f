"""Where the work of a run is done: threads of this process, worker processes, a cluster, or GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fastseg.arrays import Device, usable_cores
from fastseg.screen.run_request import RunRequest
from fastseg.tiling import Engine
from fastseg.tiling.cluster import existing_cluster, gpu_workers, local_workers
from fastseg.tiling.executors import Executor, Serial, Threads


@dataclass(frozen=True)
class Workplace:
    """Where the work of a run is done.

    Attributes
    ----------
    executor : Executor
    tasks : int
        Tasks that it runs at one time.
    processes : int or None
        Worker processes that share them; None where they are threads of this process.
    device : Device
    """

    executor: Executor
    tasks: int
    processes: int | None
    device: Device

    def with_tasks(self, tasks: int) -> Executor:
        """The executor, running fewer tasks at one time if they are threads."""
        return self.executor if self.processes is not None else Threads(tasks)

    def on_cpu(self) -> Workplace:
        """The same place without its GPU."""
        cpu = Device("cpu")
        if self.processes is not None:
            return replace(self, device=cpu)
        count = threads(cpu)
        return Workplace(Threads(count), count, None, cpu)

    def engine(self, tile: tuple[int, ...] | None) -> Engine:
        """An engine at this place that keeps everything in the memory of this process."""
        return Engine(tile, self.executor, self.device)


@contextmanager
def workplace(request: RunRequest, device: Device) -> Iterator[Workplace]:
    """The place that a request asks for, for the time of the run.

    Parameters
    ----------
    request : RunRequest
    device : Device
        Where the engine's blocks live.

    Raises
    ------
    UsageError, DeviceError
        If it cannot be had.
    """
    if request.workers is not None:
        with local_workers(request.workers, usable_cores()) as executor:
            yield Workplace(executor, request.workers, request.workers, device)
    elif request.scheduler is not None:
        with existing_cluster(request.scheduler) as executor:
            yield Workplace(executor, executor.tasks(), executor.workers(), device)
    elif request.gpus is not None:
        with gpu_workers(request.gpus, request.gpu_pool) as executor:
            yield Workplace(executor, executor.tasks(), executor.workers(), device)
    elif request.out_of_core:
        count = threads(device)
        yield Workplace(Threads(count), count, None, device)
    else:
        yield Workplace(Serial(), 1, None, device)


def threads(device: Device) -> int:
    """Tasks that run at one time in one process: a core each, and a second one to feed a GPU."""
    return 2 if device.kind == "cuda" else usable_cores()
