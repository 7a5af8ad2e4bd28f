"""Errors that say that the memory of a GPU ran out, and what is held of it afterwards."""

from __future__ import annotations

import gc
import pickle

import pytest

from fastseg.arrays import Device, namespace_for, within_memory
from fastseg.arrays.gpu_memory import is_out_of_gpu_memory
from fastseg.errors import GpuMemoryError, InputError
from tests.gpu_double import gpu_double
from tests.gpu_double.memory import OutOfMemoryError

SAID = (
    "[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY",
    "cudaErrorMemoryAllocation: out of memory",
    "std::bad_alloc: out_of_memory: RMM failure at: pool_memory_resource.hpp:257: Maximum pool size exceeded",
)


@pytest.mark.parametrize("error", [OutOfMemoryError(8, 80), *map(RuntimeError, SAID), MemoryError(SAID[2])])
def test_a_gpu_has_too_little_memory(error: Exception) -> None:
    assert is_out_of_gpu_memory(error)
    with gpu_double():
        ns = namespace_for(Device("cuda"))
        with pytest.raises(GpuMemoryError) as caught:
            within_memory(ns, lambda: _raise(error))
    assert str(caught.value) == f"the memory of cuda:0 ran out: {error}"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 8.00 GiB"), InputError("out of range"), RuntimeError("out of time")],
)
def test_other_errors_are_left_as_they_are(error: Exception) -> None:
    assert not is_out_of_gpu_memory(error)
    with gpu_double() as gpu, pytest.raises(type(error)) as caught:
        within_memory(namespace_for(Device("cuda")), lambda: _raise(error))
    assert caught.value is error
    assert gpu.trims == 0


def test_what_a_failed_call_held_is_given_back() -> None:
    with gpu_double(1000) as gpu:
        ns = namespace_for(Device("cuda"))
        kept = ns.xp.zeros(100, "u1")

        def too_much() -> None:
            first = ns.xp.zeros(600, "u1")
            ns.xp.concatenate([first, first])

        with pytest.raises(GpuMemoryError, match="ran out: Out of memory allocating 1,200 bytes") as caught:
            within_memory(ns, too_much)
        assert caught.value.__context__ is None  # it would hold the frames, and these the arrays
        assert (gpu.used, gpu.pooled, gpu.peak) == (100, 100, 700)
        assert len(kept) == 100


def test_arrays_in_a_cycle_are_given_back_too() -> None:
    """As those that frames of an error hold which hold each other."""
    with gpu_double(1000) as gpu:
        ns = namespace_for(Device("cuda"))

        def too_much() -> None:
            held: list[object] = [ns.xp.zeros(600, "u1")]
            held.append(held)
            raise OutOfMemoryError(600, 1200)

        gc.disable()
        try:
            with pytest.raises(GpuMemoryError):
                within_memory(ns, too_much)
        finally:
            gc.enable()
        assert (gpu.used, gpu.pooled) == (0, 0)


def test_an_error_that_is_known_already_passes_as_it_is() -> None:
    with gpu_double() as gpu:
        ns = namespace_for(Device("cuda"))
        with pytest.raises(GpuMemoryError) as caught:
            within_memory(ns, lambda: within_memory(ns, lambda: _raise(RuntimeError(SAID[2]))))
        assert str(caught.value) == f"the memory of cuda:0 ran out: {SAID[2]}"
        assert gpu.trims == 1


def test_an_error_of_the_host_passes_on_the_cpu() -> None:
    with pytest.raises(RuntimeError, match="CUDA_ERROR"):
        within_memory(namespace_for(Device("cpu")), lambda: _raise(RuntimeError(SAID[0])))


def _raise(error: Exception) -> None:
    raise error
