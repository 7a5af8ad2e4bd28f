"""The executor on a Dask client: short lists of tasks, sent in waves of a few per worker."""

from __future__ import annotations

import io
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any
from warnings import catch_warnings, simplefilter

from fastseg.errors import FastsegError, UsageError
from fastseg.tiling.cluster_checks import check_paths
from fastseg.tiling.executors import IN_MEMORY
from fastseg.tiling.shelf import MemoryShelf
from fastseg.tiling.volume import PendingVolume

WAVE = 3
"""Messages per thread of a worker in flight: one running, one waiting, one being sent."""

LOSSES = 3
"""Workers that a message may lose before it is given up; an error that a task raises itself is final."""

_MOST = 256
"""Tasks of a message at most."""

_WORTH = 0.1
"""Seconds of work that a message should hold: sending it and taking its results costs a few milliseconds."""

_LOOK = 2.0
"""Seconds between looks at whether there still are workers, while a result is waited for."""

_ALONE = 60.0
"""Seconds without any worker after which a cluster is given up; one that starts others anew does so sooner."""

_LONG = 1.0
"""Seconds after which a worker sends back what it has; the rest of its message is dealt out anew."""


class NoWorkersError(FastsegError):
    """No worker is left, so nothing that was sent will come back."""


class ClusterExecutor:
    """Runs tasks on the workers of a `distributed.Client`.

    Parameters
    ----------
    client : distributed.Client
    most : int
        Tasks that are sent in one message at most. Tasks that take a tenth of a second go one by one.

    Notes
    -----
    Tasks whose worker is lost run again on another one. What the tasks of a pass share is the result of a task too,
    not scattered data, so that the scheduler can make it again when the worker that holds it is lost. All volumes
    that a task reads or writes must live on disks that every worker reaches.
    """

    remote = True

    def __init__(self, client: Any, most: int = _MOST) -> None:
        self.client = client
        self.most = most

    def _threads(self) -> list[int]:
        return [w.get("nthreads", 1) for w in self.client.scheduler_info(n_workers=-1)["workers"].values()]

    def workers(self) -> int:
        """Number of worker processes at the moment."""
        return len(self._threads())

    def tasks(self) -> int:
        """Number of tasks that the workers run at one time at the moment: their threads, all together."""
        return sum(self._threads())

    def check_paths(self, scratch: str | Path, inputs: Iterable[str | Path] = ()) -> None:
        """Refuse a cluster whose workers do not share the scratch folder, or do not see an input.

        Parameters
        ----------
        scratch : path
            A folder that exists; files of a few bytes are written to it and removed.
        inputs : iterable of path
            Files or folders that exist here.

        Raises
        ------
        UsageError
            It names the worker's host and the path.
        """
        check_paths(self.client, Path(scratch), [Path(path) for path in inputs])

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the items.

        Raises
        ------
        UsageError
            If the task writes to a volume in the memory of this process.
        FastsegError
            If a task loses its worker again and again, or the scheduler is gone. What a task raises reaches the
            caller as it is.
        """
        waiting = iter(items)
        shared = self._submit(_unpacked, _packed(task))
        wave = _Wave(
            lambda items: self._submit(_call, shared, pickle.dumps(items), _LONG),
            self.most,
            _Watch(self.client),
        )
        try:
            room = WAVE * max(1, self.tasks())
            while wave.fill(waiting, room):
                yield from wave.take()
        except NoWorkersError:
            raise
        except Exception:
            for future in wave.flying():  # nothing is written any more once the caller sees the error
                with suppress(Exception):
                    future.exception()
            raise
        finally:
            if self.client.status == "running":
                self.client.cancel([shared, *wave.flying()])

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # of large arguments, which crossing objects are at times
            return self.client.submit(function, *arguments, pure=False)


class _Part:
    """Some items in a row, and what became of them: not sent (None), or a future of their results."""

    def __init__(self, items: list[Any], future: Any = None) -> None:
        self.items = items
        self.future = future


class _Wave:
    """Parts in the order of their items, some of them in flight.

    Parameters
    ----------
    submit : callable
        Sends a list of items; its future gives the seconds that the work took and the results, which may be fewer
        than the items.
    most : int
        Items of a part at most.
    look : callable
        Called now and then while a result is waited for; raises when none will come.
    """

    def __init__(
        self, submit: Callable[[list[Any]], Any], most: int, look: Callable[[], None] = lambda: None
    ) -> None:
        self._submit = submit
        self._most = most
        self._look = look
        self._size = 1
        self._parts: deque[_Part] = deque()

    def flying(self) -> list[Any]:
        """Futures whose results have not been taken."""
        return [part.future for part in self._parts if part.future is not None]

    def send(self, items: list[Any]) -> None:
        """Send items after all others."""
        self._parts.append(_Part(items, self._submit(items)))

    def fill(self, waiting: Iterator[Any], room: int) -> bool:
        """Keep `room` messages in flight; False when nothing is left.

        Messages that came back wait for their turn. New items are drawn only while fewer than `room` messages wait or
        fly, so results do not pile up; remainders, whose turn comes first, may go out beside messages that only wait.
        """
        rest = [part for part in self._parts if part.future is None]
        if rest:
            running = sum(not future.done() for future in self.flying())
            for part in rest[: max(0, min(room - running, 2 * room - len(self.flying())))]:
                part.future = self._submit(part.items)
        while len(self._parts) < room:
            items = list(islice(waiting, self._size))
            if not items:
                break
            self.send(items)
        return bool(self._parts)

    def take(self) -> list[Any]:
        """Results of the first part, or of as many of its items as were done; the rest becomes parts of its own."""
        part = self._parts[0]
        if part.future is None:
            part.future = self._submit(part.items)
        seconds, results = _result(part.future, self._look)
        self._parts.popleft()
        self._learn(seconds, len(results))
        rest = part.items[len(results) :]
        pieces = [_Part(rest[i : i + self._size]) for i in range(0, len(rest), self._size)]
        self._parts.extendleft(reversed(pieces))
        return results

    def _learn(self, seconds: float, count: int) -> None:
        wanted = int(_WORTH * count / max(seconds, 1e-9))
        self._size = max(1, min(wanted, 2 * self._size, self._most))


class _Packer(pickle.Pickler):
    """Refuses what a worker could write to without anybody seeing it."""

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, PendingVolume | MemoryShelf):
            raise UsageError(IN_MEMORY)
        return NotImplemented


def _packed(task: Callable[[Any], Any]) -> bytes:
    file = io.BytesIO()
    _Packer(file).dump(task)
    return file.getvalue()


def _unpacked(packed: bytes) -> Any:
    return pickle.loads(packed)


def _call(task: Callable[[Any], Any], packed: bytes, long: float) -> tuple[float, list[Any]]:
    """Seconds of work, and results of the items that were done before it became `long`; at least one."""
    started = perf_counter()
    results = []
    for item in pickle.loads(packed):
        results.append(task(item))
        if perf_counter() - started > long:
            break
    return perf_counter() - started, results


class _Watch:
    """Notices that no worker is left: Dask would wait for one for ever.

    A worker that is killed just when it has started takes its nanny along, which would have started another one.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._since: float | None = None

    def __call__(self) -> None:
        if self._client.scheduler_info(n_workers=-1)["workers"]:
            self._since = None
            return
        now = perf_counter()
        self._since = self._since or now
        cluster = self._client.cluster
        if now - self._since > _ALONE or (cluster is not None and not cluster.workers):
            raise NoWorkersError(
                "all workers were lost, and none took their place; workers that run out of memory are killed, so give "
                "smaller tiles or fewer workers"
            )


def _result(future: Any, look: Callable[[], None]) -> Any:
    from distributed import KilledWorker

    try:
        while True:
            try:
                return future.result(timeout=_LOOK)
            except TimeoutError:
                if future.done():  # meanwhile, or with a TimeoutError of the task's own
                    return future.result()
                look()
    except KilledWorker:
        raise FastsegError(
            f"a task was given up after {LOSSES + 1} workers were lost while they ran it; workers that run out of "
            "memory are killed, so give smaller tiles or fewer workers"
        ) from None
    except CancelledError:
        raise FastsegError("the connection to the Dask scheduler was lost during the run") from None
