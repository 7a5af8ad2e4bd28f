"""Where a workflow's steps are computed in memory: a GPU as long as they fit, then in tiles, at last the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from fastseg.arrays import Device, to_host, within_memory
from fastseg.arrays.gpu_memory import give_back_memory
from fastseg.errors import GpuMemoryError
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.tiling.program import Node
from fastseg.tiling.shrink import Descent
from fastseg.tiling.storage import HostMemory, Memory
from fastseg.types import Box

Result = TypeVar("Result")


class Venue:
    """An engine, exchanged for one that takes less of a GPU each time when its memory runs out.

    Parameters
    ----------
    engine : Engine
        The first one.
    or_cpu : bool
        Whether the last one may be the CPU's.
    program : callable
        Gives the nodes of what is run, and those that are wanted, to plan tiles by.
    shape : (z, y, x)
        Of the image.

    Attributes
    ----------
    engine : Engine
    notes : list of str
        A line for the user for each exchange.
    """

    def __init__(
        self,
        engine: Engine,
        or_cpu: bool,
        program: Callable[[], tuple[Sequence[Node], Sequence[str]]],
        shape: tuple[int, ...],
    ) -> None:
        self.engine = engine
        self._first = engine
        self._descent = Descent(engine.ns.device, or_cpu)
        self._program = program
        self._shape = shape
        self.notes = self._descent.notes

    def run(self, what: str, compute: Callable[[Engine], Result], held: Iterable[dict[str, Any]]) -> Result:
        """What a function of an engine gives.

        Parameters
        ----------
        what : str
            Its name in notes.
        compute : callable
            Called again with another engine when memory runs out.
        held : iterable of dict
            Volumes, arrays and values; what of them lies on a GPU is moved to the host then.

        Raises
        ------
        GpuMemoryError
            If no engine has enough memory.
        """
        while True:
            try:
                return within_memory(self.engine.ns, partial(compute, self.engine))
            except GpuMemoryError as error:
                said = str(error)
            for items in held:
                for name, item in items.items():
                    items[name] = _on_host(item)
            give_back_memory(self.engine.ns.device)
            self._exchange(what, said)

    def _exchange(self, what: str, said: str) -> None:
        old, first = self.engine, self._first
        tile = self._descent.next(what, said, self._program(), self._shape, old.tile)
        in_memory = isinstance(first.storage, Memory)
        if tile is None:
            storage = Memory() if in_memory else first.storage
            self.engine = Engine(first.tile, first.executor, Device("cpu"), storage, first.room)
        else:
            storage = HostMemory() if in_memory else first.storage
            self.engine = Engine(tile, first.executor, old.ns.device, storage, first.room)


def _on_host(item: Any) -> Any:
    """A volume or an array on the host; a value as it is."""
    if isinstance(item, Volume):
        return ArrayVolume(to_host(item.read(Box.whole(item.shape))))
    return to_host(item) if hasattr(item, "shape") else item
