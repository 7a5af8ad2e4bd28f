"""Objects as lists of their voxels, for those whose bounding box is too large to be held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import isqrt

import numpy as np

from fastseg.arrays import Device, namespace_for, to_host
from fastseg.errors import UsageError
from fastseg.tiling.components import Components
from fastseg.tiling.volume import Volume
from fastseg.types import Box

_WINDOW = 64
"""Side of the windows in which distances are taken, in voxels; cut where a window exceeds the budget."""

_FIRST_HALO = 8


@dataclass(frozen=True)
class PackedObject:
    """The voxels of one object, in scan order.

    Attributes
    ----------
    positions : ndarray of int64, shape (n,)
        Flat positions in the volume, increasing.
    arrays : tuple of ndarray, shape (n,)
        Values of the operator's inputs there.
    shape : (z, y, x)
        Of the volume.
    box : Box
        One that holds the object, with the rule's margin.
    """

    positions: np.ndarray
    arrays: tuple[np.ndarray, ...]
    shape: tuple[int, ...]
    box: Box

    def _between(self, box: Box) -> tuple[int, tuple[np.ndarray, ...], np.ndarray]:
        """First voxel of the planes of a box, the indices of the voxels in these planes, and which are in the box."""
        plane = self.shape[1] * self.shape[2]
        first, last = np.searchsorted(self.positions, [box.start[0] * plane, box.stop[0] * plane])
        index = np.unravel_index(self.positions[first:last], self.shape)
        inside = np.ones(last - first, bool)
        for axis in (1, 2):
            inside &= (index[axis] >= box.start[axis]) & (index[axis] < box.stop[axis])
        return int(first), index, inside

    def within(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Which voxels lie in a box (their indices), and their flat positions in it."""
        first, index, inside = self._between(box)
        moved = tuple(i[inside] - a for i, a in zip(index, box.start, strict=True))
        return np.flatnonzero(inside) + first, np.ravel_multi_index(moved, box.shape)

    def mask(self, box: Box) -> np.ndarray:
        """The object in a box, bool."""
        found = np.zeros(box.size, bool)
        found[self.within(box)[1]] = True
        return found.reshape(box.shape)

    def squared_distances(self, limit: int) -> np.ndarray:
        """Squared distance of every voxel to the nearest one outside the object.

        Taken window by window with a halo; the distance found in a window bounds the true one, so a halo of that
        width makes it exact.

        Parameters
        ----------
        limit : int
            Voxels of the largest window.

        Returns
        -------
        ndarray of int64, shape (n,)

        Raises
        ------
        UsageError
            If the object is so thick that no window within the limit reaches out of it.
        """
        found = np.zeros(len(self.positions), np.int64)
        ranges = [range(a, b, _WINDOW) for a, b in self.box]
        for corner in product(*ranges):
            core = Box(corner, tuple(min(c + _WINDOW, b) for c, b in zip(corner, self.box.stop, strict=True)))
            self._distances_in(core, _FIRST_HALO, limit, found)
        return found

    def _distances_in(self, core: Box, halo: int, limit: int, found: np.ndarray) -> None:
        chosen, places = self.within(core)
        if not len(places):
            return
        wide = core.grow((halo,) * 3, self.shape)
        if wide.size > limit:
            halves = _halves(core)
            if not halves:
                raise UsageError(
                    f"an object is at least {halo // 2} voxels thick at voxel {core.start}, and the memory budget "
                    f"leaves room for {limit:,} voxels at a time: give a larger --memory or fewer workers"
                )
            for half in halves:
                self._distances_in(half, halo, limit, found)
            return
        inside = self.mask(wide)
        if inside.all():
            self._distances_in(core, 2 * halo, limit, found)
            return
        kernel = namespace_for(Device("cpu")).kernel("distance")
        squared = np.empty(wide.shape, kernel.dtype_for(wide.shape))
        kernel.squared_distances(inside, kernel.FAR, squared)
        values = squared[core.within(wide)].reshape(-1)[places]
        needed = isqrt(int(values.max()) - 1) + 1
        if needed > halo:
            self._distances_in(core, needed, limit, found)
        else:
            found[chosen] = values


def _halves(box: Box) -> tuple[Box, ...]:
    """A box cut across its longest axis; nothing where it is a single voxel."""
    axis = max(range(len(box.shape)), key=lambda a: box.shape[a])
    if box.shape[axis] < 2:
        return ()
    middle = (box.start[axis] + box.stop[axis]) // 2
    stop = tuple(middle if a == axis else n for a, n in enumerate(box.stop))
    start = tuple(middle if a == axis else n for a, n in enumerate(box.start))
    return Box(box.start, stop), Box(start, box.stop)


def gather_object(components: Components, number: int, box: Box, volumes: Sequence[Volume]) -> PackedObject:
    """The voxels of an object, collected tile by tile.

    Parameters
    ----------
    components : Components
    number : int
        Final number of the object.
    box : Box
        One that holds it.
    volumes : sequence of Volume
        Whose values are collected.
    """
    shape = components.grid.shape
    wanted = np.array([number], np.int64)
    positions: list[np.ndarray] = []
    values: list[list[np.ndarray]] = [[] for _ in volumes]
    for _, core in components.grid.overlapping(box):
        shared = core.intersect(box)
        index = np.nonzero(components.which(shared, wanted))
        if not len(index[0]):
            continue
        moved = tuple(i + a for i, a in zip(index, shared.start, strict=True))
        positions.append(np.ravel_multi_index(moved, shape))
        for held, volume in zip(values, volumes, strict=True):
            held.append(to_host(volume.read(shared))[index])
    order = np.argsort(flat := np.concatenate(positions))
    arrays = tuple(np.concatenate(held)[order] for held in values)
    return PackedObject(flat[order], arrays, shape, box)
