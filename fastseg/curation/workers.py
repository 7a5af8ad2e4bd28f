"""Many images in several processes: few at one time, and a process that dies fails only its image."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from fastseg.arrays import limit_kernels, usable_cores
from fastseg.errors import FastsegError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 2
"""Images sent ahead of those being worked on, so that no process waits while a result is being used."""


@dataclass(frozen=True)
class Failure:
    """Why an image failed, as text: exceptions of other processes cannot always be brought here.

    Attributes
    ----------
    message : str
        One sentence.
    expected : bool
        Whether fastseg raised the error on purpose (or memory ran out), so that no traceback is needed.
    traceback : str
    """

    message: str
    expected: bool
    traceback: str = ""


@dataclass(frozen=True)
class Success(Generic[Result]):
    """What the task gave for an image."""

    value: Result


Attempt: TypeAlias = Success[Result] | Failure


def worker_count(asked: int | None, images: int) -> int:
    """Processes to use: those asked for, or one a core, but no more than there are images.

    Raises
    ------
    UsageError
        If fewer than 1 are asked for.
    """
    if asked is not None and asked < 1:
        raise UsageError(f"--workers {asked}: at least 1 is needed")
    return max(1, min(asked or usable_cores(), images))


def each_image(
    task: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Attempt[Result]]]:
    """Run a task for every item, in processes of their own.

    Parameters
    ----------
    task : callable
        Of a module, so that it can be sent to another process; whatever it raises is a `Failure` of its item.
    items : iterable
        Drawn as they are needed: no more than ``2 workers + 2`` are on their way at one time.
    workers : int
        Processes; with 1 the task runs in this process. The compiled loops of each get an equal share of the cores.

    Yields
    ------
    item, Success or Failure
        In the order of the items.
    """
    if workers == 1:
        for item in items:
            yield item, _attempt(task, item)
        return
    waiting = iter(items)
    sent: deque[tuple[Item, Future[Attempt[Result]]]] = deque()
    pool = _pool(workers)
    try:
        while True:
            while len(sent) < 2 * workers + _AHEAD:
                try:
                    item = next(waiting)
                except StopIteration:
                    break
                sent.append((item, _send(pool, task, item)))
            if not sent:
                return
            item, future = sent.popleft()
            try:
                attempt = future.result()
            except BrokenProcessPool:
                # It is not known whose process died, and all that were on their way may be lost: each of those
                # is tried once more alone, and the one that ends its process again is the culprit.
                pool.shutdown(wait=True, cancel_futures=True)
                lost = [(item, future), *sent]
                sent.clear()
                for one, ended in lost:
                    finished = not ended.cancelled() and ended.exception() is None
                    yield one, ended.result() if finished else _alone(task, one, workers)
                pool = _pool(workers)
                continue
            yield item, attempt
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _pool(workers: int, processes: int | None = None) -> ProcessPoolExecutor:
    # Forking a process that runs threads (compiled loops do) may stop the child for ever.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes or workers, context, partial(_begin, usable_cores() // workers))


def _begin(cores: int) -> None:
    # A terminal sends Ctrl-C to all processes: this one's parent stops and ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limit_kernels(max(1, cores))


def _send(pool: ProcessPoolExecutor, task: Callable[[Item], Result], item: Item) -> Future[Attempt[Result]]:
    try:
        return pool.submit(_attempt, task, item)
    except BrokenProcessPool as error:  # found while sending; told where results are taken
        broken: Future[Attempt[Result]] = Future()
        broken.set_exception(error)
        return broken


def _alone(task: Callable[[Item], Result], item: Item, workers: int) -> Attempt[Result]:
    with _pool(workers, processes=1) as pool:
        try:
            return pool.submit(_attempt, task, item).result()
        except BrokenProcessPool:
            return Failure(
                "its process was ended from outside, as systems do when memory runs out: try fewer --workers",
                expected=True,
            )


def _attempt(task: Callable[[Item], Result], item: Item) -> Attempt[Result]:
    try:
        return Success(task(item))
    except FastsegError as error:
        return Failure(str(error), True, traceback.format_exc())
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        return Failure(f"there is not enough memory for this image{detail}", True, traceback.format_exc())
    except Exception as error:
        text = " ".join(str(error).split())
        return Failure(f"{type(error).__name__}{f': {text}' if text else ''}", False, traceback.format_exc())
