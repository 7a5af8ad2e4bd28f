"""The memory of the stand-in: what was copied, what is held, and how much there is."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Literal

_ROOT = str(Path(__file__).resolve().parents[2] / "fastseg")
_LAUNCHERS = str(Path(__file__).resolve().parents[2] / "kernels" / "cuda")
DEVICE = SimpleNamespace(id=0)
_CARRIERS = f"{_ROOT}/arrays/", f"{_ROOT}/tiling/volume.py"


class OutOfMemoryError(MemoryError):
    """As CuPy's, which can be pickled."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        self._arguments = size, total, limit
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes).")

    def __reduce__(self) -> tuple[type, tuple[int, int, int]]:
        return type(self), self._arguments


OutOfMemoryError.__module__ = "cupy.cuda.memory"


@dataclass(frozen=True)
class Transfer:
    """A copy between host and device.

    Attributes
    ----------
    way : {"up", "down"}
        To the device, or to the host.
    shape : tuple of int
    dtype : str
    bytes : int
    function : str
        Who asked for it, as ``module:function``: the innermost of fastseg but for `fastseg.arrays` and volumes.
    declares : bool
        Whether that function declares steps on the host (`fastseg.arrays.host_steps`).
    launcher : str
        The launcher of a kernel that asked for it, if it was one.
    """

    way: Literal["up", "down"]
    shape: tuple[int, ...]
    dtype: str
    bytes: int
    function: str
    declares: bool
    launcher: str = ""


@dataclass
class Gpu:
    """The one device that there is.

    Attributes
    ----------
    capacity : int or None
        Bytes that arrays may take together; no limit by default.
    transfers : list of Transfer
    used, peak, pooled : int
        Bytes of all arrays now and at most, and what the pool has taken from the device.
    allocations, trims : int
        How many arrays were made, and how often the pool gave back what is not in use.
    waits : list of int
        How many transfers there had been whenever the stream was waited for.
    strays : list of str
        Functions of fastseg that made arrays while the device was not the current one: with several devices, they
        would lie on another.
    """

    capacity: int | None = None
    transfers: list[Transfer] = field(default_factory=list)
    used: int = 0
    peak: int = 0
    pooled: int = 0
    allocations: int = 0
    trims: int = 0
    waits: list[int] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    current: threading.local = field(default_factory=threading.local)

    @contextmanager
    def device(self, index: int = 0) -> Iterator[SimpleNamespace]:
        """Context in which the device is the current one of this thread."""
        depth = getattr(self.current, "depth", 0)
        self.current.depth = depth + 1
        try:
            yield DEVICE
        finally:
            self.current.depth = depth

    def record(self, way: Literal["up", "down"], shape: tuple[int, ...], dtype: object, size: int) -> None:
        who = _asking(sys._getframe(1))
        self.transfers.append(Transfer(way, tuple(shape), str(dtype), int(size), *who))

    def wait(self) -> None:
        """Wait for the stream."""
        self.waits.append(len(self.transfers))

    def take(self, size: int) -> None:
        who = _asking(sys._getframe(1))[0]
        if who and not getattr(self.current, "depth", 0):
            self.strays.append(who)
        with self.lock:  # threads share the device
            if self.capacity is not None and self.used + size > self.capacity:
                raise OutOfMemoryError(size, self.used)
            self.used += size
            self.allocations += 1
            self.peak = max(self.peak, self.used)
            self.pooled = max(self.pooled, self.used)

    def give(self, size: int) -> None:
        with self.lock:
            self.used -= size

    def trim(self) -> None:
        with self.lock:
            self.trims += 1
            self.pooled = self.used

    def bulk(self, least: int) -> list[Transfer]:
        """Transfers of at least some bytes."""
        return [t for t in self.transfers if t.bytes >= least]


class Held:
    """Memory of an array and its views, given back with the last of them."""

    __slots__ = ("gpu", "size")

    def __init__(self, gpu: Gpu, size: int) -> None:
        self.size = 0
        self.gpu = gpu
        gpu.take(size)
        self.size = size

    def __del__(self) -> None:
        self.gpu.give(self.size)


def _asking(frame: FrameType | None) -> tuple[str, bool, str]:
    """Who asked: the innermost function of fastseg that does not move what others hand it."""
    launcher = ""
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        if file.startswith(_LAUNCHERS) and not launcher:
            launcher = f"{Path(file).stem}:{code.co_name}"
        if file.startswith(_ROOT) and not file.startswith(_CARRIERS) and code.co_name[0] != "<":
            return f"{Path(file).stem}:{code.co_name}", "declare_host_step" in code.co_names, launcher
        frame = frame.f_back
    return "", False, launcher
