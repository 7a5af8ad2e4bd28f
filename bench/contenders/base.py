"""What a contender is: operations by name, and how its arrays get in and out."""

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from bench.memory import peak_of

Operation = Callable[..., Any]


def _stopwatch() -> Callable[[], float]:
    started = perf_counter()
    return lambda: perf_counter() - started


@dataclass
class Contender:
    """An implementation on the CPU.

    Attributes
    ----------
    title : str
        Name in reports.
    operations : dict
        Functions of the input arrays and the parameters of a case.
    packages : tuple of str
        Distributions whose versions are reported.
    """

    title: str
    operations: dict[str, Operation]
    packages: tuple[str, ...] = ()
    known: dict[str, str] = field(default_factory=dict)
    weighed_alone = True
    """Whether what a call adds can only be seen in a process of its own."""

    def versions(self) -> dict[str, str]:
        """Versions by distribution."""
        return self.known | {name: importlib.metadata.version(name) for name in self.packages}

    def place(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """Arrays for one call, which may write into them."""
        return [array.copy() for array in arrays]

    def forget(self) -> None:
        """Called when other arrays follow."""

    def timer(self) -> Callable[[], float]:
        """Start a clock; calling the result gives the seconds since."""
        return _stopwatch()

    def fetch(self, result: Any) -> np.ndarray:
        """The result in the memory of the host."""
        return np.asarray(result)

    def peak(self, call: Callable[[], Any]) -> int:
        """Bytes that a call adds at its highest point."""
        return peak_of(call)

    def bandwidth(self) -> float:
        """Bytes per second of a copy, read and written."""
        from bench.floor import copy_bandwidth

        return copy_bandwidth()
