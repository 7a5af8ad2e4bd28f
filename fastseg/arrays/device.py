"""Devices by name: what was asked for, what this machine has, and an error when the two differ."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import lru_cache

from fastseg.errors import DeviceError


@dataclass(frozen=True, slots=True)
class Device:
    """Where arrays live: ``Device("cpu")`` or ``Device("cuda", index)``."""

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """One CUDA device as CuPy reports it; memory in bytes."""

    index: int
    name: str
    compute_capability: str
    total_bytes: int
    free_bytes: int


@lru_cache(maxsize=1)
def _cuda_state() -> tuple[int, str]:
    """Number of usable CUDA devices and, where there is none, the reason."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        return 0, "CuPy is not installed"
    except Exception as error:  # a broken CUDA installation raises many types at import
        return 0, f"CuPy cannot be imported ({type(error).__name__}: {error})"
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # CUDARuntimeError is only importable with CuPy
        return 0, f"CuPy {cupy.__version__} finds no CUDA device ({error})"
    return count, "" if count else f"CuPy {cupy.__version__} finds no CUDA device"


def cuda_devices() -> list[CudaDevice]:
    """The CUDA devices of this machine; empty without CuPy or without a device."""
    count, _ = _cuda_state()
    if not count:
        return []
    cupy = importlib.import_module("cupy")
    found = []
    for index in range(count):
        properties = cupy.cuda.runtime.getDeviceProperties(index)
        with cupy.cuda.Device(index):
            free, total = cupy.cuda.runtime.memGetInfo()
        name = properties["name"]
        found.append(
            CudaDevice(
                index=index,
                name=name.decode() if isinstance(name, bytes) else str(name),
                compute_capability=f"{properties['major']}.{properties['minor']}",
                total_bytes=int(total),
                free_bytes=int(free),
            )
        )
    return found


def why_no_cuda() -> str:
    """The reason why no CUDA device can be used; empty when one can."""
    return _cuda_state()[1]


def parse_device(name: str | Device = "auto") -> Device:
    """The device a name stands for.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "cuda:N"} or Device
        ``auto`` takes the first CUDA device if there is one and the CPU otherwise.

    Raises
    ------
    DeviceError
        For another name, and for a CUDA device that this machine does not have: the device never changes silently.
    """
    if isinstance(name, Device):
        name = str(name)
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", name)
    if match is None:
        raise DeviceError(f"device '{name}' is unknown: use auto, cpu, cuda or cuda:N")
    if name == "cpu":
        return Device("cpu")
    count, reason = _cuda_state()
    if name == "auto":
        return Device("cuda") if count else Device("cpu")
    index = int(match.group(1) or 0)
    if not count:
        raise DeviceError(f"device '{name}' is not available: {reason}; use --device cpu or auto")
    if index >= count:
        known = ", ".join(f"cuda:{i}" for i in range(count))
        raise DeviceError(f"device '{name}' is not available: this machine has {known}")
    return Device("cuda", index)


def free_bytes(device: Device) -> int:
    """Free memory on a device in bytes (for the CPU: what the system can hand out without swapping)."""
    if device.kind == "cuda":
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(device.index):
            pool = cupy.get_default_memory_pool()
            return int(cupy.cuda.runtime.memGetInfo()[0]) + int(pool.free_bytes())
    psutil = importlib.import_module("psutil")
    return int(psutil.virtual_memory().available)
