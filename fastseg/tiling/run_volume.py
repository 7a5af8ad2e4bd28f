"""Labels of tiles kept as runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.arrays import Namespace
from fastseg.arrays.labels import Runs
from fastseg.tiling.grid import Grid
from fastseg.tiling.volume import PendingVolume
from fastseg.types import Array, Box


class RunVolume(PendingVolume):
    """Labels of every tile on its own, in memory on the device, as the runs that they were found in.

    Nothing is held voxel by voxel: reading paints the box that is asked for.

    Parameters
    ----------
    grid : Grid
        The tiles.
    ns : Namespace
        Of the runs.
    """

    def __init__(self, grid: Grid, ns: Namespace) -> None:
        super().__init__(grid.shape, ns.xp)
        self._grid = grid
        self._runs: dict[Box, Runs] = {}

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(*(np.dtype(runs.ids.dtype) for runs in self._runs.values()))

    def keep(self, core: Box, runs: Runs) -> None:
        """Take the runs of a tile."""
        self._runs[core] = runs

    def runs(self, core: Box) -> Runs:
        """The runs of a tile."""
        return self._runs[core]

    def read(self, box: Box) -> Array:
        if box in self._runs:
            return self._runs[box].labels()
        found = self._xp.empty(box.shape, self.dtype)
        for _, core in self._grid.overlapping(box):
            shared = core.intersect(box)
            part = Box(*zip(*((s.start, s.stop) for s in shared.within(core)), strict=True))
            found[shared.within(box)] = self._runs[core].labels(part)
        return found

    def write(self, box: Box, block: Array) -> None:
        raise TypeError("a volume of runs takes the runs of whole tiles")
