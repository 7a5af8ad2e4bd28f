"""PyTorch on use: what to install where it is missing, and which of its devices are there."""

from __future__ import annotations

import importlib
from typing import Any

from fastseg.arrays import Device
from fastseg.errors import DeviceError, UsageError

INSTALL = "pip install 'fastseg-bio[dl]'"


def import_torch() -> Any:
    """The module ``torch``.

    Raises
    ------
    UsageError
        If it is missing or broken; the message says what to install.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "torch":
            raise UsageError(f"trained models need PyTorch, which is not installed: {INSTALL}") from None
        raise UsageError(f"PyTorch is installed but cannot be imported ({error}): {INSTALL}") from error


def torch_device(name: str | Device = "auto") -> Device:
    """The device a name stands for, as far as PyTorch can use it.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "cuda:N"} or Device
        ``auto`` takes the first CUDA device if PyTorch has one and the CPU otherwise.

    Raises
    ------
    DeviceError
        For another name, and for a CUDA device that PyTorch does not offer: the device never changes silently.
    """
    name = str(name)
    kind, _, index = name.partition(":")
    if name not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise DeviceError(f"device '{name}' is unknown: use auto, cpu, cuda or cuda:N")
    if name == "cpu":
        return Device("cpu")
    torch = import_torch()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return Device("cuda") if count else Device("cpu")
    number = int(index or 0)
    if not count:
        built = torch.version.cuda
        reason = "it finds no CUDA device" if built else "this is its CPU build"
        raise DeviceError(
            f"device '{name}' is not available to PyTorch {torch.__version__} ({reason}); use --device cpu or auto"
        )
    if number >= count:
        known = ", ".join(f"cuda:{i}" for i in range(count))
        raise DeviceError(f"device '{name}' is not available: PyTorch finds {known}")
    return Device("cuda", number)
