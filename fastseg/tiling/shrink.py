"""Smaller tiles, when those that were planned turn out not to fit into the memory of a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from fastseg.arrays import Device, cuda_devices, free_bytes
from fastseg.errors import GpuMemoryError
from fastseg.tiling.plan import half_tile, make_plan, readable
from fastseg.tiling.program import Node

_SHARE = 0.6
"""Part of the free memory that the next tiles are planned to take."""

_MOST = 5
"""Sizes of tiles that are tried at most, each of at most a quarter of the voxels of the one before."""


def task_bytes(
    nodes: Sequence[Node], shape: Sequence[int], wanted: Sequence[str], tile: Sequence[int]
) -> int:
    """Memory that the largest task is planned to take of a device; what needs the whole volume runs on the host."""
    stages = make_plan(nodes, shape, wanted, tile).stages
    return max((stage.task_bytes for stage in stages if stage.kind != "Whole"), default=0)


def smaller_tile(
    nodes: Sequence[Node], shape: Sequence[int], wanted: Sequence[str], tile: Sequence[int] | None, room: int
) -> tuple[int, ...] | None:
    """The next tile to try after one that did not fit.

    Parameters
    ----------
    nodes, shape, wanted
        As in `fastseg.tiling.plan.make_plan`.
    tile : sequence of int or None
        What did not fit; None for one tile.
    room : int
        Bytes that a task may take beside what it takes with the smallest tile.

    Returns
    -------
    tuple of int or None
        Of at most a quarter of the voxels, and planned to take no more than the room, as far as tiles can be that
        small; None if there is no smaller one.
    """
    before = tuple(int(n) for n in (shape if tile is None else map(min, tile, shape)))
    sizes = [before]
    while (smaller := half_tile(sizes[-1])) is not None:
        sizes.append(smaller)
    least = task_bytes(nodes, shape, wanted, sizes[-1])
    for size in sizes[1:]:
        if 4 * prod(size) <= prod(before) and task_bytes(nodes, shape, wanted, size) - least <= room:
            return size
    return sizes[-1] if len(sizes) > 1 else None


@dataclass
class Descent:
    """What to do each time when the memory of a GPU has run out: smaller tiles, then the CPU if that was left open.

    Attributes
    ----------
    device : Device
    or_cpu : bool
        Whether the CPU may take over.
    notes : list of str
        A line for the user for each time.
    """

    device: Device
    or_cpu: bool
    notes: list[str] = field(default_factory=list)
    _tried: int = 0

    def next(
        self,
        what: str,
        said: str,
        program: tuple[Sequence[Node], Sequence[str]],
        shape: Sequence[int],
        tile: Sequence[int] | None,
        tasks: int = 1,
    ) -> tuple[int, ...] | None:
        """The next tile, or None for the CPU.

        Parameters
        ----------
        what : str
            What did not fit, for the note.
        said : str
            The message of the error.
        program : (nodes, wanted)
            As in `fastseg.tiling.plan.make_plan`.
        shape : (z, y, x)
        tile : sequence of int or None
            What did not fit; None for one tile.
        tasks : int
            Tasks that run on the GPU at one time.

        Raises
        ------
        GpuMemoryError
            If no tile is left and the CPU may not take over.
        """
        nodes, wanted = program
        free = free_bytes(self.device)
        smaller = None
        if self._tried < _MOST:
            smaller = smaller_tile(nodes, shape, wanted, tile, int(_SHARE * free / tasks))
        self._tried += 1
        start = f"{what} does not fit into the memory of {self.device}"
        if tile is not None:
            start += f" in tiles of {_sides(tile)}"
        if smaller is not None:
            self.notes.append(f"{start}; going on with tiles of {_sides(smaller)}")
        elif self.or_cpu:
            self.notes.append(f"{start}; going on on the CPU")
        else:
            needed = task_bytes(nodes, shape, wanted, shape if tile is None else tile)
            total = next(found.total_bytes for found in cuda_devices() if found.index == self.device.index)
            raise GpuMemoryError(
                f"{start}: a task was planned to take {readable(needed)} and {readable(free)} of {readable(total)} are "
                f"free ({said.rstrip('.')}); end other programs that use this GPU, or compute on the "
                "CPU (--device cpu; auto goes on there by itself)"
            )
        return smaller


def _sides(tile: Sequence[int]) -> str:
    return ",".join(str(n) for n in tile)
