"""One namespace for numpy and CuPy, so that array code is written once."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from fastseg.arrays.cores import limit_kernels_once
from fastseg.arrays.device import Device
from fastseg.errors import InputError
from fastseg.types import Array


@dataclass(frozen=True, slots=True)
class Namespace:
    """The libraries that work on one kind of array.

    Attributes
    ----------
    xp : module
        ``numpy`` or ``cupy``.
    device : Device
        Where the arrays live.
    """

    xp: Any
    device: Device

    @property
    def on_gpu(self) -> bool:
        return self.device.kind == "cuda"

    @property
    def ndi(self) -> ModuleType:
        """``scipy.ndimage`` or ``cupyx.scipy.ndimage``; many workflows do without, which starts them sooner."""
        return importlib.import_module("cupyx.scipy.ndimage" if self.on_gpu else "scipy.ndimage")

    def __reduce__(self) -> tuple[Any, ...]:
        # Modules cannot be pickled: a worker looks them up again. It computes on the first device that it sees, which
        # has another number here: a cluster gives each worker a device of its own by CUDA_VISIBLE_DEVICES.
        return namespace_for, (Device(self.device.kind),)

    def active(self) -> AbstractContextManager[Any]:
        """Context in which this device is the current one: allocations and launches go there."""
        return self.xp.cuda.Device(self.device.index) if self.on_gpu else nullcontext()

    def put(self, array: Array) -> Array:
        """`array` on this device; no copy if it already is there."""
        return to_device(array, self.device)

    def kernel(self, name: str) -> ModuleType:
        """The module of compiled loops `name`, for this device: the same functions, arguments and results."""
        folder = "cuda" if self.on_gpu else "cpu"
        if not self.on_gpu:
            limit_kernels_once()
        return importlib.import_module(f"fastseg.kernels.{folder}.{name}")


def namespace_for(device: Device) -> Namespace:
    """The namespace of a device (import of CuPy happens here, on first use)."""
    if device.kind == "cuda":
        return Namespace(importlib.import_module("cupy"), device)
    return Namespace(np, device)


def is_on_gpu(array: Any) -> bool:
    """Whether an array lives on a GPU."""
    return type(array).__module__.partition(".")[0] == "cupy"


def namespace_of(*arrays: Array) -> Namespace:
    """The namespace shared by `arrays`.

    Raises
    ------
    InputError
        If they live on different devices: fastseg never moves data behind the caller's back.
    """
    devices = {Device("cuda", int(a.device.id)) if is_on_gpu(a) else Device("cpu") for a in arrays}
    if len(devices) > 1:
        names = ", ".join(sorted(map(str, devices)))
        raise InputError(
            f"the input arrays live on different devices ({names}): move them to one device first"
        )
    return namespace_for(devices.pop() if devices else Device("cpu"))


def to_host(array: Array) -> np.ndarray:
    """`array` as a numpy array; no copy if it already is one."""
    return array.get() if is_on_gpu(array) else np.asarray(array)


def to_device(array: Array, device: Device) -> Array:
    """`array` on `device`; no copy if it already is there."""
    if device.kind == "cpu":
        return to_host(array)
    cupy = importlib.import_module("cupy")
    with cupy.cuda.Device(device.index):
        return cupy.asarray(array)
