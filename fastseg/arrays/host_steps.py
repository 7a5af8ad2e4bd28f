"""Steps that a computation on a GPU takes on the host: declared where they are taken, and told to whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from fastseg.arrays.namespace import Namespace


@dataclass(frozen=True, slots=True)
class HostStep:
    """What was computed on the host, and why."""

    name: str
    reason: str


_asked: ContextVar[tuple[list[HostStep], ...]] = ContextVar("asked", default=())


@contextmanager
def host_steps() -> Iterator[list[HostStep]]:
    """Context that lists the steps that this thread takes on the host in it, in their order; empty on the CPU."""
    found: list[HostStep] = []
    token = _asked.set((*_asked.get(), found))
    try:
        yield found
    finally:
        _asked.reset(token)


def declare_host_step(ns: Namespace, name: str, reason: str) -> None:
    """Say that a step of a computation on a device is about to be taken on the host; nothing happens on the CPU.

    Parameters
    ----------
    ns : Namespace
        Where the arrays are.
    name, reason : str
        What is computed, and why not on the device.
    """
    if ns.on_gpu:
        for found in _asked.get():
            found.append(HostStep(name, reason))
