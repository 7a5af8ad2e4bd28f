"""One worker a GPU: what dask-cuda is asked for, checked without a GPU by a stand-in that starts ordinary workers."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import types
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed", reason="workers need dask and distributed")

from fastseg.arrays import Device, Namespace, namespace_for
from fastseg.arrays.device import CudaDevice
from fastseg.errors import DeviceError, UsageError
from fastseg.tiling import cluster
from fastseg.tiling.cluster import gpu_workers

ASKED: list[dict[str, Any]] = []
NOT_DASK = ("CUDA_VISIBLE_DEVICES", "rmm_pool_size", "rmm_allocator_external_lib_list", "device_memory_limit")


def local_cuda_cluster(**keywords: Any) -> Any:
    """A cluster of ordinary workers, as many as GPUs are asked for."""
    from distributed import LocalCluster

    ASKED.append(keywords)
    count = len(keywords["CUDA_VISIBLE_DEVICES"] or [0, 1])
    return LocalCluster(n_workers=count, **{k: v for k, v in keywords.items() if k not in NOT_DASK})


@pytest.fixture(autouse=True)
def _two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("dask_cuda")
    fake.LocalCUDACluster = local_cuda_cluster  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dask_cuda", fake)
    monkeypatch.setattr(cluster, "find_spec", lambda name: object())
    monkeypatch.setattr(cluster, "cuda_devices", lambda: [CudaDevice(i, "T", "9.0", 1, 1) for i in range(2)])
    monkeypatch.setattr(cluster, "usable_cores", lambda: 12)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    ASKED.clear()


def who(_: int) -> tuple[int, str | None]:
    import time

    time.sleep(0.1)
    return os.getpid(), os.environ.get("NUMBA_NUM_THREADS")


def ignores_interrupts(_: int) -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_one_worker_a_gpu_without_spilling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with gpu_workers("all") as executor:
        assert (executor.workers(), executor.tasks()) == (2, 2)
        found = list(executor.map(who, range(6)))
        assert len({pid for pid, _ in found}) == 2
        assert {threads for _, threads in found} == {"6"}  # cores are shared out
        assert all(executor.map(ignores_interrupts, range(3)))
    (asked,) = ASKED
    assert asked["CUDA_VISIBLE_DEVICES"] is None
    assert asked["threads_per_worker"] == 1
    assert asked["device_memory_limit"] == asked["memory_limit"] == 0
    assert not {"rmm_pool_size", "rmm_allocator_external_lib_list"} & set(asked)
    after = {
        name: value for name, value in os.environ.items() if name != "__DASK_PARENT_PID"
    }  # set at import
    assert after == {name: value for name, value in before.items() if name != "__DASK_PARENT_PID"}


def test_a_pool_is_reserved_and_given_to_cupy() -> None:
    with gpu_workers("1", pool=2**30) as executor:
        assert executor.workers() == 1
    (asked,) = ASKED
    assert asked["CUDA_VISIBLE_DEVICES"] == ["1"]
    assert asked["rmm_pool_size"] == 2**30
    assert asked["rmm_allocator_external_lib_list"] == "cupy"


@pytest.mark.parametrize(
    ("gpus", "outside", "expected"),
    [
        ("0", None, ["0"]),
        ("1, 0", None, ["1", "0"]),
        ("0,1", "5,3", ["5", "3"]),  # numbers count what this process sees
        ("1", "GPU-aa,GPU-bb", ["GPU-bb"]),
        ("all", "5,3", None),
    ],
)
def test_numbers_are_those_of_the_gpus_that_this_process_sees(
    gpus: str, outside: str | None, expected: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if outside is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outside)
    assert cluster._chosen(gpus) == expected


@pytest.mark.parametrize("gpus", ["0,x", "0,0", "", "x", "0,", ",", "-1", "1.0", "0;1", "ALL", "²"])
def test_what_is_no_list_of_gpus_is_refused(gpus: str) -> None:
    with pytest.raises(UsageError) as caught, gpu_workers(gpus):
        pass
    assert str(caught.value) == (
        f"GPUs '{gpus}' are not a list of different numbers: give all, or numbers such as 0,1"
    )
    assert ASKED == []


@pytest.mark.parametrize(("count", "there"), [(2, "GPUs 0 to 1"), (1, "GPU 0 only"), (0, "none")])
def test_gpus_that_are_not_there_are_refused(count: int, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        cluster, "cuda_devices", lambda: [CudaDevice(i, "T", "9.0", 1, 1) for i in range(count)]
    )
    with pytest.raises(DeviceError) as caught, gpu_workers("7"):
        pass
    assert str(caught.value) == f"GPU 7 is not available: this machine has {there}"


@pytest.mark.parametrize("pool", [0, -5])
def test_a_pool_has_bytes(pool: int) -> None:
    with pytest.raises(UsageError) as caught, gpu_workers("0", pool):
        pass
    assert str(caught.value) == f"a pool of {pool} bytes is not possible: give more than 0, or none"


def test_what_dask_cuda_raises_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: Any) -> None:
        raise OSError("no driver")

    monkeypatch.setattr(sys.modules["dask_cuda"], "LocalCUDACluster", broken)
    with pytest.raises(DeviceError) as caught, gpu_workers("0"):
        pass
    assert str(caught.value) == "no worker could be started on GPUs '0': no driver"


def test_dask_cuda_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"^--gpus needs dask-cuda: pip install"), gpu_workers("all"):
        pass


@pytest.mark.parametrize("index", [0, 1, 3])
def test_a_worker_computes_on_the_first_device_that_it_sees(index: int) -> None:
    assert Namespace(np, Device("cuda", index)).__reduce__() == (namespace_for, (Device("cuda", 0),))
    assert pickle.loads(pickle.dumps(namespace_for(Device("cpu")))) == namespace_for(Device("cpu"))
