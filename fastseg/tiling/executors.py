"""Executors: who runs the tasks of a pass. The interface that every executor offers, and those of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol

from fastseg.arrays import limit_kernels, usable_cores
from fastseg.errors import UsageError

_SPARE = 2
"""Tasks sent ahead, so that no thread waits while a result is being used."""


IN_MEMORY = (
    "a volume in the memory of this process cannot be written by workers: give the engine Scratch storage in a folder "
    "that all of them reach"
)


class Executor(Protocol):
    """Runs independent tasks and gives their results in the order of the tasks, whatever the order of completion.

    Items are drawn as they are needed.
    """

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]: ...


class Serial:
    """One task after another in this thread; parallelism is inside the kernels."""

    remote = False
    """Whether tasks run where the memory of this process cannot be reached."""

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return map(task, items)


class Threads:
    """Several tasks at one time in this process, each on a thread with its share of the cores.

    Reading, decompression and most of SciPy run on one core, but without the interpreter lock; a second task keeps the
    other cores busy meanwhile.

    Parameters
    ----------
    count : int
        Tasks at one time.
    cores : int, optional
        Cores to share out, those that this process may use by default; the compiled loops of a task get
        ``cores // count`` threads, at least one.

    Raises
    ------
    UsageError
        If the count is below 1.
    """

    remote = False

    def __init__(self, count: int, cores: int | None = None) -> None:
        if count < 1:
            raise UsageError(f"{count} threads were asked for: at least 1 is needed")
        self.count = count
        self.cores = usable_cores() if cores is None else cores

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the items; at most ``count + 2`` that were started have not been taken.

        Whatever ends the run early (an error, an interrupt, a caller that stops), no further task is started, and the
        running ones have ended when the caller goes on: nothing is written any more. The error is that of the earliest
        item that fails, as in one thread.
        """
        if self.count == 1:
            yield from map(task, items)
            return
        pool = ThreadPoolExecutor(
            self.count, "fastseg", partial(limit_kernels, max(1, self.cores // self.count))
        )
        started: deque[Future[Any]] = deque()
        waiting = iter(items)
        try:
            for item in waiting:
                started.append(self._start(pool, task, item))
                if len(started) >= self.count + _SPARE:
                    yield started.popleft().result()
            while started:
                yield started.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor, task: Callable[[Any], Any], item: Any) -> Future[Any]:
        return pool.submit(copy_context().run, task, item)  # NumPy's error handling is part of the context
