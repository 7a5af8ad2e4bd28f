"""When the memory of a GPU runs out: telling it from other errors, and letting go of what the failed attempt held."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable
from typing import TypeVar

from fastseg.arrays.device import Device
from fastseg.arrays.namespace import Namespace
from fastseg.errors import GpuMemoryError

Result = TypeVar("Result")

_OF_CUPY = "cupy.cuda.memory.OutOfMemoryError"

_SAID = ("CUDA_ERROR_OUT_OF_MEMORY", "cudaErrorMemoryAllocation", "bad_alloc: out_of_memory")
"""What the errors of Numba, of CUDA's runtime and of RMM say, which have no class of their own."""


def is_out_of_gpu_memory(error: BaseException) -> bool:
    """Whether an error of a library says that the memory of a GPU ran out; that of the host does not count."""
    kinds = (f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__)
    return _OF_CUPY in kinds or any(text in str(error) for text in _SAID)


def give_back_memory(device: Device) -> None:
    """Give the memory that CuPy keeps for later, and that no array takes, back to a GPU; nothing on the CPU.

    Between steps that go well nothing is given back: the next step takes from the pool, which costs next to nothing,
    what the last one has left there.
    """
    if device.kind != "cuda":
        return
    gc.collect()  # frames of an error can hold each other, and arrays
    cupy = importlib.import_module("cupy")
    with cupy.cuda.Device(device.index):
        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()


def within_memory(ns: Namespace, call: Callable[[], Result]) -> Result:
    """The result of a call that computes on a device, which is the current one meanwhile.

    Parameters
    ----------
    ns : Namespace
        Of the device.
    call : callable

    Raises
    ------
    GpuMemoryError
        If the memory of a GPU runs out. What the call held of it is given back by then, unless somebody else holds it.
    """
    if not ns.on_gpu:
        return call()
    try:
        with ns.active():
            return call()
    except GpuMemoryError:
        raise
    except Exception as error:
        if not is_out_of_gpu_memory(error):
            raise
        said = " ".join(str(error).split())
    # Out here the error is gone, and with it the frames that held the arrays of the call.
    give_back_memory(ns.device)
    raise GpuMemoryError(f"the memory of {ns.device} ran out: {said}")
