"""Executors on Dask: worker processes of this machine, an existing cluster, or one worker a GPU.

Dask only places work. Tasks are "read my box, compute, write my box"; there is no task graph: tasks are submitted in
waves of a few per worker, so the scheduler's memory does not grow with the volume.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from fastseg.arrays import cuda_devices, usable_cores
from fastseg.errors import DeviceError, UsageError
from fastseg.tiling.cluster_checks import check_workers
from fastseg.tiling.waves import LOSSES, ClusterExecutor

__all__ = ["ClusterExecutor", "existing_cluster", "gpu_workers", "local_workers"]

_SET_BY_DASK = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MALLOC_TRIM_THRESHOLD_",
    "PYTHONHASHSEED",
    "RAPIDS_NO_INITIALIZE",
)

_PAGE = "127.0.0.1:0"
"""Where Dask shows its status page: on a port that no other cluster of this machine has taken."""

_PATIENCE = 8
"""Seconds to wait for a scheduler to answer."""


def _need_distributed() -> None:
    if find_spec("distributed") is None:
        raise UsageError("workers need Dask, which is not installed: pip install dask distributed")


def _settings(cores: int) -> dict[str, Any]:
    """Dask's settings while workers of this machine are started and run, each with its number of cores."""
    return {
        # The plan bounds memory; workers that spill, pause or end others' work would only be in its way.
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": False,
        "distributed.comm.timeouts.connect": "60s",
        "distributed.scheduler.allowed-failures": LOSSES,
        "distributed.nanny.environ": {"NUMBA_NUM_THREADS": max(1, cores)},
    }


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

    share = max(1, cores // count)
    with _environment_kept(), dask.config.set(_settings(share)):
        with _interrupts_ignored():
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                dashboard_address=_PAGE,
                silence_logs=50,
                env={"NUMBA_NUM_THREADS": share},
            )
        with cluster, Client(cluster, set_as_default=False) as client:
            yield ClusterExecutor(client)


async def _ask(address: str) -> None:
    """Ask a scheduler who it is; a client, when the other side takes the call and is silent, waits for ever."""
    from distributed.core import rpc
    from distributed.security import Security

    async def ask() -> None:
        arguments = Security().get_connection_args("client")
        async with rpc(address, connection_args=arguments, timeout=_PATIENCE) as scheduler:
            await scheduler.identity()

    await asyncio.wait_for(ask(), _PATIENCE)


@contextmanager
def existing_cluster(address: str) -> Iterator[ClusterExecutor]:
    """The workers of a running Dask scheduler.

    Raises
    ------
    UsageError
        If the scheduler does not answer, has no workers, or workers run other versions.
    """
    _need_distributed()
    from distributed import Client

    try:
        with ThreadPoolExecutor(1) as thread:  # this one may run an event loop, as in a notebook
            thread.submit(asyncio.run, _ask(address)).result()
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except TimeoutError:
        raise UsageError(
            f"scheduler {address} cannot be reached: nothing came back within {_PATIENCE} s"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"scheduler {address} cannot be reached: {error}") from None
    with client:
        check_workers(client, address)
        yield ClusterExecutor(client)


def _chosen(gpus: str) -> list[str] | None:
    """Entries for ``CUDA_VISIBLE_DEVICES``; None for all GPUs that this process sees."""
    if gpus == "all":
        return None
    parts = [part.strip() for part in gpus.split(",")]
    numbers = [int(part) for part in parts if part.isascii() and part.isdecimal()]
    if len(numbers) < len(parts) or len(set(numbers)) < len(numbers):
        raise UsageError(
            f"GPUs '{gpus}' are not a list of different numbers: give all, or numbers such as 0,1"
        )
    known = len(cuda_devices())
    for number in numbers:
        if number >= known:
            there = f"GPUs 0 to {known - 1}" if known > 1 else "GPU 0 only" if known else "none"
            raise DeviceError(f"GPU {number} is not available: this machine has {there}")
    # Numbers count the GPUs that this process sees, while workers are told the names that the driver knows.
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return [visible[n] if n < len(visible) else str(n) for n in numbers]


@contextmanager
def gpu_workers(gpus: str, pool: int | None = None) -> Iterator[ClusterExecutor]:
    """One worker a GPU of this machine, which sees that GPU as its first device.

    Parameters
    ----------
    gpus : str
        ``all`` or numbers such as ``0,1``.
    pool : int, optional
        Bytes of GPU memory that each worker takes at its start and hands out itself, with RMM. Without it, CuPy's own
        pool grows as needed, which is as fast once the first tiles have been computed; a pool helps where other
        libraries of the worker allocate with RMM too, or where memory is to be reserved before the run.

    Raises
    ------
    UsageError
        If the list of GPUs or the pool is not one.
    DeviceError
        If dask-cuda is missing or cannot start, or a GPU does not exist.

    Notes
    -----
    With a pool, dask-cuda's set-up of a worker makes ``rmm.allocators.cupy.rmm_cupy_allocator`` the allocator of CuPy;
    that is part of starting a worker, so one that replaces a lost worker has it too. Nothing is moved from the GPU to
    the host, or to disk, to make room: tasks keep no results on the GPU, and the plan says what they need.
    """
    if find_spec("dask_cuda") is None:
        raise DeviceError(
            "--gpus needs dask-cuda: pip install 'fastseg-bio[gpu-cu12]' or 'fastseg-bio[gpu-cu13]'"
        )
    visible = _chosen(gpus)
    if pool is not None and pool < 1:
        raise UsageError(f"a pool of {pool} bytes is not possible: give more than 0, or none")
    import dask
    from dask_cuda import LocalCUDACluster
    from distributed import Client

    reserved = {"rmm_pool_size": pool, "rmm_allocator_external_lib_list": "cupy"} if pool is not None else {}
    count = len(cuda_devices()) if visible is None else len(visible)
    with _environment_kept(), dask.config.set(_settings(usable_cores() // max(1, count))):
        try:
            with _interrupts_ignored():
                cluster = LocalCUDACluster(
                    CUDA_VISIBLE_DEVICES=visible,
                    threads_per_worker=1,
                    memory_limit=0,
                    device_memory_limit=0,
                    dashboard_address=_PAGE,
                    silence_logs=50,
                    **reserved,
                )
        except Exception as error:  # drivers and libraries raise many types
            raise DeviceError(f"no worker could be started on GPUs '{gpus}': {error}") from None
        with cluster, Client(cluster, set_as_default=False) as client:
            yield ClusterExecutor(client)
