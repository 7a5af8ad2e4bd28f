"""Connected components as runs along x, and tables looked up by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fastseg.arrays.device import Device
from fastseg.arrays.namespace import Namespace, namespace_for, namespace_of, to_host
from fastseg.types import Array, Box


def _cpu() -> Namespace:
    return namespace_for(Device("cpu"))


def _bits(array: Array) -> Array:
    """The same memory as unsigned integers: values are moved, not computed with, and every type is compiled once."""
    return array.view(f"u{array.itemsize}")


@dataclass(frozen=True)
class Runs:
    """Components of a mask as runs: stretches of voxels along the last axis.

    For the masks of microscopy this is a small part of what a label image takes, and what is known of components
    (their sizes, the sides they touch) comes from a look at their runs. The runs lie on the device of the mask; what is
    known of each component is small, and lies on the host, where decisions are taken.

    Attributes
    ----------
    shape : tuple of int
        Of the mask, (Z, Y, X) or (Y, X).
    rows : array of int64, shape (Z Y + 1,)
        First run of every row.
    edges : array of int32, shape (2 runs,)
        Where each run begins and ends.
    ids : array of int32 or int64, shape (runs,)
        Component of every run: 1 and on, in scan order of their first voxels.
    sizes : ndarray of int64, shape (count + 1,)
        Voxels outside all components, and in each of them.
    first : ndarray of int64, shape (count,)
        Flat position in the mask of the first voxel of each component.
    ns : Namespace
        Of the mask.
    """

    shape: tuple[int, ...]
    rows: Array
    edges: Array
    ids: Array
    sizes: np.ndarray
    first: np.ndarray
    ns: Namespace = field(default_factory=_cpu)

    @property
    def count(self) -> int:
        return len(self.first)

    def paint(self, values: np.ndarray, box: Box | None = None) -> Array:
        """The value of its component for every voxel.

        Parameters
        ----------
        values : ndarray, shape (count + 1,)
            For the voxels outside all components, and for each component; on the host.
        box : Box, optional
            Of the mask; all of it by default.

        Returns
        -------
        array
            Of the box's shape and the values' dtype, on the device of the mask.
        """
        box = Box.whole(self.shape) if box is None else box
        out = self.ns.xp.empty(box.shape, values.dtype)
        flat = _bits(out.reshape((-1, *box.shape[-2:])))
        start = (0, *box.start)[-3:]
        given = self.ns.xp.asarray(_bits(np.ascontiguousarray(values)))
        self.ns.kernel("runs").paint(self.rows, self.edges, self.ids, self.shape[-2], start, given, flat)
        return out

    def labels(self, box: Box | None = None) -> Array:
        """The number of its component for every voxel, 0 outside; int32 wherever the numbers fit."""
        return self.paint(np.arange(self.count + 1, dtype=np.dtype(self.ids.dtype)), box)

    def touching(self, sides: Sequence[tuple[bool, bool]]) -> np.ndarray:
        """1 for every component that has a voxel at one of some sides of the mask.

        Parameters
        ----------
        sides : sequence of (bool, bool)
            For each axis, whether its first and its last position count.

        Returns
        -------
        ndarray of int8, shape (count + 1,)
            Entry 0 is 0.
        """
        found = self.ns.xp.zeros(self.count + 1, np.int8)
        chosen = np.zeros((3, 2), bool)
        chosen[-len(self.shape) :] = sides
        shape = (1, *self.shape)[-3:]
        self.ns.kernel("runs").mark_sides(self.rows, self.edges, self.ids, shape, chosen, found)
        return to_host(found)

    def boxes(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bounding boxes of some components.

        Parameters
        ----------
        chosen : ndarray of int8, shape (count + 1,)
            Not 0 for the components that are meant.

        Returns
        -------
        starts, stops : ndarray of int64, shape (chosen components, axes of the mask)
        """
        xp = self.ns.xp
        starts = xp.full((self.count + 1, 3), np.iinfo(np.int64).max, np.int64)
        stops = xp.zeros((self.count + 1, 3), np.int64)
        runs = (self.rows, self.edges, self.ids)
        self.ns.kernel("runs").bound(*runs, self.shape[-2], xp.asarray(chosen), starts, stops)
        numbers = np.flatnonzero(chosen)
        start, stop = to_host(starts)[numbers], to_host(stops)[numbers]
        return start[:, -len(self.shape) :], stop[:, -len(self.shape) :]


def find_runs(
    mask: Array, connectivity: int, planar: bool, inside: bool = True, ns: Namespace | None = None
) -> Runs:
    """Connected components of a mask.

    Parameters
    ----------
    mask : array of bool, shape (Z, Y, X) or (Y, X), not empty
    connectivity : int
        From 1 (faces) to the number of axes (corners).
    planar : bool
        Components within each XY plane only.
    inside : bool
        Components of the mask; otherwise of what it leaves out.
    ns : Namespace, optional
        Of the mask, found by its type if not given.
    """
    ns = namespace_of(mask) if ns is None else ns
    stack = ns.xp.ascontiguousarray(mask if mask.dtype == bool else mask != 0)
    stack = stack.reshape((-1, *mask.shape[-2:])).view(np.uint8)
    rows, edges, ids, sizes, first = ns.kernel("labelling").find_runs(stack, inside, connectivity, planar)
    return Runs(tuple(mask.shape), rows, edges, ids, to_host(sizes), to_host(first), ns)


def lookup(ns: Namespace, values: np.ndarray, ids: Array) -> Array:
    """``values[ids]`` on the device of `ids`.

    Parameters
    ----------
    values : ndarray, shape (n,)
        On the host.
    ids : array of int
        From 0 to n - 1.
    """
    if ns.on_gpu or not ids.flags.c_contiguous or ids.size == 0:
        return ns.xp.asarray(values)[ids]
    out = np.empty(ids.shape, values.dtype)
    ns.kernel("runs").lookup(_bits(np.ascontiguousarray(values)), ids.reshape(-1), _bits(out.reshape(-1)))
    return out
