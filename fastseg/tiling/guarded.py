"""Tasks that tell in one way, from every process, when the memory of a GPU runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastseg.arrays import Namespace, within_memory
from fastseg.tiling.executors import Executor


@dataclass(frozen=True)
class Guarded:
    """A task that raises `GpuMemoryError` where memory runs out, when what it held has been given back.

    A worker keeps the error of its task, frames and all: those of the computation hold arrays of the GPU.
    """

    task: Callable[[Any], Any]
    ns: Namespace

    def __call__(self, item: Any) -> Any:
        return within_memory(self.ns, partial(self.task, item))


@dataclass(frozen=True)
class GuardedExecutor:
    """An executor whose tasks are `Guarded`."""

    executor: Executor
    ns: Namespace

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return self.executor.map(Guarded(task, self.ns), items)
