"""A stand-in for PyTorch's CUDA device: streams and pinned memory behave as there, arithmetic is the CPU's.

A copy that does not block is done no sooner than somebody waits for its stream or for an event recorded after it. Until
then its target holds NaN, or False: whoever reads too early gets what no test expects.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch

CPU = torch.device("cpu")


class Stream:
    """Work in the order in which it was asked for; computations are done at once, copies when they are waited for."""

    def __init__(self, device: Any = None) -> None:
        self.waiting: list[Callable[[], Any]] = []
        self.lock = threading.RLock()

    def add(self, work: Callable[[], Any]) -> None:
        with self.lock:
            self.waiting.append(work)

    def finish(self, count: int | None = None) -> None:
        """Do the first `count` copies that wait, all of them by default."""
        with self.lock, torch.inference_mode():
            done = len(self.waiting) if count is None else count
            for work in self.waiting[:done]:
                work()
            self.waiting[:done] = [_nothing] * done if count is not None else []

    def wait_stream(self, other: Stream) -> None:
        other.finish()

    def wait_event(self, event: Event) -> None:
        event.stream.finish(event.count)

    def record_event(self) -> Event:
        event = Event()
        event.record(self)
        return event


def _nothing() -> None:
    """A copy that is done; it keeps its place, which events count by."""


class Event:
    """What was asked of a stream so far."""

    def record(self, stream: Stream) -> None:
        self.stream, self.count = stream, len(stream.waiting)

    def synchronize(self) -> None:
        self.stream.finish(self.count)


@dataclass
class TorchGpu:
    """The device.

    Attributes
    ----------
    late : bool
        Whether copies that do not block are late.
    log : list of str
        "up" and "down" for copies that do not block, "wait" for events, "trim" for memory given back, in their order.
    pageable : int
        Copies that do not block of memory that is not pinned: they would.
    """

    late: bool = True
    log: list[str] = field(default_factory=list)
    pageable: int = 0
    pinned: set[int] = field(default_factory=set)
    default: Stream = field(default_factory=Stream)
    own: threading.local = field(default_factory=threading.local)

    def current(self, device: Any = None) -> Stream:
        return getattr(self.own, "stream", self.default)

    @contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        before = self.current()
        self.own.stream = stream
        try:
            yield
        finally:
            self.own.stream = before

    def copy_later(self, target: torch.Tensor, source: torch.Tensor, way: str, host: torch.Tensor) -> None:
        self.log.append(way)
        self.pageable += host.data_ptr() not in self.pinned
        if not self.late:
            _copy(target, source)
            return
        target.fill_(float("nan") if target.is_floating_point() else 0)
        self.current().add(lambda: _copy(target, source))

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        self.pinned.add(tensor.data_ptr())
        return tensor


_copy = torch.Tensor.copy_
_to = torch.Tensor.to
_empty = torch.empty


def _is_cuda(item: Any) -> bool:
    return isinstance(item, str | torch.device) and str(item).startswith("cuda")


@contextmanager
def torch_double(late: bool = True) -> Iterator[TorchGpu]:
    """Context in which PyTorch seems to have a GPU.

    Parameters
    ----------
    late : bool
        Leave copies that do not block undone until they are waited for. Not for code that computes with what is copied
        on the same stream, without waiting: nothing here keeps that order.
    """
    gpu = TorchGpu(late)

    def to(tensor: torch.Tensor, *arguments: Any, non_blocking: bool = False, **options: Any) -> torch.Tensor:
        there = any(map(_is_cuda, (*arguments, *options.values())))
        arguments = tuple(CPU if _is_cuda(item) else item for item in arguments)
        options = {name: CPU if _is_cuda(item) else item for name, item in options.items()}
        found = _to(tensor, *arguments, **options)
        if not (there and non_blocking):
            return found
        target = torch.empty_like(found)
        gpu.copy_later(target, found, "up", tensor)
        return target

    def copy(target: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        if not non_blocking:
            return _copy(target, source)
        gpu.copy_later(target, source, "down", target)
        return target

    def empty(*shape: Any, pin_memory: bool = False, **options: Any) -> torch.Tensor:
        found = _empty(*shape, **options)
        return gpu.pin(found) if pin_memory else found

    class LoggedEvent(Event):
        def synchronize(self) -> None:
            gpu.log.append("wait")
            super().synchronize()

    cuda: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "mem_get_info": lambda device=None: (8 << 30, 8 << 30),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
        "empty_cache": lambda: gpu.log.append("trim"),
        "device": lambda device: nullcontext(),
        "current_device": lambda: 0,
        "get_device_capability": lambda device=None: (9, 0),
        "get_rng_state_all": list,
        "Stream": Stream,
        "Event": LoggedEvent,
        "stream": gpu.on,
        "current_stream": gpu.current,
    }
    tensor: dict[str, Any] = {
        "to": to,
        "copy_": copy,
        "pin_memory": lambda tensor: gpu.pin(tensor.clone()),
        "record_stream": lambda tensor, stream: None,
    }
    with ExitStack() as patched:
        for owner, names in ((torch.cuda, cuda), (torch.Tensor, tensor), (torch, {"empty": empty})):
            for name, instead in names.items():
                patched.enter_context(patch.object(owner, name, instead))
        yield gpu
