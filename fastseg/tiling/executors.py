"""Executors: who runs the tasks of a pass. The interface that every executor offers, and the serial one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol


class Executor(Protocol):
    """Runs independent tasks and gives their results in the order of the tasks, whatever the order of completion."""

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]: ...


class Serial:
    """One task after another in this thread; parallelism is inside the kernels."""

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(task, items)
