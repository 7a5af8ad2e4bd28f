"""Thinning that keeps the medial axis of every plane, found by ordered deletion of simple pixels."""

from math import sqrt

import numpy as np

from fastseg.kernels.cpu.distance import FAR, dtype_for, nearest_in_plane, squared_distances
from fastseg.kernels.cpu.rows import copy
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import spread
from fastseg.kernels.voxel.thinning import STAYS

_ALL = np.int64(FAR)
"""Of the type of other caps: a plain number would be compiled for once more."""


@inner
def _background_neighbours(mask, y, x):
    """Number of background pixels in the 3x3 window of a pixel; outside the plane is background."""
    count = 9
    for j in range(max(y - 1, 0), min(y + 2, mask.shape[0])):
        for i in range(max(x - 1, 0), min(x + 2, mask.shape[1])):
            if mask[j, i]:
                count -= 1
    return count


@inner
def _order_of_visit(mask, squared):
    """The foreground pixels by rising (distance, background neighbours, position): flat positions, by counting."""
    height, width = mask.shape
    highest, total = 0, 0
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                highest = max(highest, squared[y, x])
                total += 1
    starts = np.zeros(9 * highest + 10, np.int64)
    keys = np.empty(total, np.int64)
    k = 0
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                keys[k] = 9 * np.int64(squared[y, x]) + _background_neighbours(mask, y, x)
                starts[keys[k] + 1] += 1
                k += 1
    for key in range(1, starts.size):
        starts[key] += starts[key - 1]
    order = np.empty(total, np.int64)
    k = 0
    for y in range(height):
        for x in range(width):
            if mask[y, x]:
                order[starts[keys[k]]] = y * width + x
                starts[keys[k]] += 1
                k += 1
    return order


@inner
def _delete_in_order(axis, order, stays):
    """Visit the foreground pixels once, deleting each that is not needed in the state of that moment.

    Parameters
    ----------
    axis : bool (Y, X)
        The plane; becomes the medial axis.
    order : int64 (n,)
        Flat positions in the order of their visit.
    stays : bool (512,)
        `STAYS`.
    """
    height, width = axis.shape
    for k in range(order.size):
        y, x = order[k] // width, order[k] % width
        pattern = 0
        for j in range(max(y - 1, 0), min(y + 2, height)):
            for i in range(max(x - 1, 0), min(x + 2, width)):
                if axis[j, i]:
                    pattern |= 1 << (3 * (j - y + 1) + i - x + 1)
        if not stays[pattern]:
            axis[y, x] = False


@inner
def _any(mask):
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if mask[y, x]:
                return True
    return False


@inner
def _medial_axis(mask, squared, stays, axis):
    """The medial axis of a plane with foreground; `squared` is room for distances."""
    nearest_in_plane(mask, _ALL, squared)
    if (
        squared[0, 0] == FAR
    ):  # no background: distances to the place before the first pixel, as SciPy takes them
        for y in range(mask.shape[0]):
            for x in range(mask.shape[1]):
                squared[y, x] = (y + 1) ** 2 + x**2
    for y in range(mask.shape[0]):
        copy(mask[y], axis[y])
    _delete_in_order(axis, _order_of_visit(mask, squared), stays)


@compiled
def _axis_of_plane(mask, squared, stays, axis):
    _medial_axis(mask, squared, stays, axis)


@inner
def _further(squared, distance, found):
    """Where the root of a squared distance exceeds a distance."""
    for y in range(found.shape[0]):
        for x in range(found.shape[1]):
            found[y, x] = sqrt(np.float64(squared[y, x])) > distance


@inner
def _outside(axis, out):
    for y in range(axis.shape[0]):
        for x in range(axis.shape[1]):
            out[y, x] = not axis[y, x]


@compiled
def _far_from_axis(begin, end, mask, distance, cap, room, stays, found):
    for z in range(begin, end):
        if _any(mask[z]):
            squared = np.empty(mask[z].shape, room.dtype)
            axis = np.empty(mask[z].shape, np.bool_)
            _medial_axis(mask[z], squared, stays, axis)
            _outside(axis, found[z])
            nearest_in_plane(found[z], cap, squared)
            _further(squared, distance, found[z])


def far_from_axis(mask, distance):
    """Pixels of each plane that lie further than a distance from its medial axis (Blum, 1967).

    Parameters
    ----------
    mask : bool (Z, Y, X)
    distance : float
        In pixels.

    Returns
    -------
    bool (Z, Y, X)
        False in planes without foreground.

    Notes
    -----
    The axis is what is left when pixels are visited by rising (distance to the background, number of background
    neighbours, position) and deleted where the topology allows it. The last key replaces the random numbers of other
    implementations, so the result is always the same.
    """
    found = np.zeros(mask.shape, bool)
    cap = int(min(distance + 1, sqrt(FAR)) ** 2)  # a little more than the square of the distance
    spread(
        _far_from_axis, len(mask), mask, distance, cap, np.empty(0, dtype_for(mask.shape[1:])), STAYS, found
    )
    return found


def medial_axis(mask):
    """Medial axis of a plane: see `far_from_axis`.

    Parameters
    ----------
    mask : bool (Y, X)

    Returns
    -------
    bool (Y, X)
    """
    axis = np.zeros(mask.shape, bool)
    if mask.any():
        _axis_of_plane(mask, np.empty(mask.shape, dtype_for(mask.shape)), STAYS, axis)
    return axis


@compiled
def _peel(begin, end, mask, removable, squared, reach, out):
    for z in range(begin, end):
        for y in range(mask.shape[1]):
            for x in range(mask.shape[2]):
                out[z, y, x] = mask[z, y, x] and (squared[z, y, x] > reach or not removable[z, y, x])


def peeled(mask, removable, thickness):
    """A mask without those voxels of its outer layer that are removable.

    Parameters
    ----------
    mask, removable : bool (Z, Y, X)
    thickness : int
        Of the layer: what an erosion with a ball of this radius removes. Nothing beyond the border is background.

    Returns
    -------
    bool (Z, Y, X)
    """
    squared, out = np.empty(mask.shape, dtype_for(mask.shape)), np.empty(mask.shape, bool)
    squared_distances(mask, thickness**2, squared)
    spread(_peel, len(mask), mask, removable, squared, thickness**2, out)
    return out
