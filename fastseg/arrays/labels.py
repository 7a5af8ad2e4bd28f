"""Connected components on the CPU as runs along x, and tables looked up by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from fastseg.arrays.device import Device
from fastseg.arrays.namespace import Namespace, namespace_for
from fastseg.types import Array, Box


def _kernel(name: str) -> ModuleType:
    return namespace_for(Device("cpu")).kernel(name)


def _bits(array: np.ndarray) -> np.ndarray:
    """The same memory as unsigned integers: values are moved, not computed with, and every type is compiled once."""
    return array.view(f"u{array.itemsize}")


@dataclass(frozen=True)
class Runs:
    """Components of a mask as runs: stretches of voxels along the last axis.

    For the masks of microscopy this is a small part of what a label image takes, and what is known of components
    (their sizes, the sides they touch) comes from a look at their runs.

    Attributes
    ----------
    shape : tuple of int
        Of the mask, (Z, Y, X) or (Y, X).
    rows : ndarray of int64, shape (Z Y + 1,)
        First run of every row.
    edges : ndarray of int32, shape (2 runs,)
        Where each run begins and ends.
    ids : ndarray of int32 or int64, shape (runs,)
        Component of every run: 1 and on, in scan order of their first voxels.
    sizes : ndarray of int64, shape (count + 1,)
        Voxels outside all components, and in each of them.
    first : ndarray of int64, shape (count,)
        Flat position in the mask of the first voxel of each component.
    """

    shape: tuple[int, ...]
    rows: np.ndarray
    edges: np.ndarray
    ids: np.ndarray
    sizes: np.ndarray
    first: np.ndarray

    @property
    def count(self) -> int:
        return len(self.first)

    def paint(self, values: np.ndarray, box: Box | None = None) -> np.ndarray:
        """The value of its component for every voxel.

        Parameters
        ----------
        values : ndarray, shape (count + 1,)
            For the voxels outside all components, and for each component.
        box : Box, optional
            Of the mask; all of it by default.

        Returns
        -------
        ndarray
            Of the box's shape and the values' dtype.
        """
        box = Box.whole(self.shape) if box is None else box
        out = np.empty(box.shape, values.dtype)
        flat = _bits(out.reshape((-1, *box.shape[-2:])))
        start = (0, *box.start)[-3:]
        values = _bits(np.ascontiguousarray(values))
        _kernel("runs").paint(self.rows, self.edges, self.ids, self.shape[-2], start, values, flat)
        return out

    def labels(self, box: Box | None = None) -> np.ndarray:
        """The number of its component for every voxel, 0 outside; int32 wherever the numbers fit."""
        return self.paint(np.arange(self.count + 1, dtype=self.ids.dtype), box)

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
        found = np.zeros(self.count + 1, np.int8)
        chosen = np.zeros((3, 2), bool)
        chosen[-len(self.shape) :] = sides
        shape = (1, *self.shape)[-3:]
        _kernel("runs").mark_sides(self.rows, self.edges, self.ids, shape, chosen, found)
        return found


def has_runs(ns: Namespace, shape: Sequence[int]) -> bool:
    """Whether `find_runs` has an answer for a mask: on the CPU, for planes and stacks of them."""
    return not ns.on_gpu and len(shape) in (2, 3) and 0 not in shape


def find_runs(mask: np.ndarray, connectivity: int, planar: bool, inside: bool = True) -> Runs:
    """Connected components of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (Z, Y, X) or (Y, X)
    connectivity : int
        From 1 (faces) to the number of axes (corners).
    planar : bool
        Components within each XY plane only.
    inside : bool
        Components of the mask; otherwise of what it leaves out.
    """
    stack = np.ascontiguousarray(mask if mask.dtype == bool else mask != 0)
    stack = stack.reshape((-1, *mask.shape[-2:])).view(np.uint8)
    return Runs(tuple(mask.shape), *_kernel("labelling").find_runs(stack, inside, connectivity, planar))


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
    _kernel("runs").lookup(_bits(np.ascontiguousarray(values)), ids.reshape(-1), _bits(out.reshape(-1)))
    return out
