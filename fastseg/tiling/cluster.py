"""Executors on Dask: worker processes of this machine, an existing cluster, or one worker a GPU.

Dask only places work. Tasks are "read my box, compute, write my box"; there is no task graph: tasks are submitted in
waves of a few per worker, so the scheduler's memory does not grow with the volume.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib.util import find_spec
from pickle import dumps, loads
from typing import Any
from warnings import catch_warnings, simplefilter

from fastseg.errors import DeviceError, FastsegError, UsageError
from fastseg.version import __version__

_WAVE = 3
"""Tasks per worker in flight: one running, one waiting, one being sent."""

_LOSSES = 3
"""Workers that a task may lose before it is given up; an error that a task raises itself is final."""

_SET_BY_DASK = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MALLOC_TRIM_THRESHOLD_",
    "PYTHONHASHSEED",
)

_PAGE = "127.0.0.1:0"
"""Where Dask shows its status page: on a port that no other cluster of this machine has taken."""

_PATIENCE = "10s"
"""How long to wait for a scheduler to answer."""


class ClusterExecutor:
    """Runs tasks on the workers of a `distributed.Client`.

    Parameters
    ----------
    client : distributed.Client

    Notes
    -----
    A task whose worker is lost runs again on another one. What the tasks of a pass share is the result of a task too,
    not scattered data, so that the scheduler can make it again when the worker that holds it is lost. All volumes
    that a task reads or writes must live on disks that every worker reaches.
    """

    def __init__(self, client: Any) -> None:
        self.client = client

    def workers(self) -> int:
        """Number of workers at the moment."""
        return len(self.client.scheduler_info(n_workers=-1)["workers"])

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        """Results in the order of the items.

        Raises
        ------
        FastsegError
            If a task loses its worker again and again, or the scheduler is gone. What a task raises reaches the
            caller as it is.
        """
        waiting = iter(items)
        shared = self._submit(_unpacked, dumps(task))
        flying: deque[Any] = deque()
        try:
            for item in waiting:  # alone: it makes the store that the others write to
                yield _result(self._submit(_call, shared, dumps(item)))
                break
            room = _WAVE * max(1, self.workers())
            for item in waiting:
                flying.append(self._submit(_call, shared, dumps(item)))
                if len(flying) >= room:
                    yield _result(flying.popleft())
            while flying:
                yield _result(flying.popleft())
        except Exception:
            for future in flying:  # nothing is written any more once the caller sees the error
                with suppress(Exception):
                    future.exception()
            raise
        finally:
            if self.client.status == "running":
                self.client.cancel([shared, *flying])

    def _submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # of large arguments, which crossing objects are at times
            return self.client.submit(function, *arguments, pure=False)


def _unpacked(packed: bytes) -> Any:
    return loads(packed)


def _call(task: Callable[[Any], Any], packed: bytes) -> Any:
    return task(loads(packed))


def _result(future: Any) -> Any:
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker:
        raise FastsegError(
            f"a task was given up after {_LOSSES + 1} workers were lost while they ran it; workers that run out of "
            "memory are killed, so give smaller tiles or fewer workers"
        ) from None
    except CancelledError:
        raise FastsegError("the connection to the Dask scheduler was lost during the run") from None


def _version() -> str:
    return __version__


def _need_distributed() -> None:
    if find_spec("distributed") is None:
        raise UsageError("workers need Dask, which is not installed: pip install dask distributed")


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Take back what Dask sets in this process for the processes that it starts, such as ``OMP_NUM_THREADS``."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in _SET_BY_DASK:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started here ignore Ctrl-C, which a terminal sends to all of them; this one stops and ends them."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def local_workers(count: int, cores: int) -> Iterator[ClusterExecutor]:
    """Worker processes on this machine, each with its share of the cores.

    Parameters
    ----------
    count : int
        Number of processes.
    cores : int
        Cores to share out; each worker's compiled loops get ``cores // count`` threads, at least one.

    Raises
    ------
    UsageError
        If Dask is missing or the count is below 1.
    """
    _need_distributed()
    if count < 1:
        raise UsageError(f"{count} workers were asked for: at least 1 is needed")
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.comm.timeouts.connect": "60s",
        "distributed.scheduler.allowed-failures": _LOSSES,
    }
    with _environment_kept(), dask.config.set(settings):
        with _interrupts_ignored():
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=_PAGE,
                silence_logs=50,
                env={"NUMBA_NUM_THREADS": max(1, cores // count)},
            )
        with cluster, Client(cluster, set_as_default=False) as client:
            yield ClusterExecutor(client)


@contextmanager
def existing_cluster(address: str) -> Iterator[ClusterExecutor]:
    """The workers of a running Dask scheduler.

    Raises
    ------
    UsageError
        If the scheduler does not answer, has no workers, or workers run another version of fastseg.
    """
    _need_distributed()
    from distributed import Client

    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(f"scheduler {address} cannot be reached: {error}") from None
    with client:
        check_workers(client, address)
        yield ClusterExecutor(client)


def check_workers(client: Any, address: str) -> None:
    """Refuse a cluster without workers, or with workers of another version.

    Raises
    ------
    UsageError
    """
    try:
        versions: dict[str, Any] = client.run(_version, on_error="return")
    except ValueError:
        versions = {}
    if not versions:
        raise UsageError(f"scheduler {address} has no workers: start some first")
    for worker, version in versions.items():
        if version != __version__:
            given = f"runs fastseg {version}" if isinstance(version, str) else "has no fastseg"
            raise UsageError(f"worker {worker} {given}, this is {__version__}: install the same version")


@contextmanager
def gpu_workers(gpus: str) -> Iterator[ClusterExecutor]:
    """One worker a GPU of this machine.

    Parameters
    ----------
    gpus : str
        ``all`` or numbers such as ``0,1``.

    Raises
    ------
    DeviceError
        If dask-cuda is missing or cannot start.
    """
    if find_spec("dask_cuda") is None:
        raise DeviceError(
            "--gpus needs dask-cuda: pip install 'fastseg-bio[gpu-cu12]' or 'fastseg-bio[gpu-cu13]'"
        )
    from dask_cuda import LocalCUDACluster
    from distributed import Client

    visible = None if gpus == "all" else gpus
    try:
        cluster: AbstractContextManager[Any] = LocalCUDACluster(
            CUDA_VISIBLE_DEVICES=visible, dashboard_address=_PAGE
        )
    except FastsegError:
        raise
    except Exception as error:  # drivers and libraries raise many types
        raise DeviceError(f"no worker could be started on GPUs '{gpus}': {error}") from None
    with _environment_kept(), cluster as started, Client(started, set_as_default=False) as client:
        yield ClusterExecutor(client)
