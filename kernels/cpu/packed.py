"""Peaks and floods of one object given as the list of its voxels, for objects whose box is too large to hold.

Every function gives exactly what its twin in `peaks` or `split` gives in a box: voxels are visited in scan order,
and the voxels of the list are in scan order too.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels.cpu.peaks import RADIUS
from fastseg.kernels.jit import compiled, inner

__all__ = ["flood_packed", "peaks_packed"]


@inner
def _place(positions: np.ndarray, position: int) -> int:
    """Index of the first voxel at or after a position."""
    low, high = 0, positions.shape[0]
    while low < high:
        middle = (low + high) // 2
        if positions[middle] < position:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def _index_of(positions: np.ndarray, position: int) -> int:
    """Index of the voxel at a position, -1 if the object has none there."""
    place = _place(positions, position)
    return place if place < positions.shape[0] and positions[place] == position else -1


@inner
def _is_voxel(positions: np.ndarray, shape: tuple[int, int, int], z: int, y: int, x: int) -> bool:
    """Whether a voxel of the volume belongs to the object; none does outside the volume."""
    if z < 0 or y < 0 or x < 0 or z >= shape[0] or y >= shape[1] or x >= shape[2]:
        return False
    return _index_of(positions, (z * shape[1] + y) * shape[2] + x) >= 0


@inner
def _neighbours(positions: np.ndarray, index: int, shape: tuple[int, int, int], found: np.ndarray) -> int:
    """Write the indices of the face neighbours, in the order -z, -y, -x, +x, +y, +z; return their number."""
    _, height, width = shape
    plane = height * width
    position = positions[index]
    y = position // width % height
    x = position % width
    count = 0
    for axis in range(6):
        if axis == 0:
            neighbour = _index_of(
                positions, position - plane
            )  # beyond the first and last plane nothing is found
        elif axis == 1:
            neighbour = _index_of(positions, position - width) if y > 0 else -1
        elif axis == 2:
            neighbour = index - 1 if x > 0 and positions[index - 1] == position - 1 else -1
        elif axis == 3:
            beside = index + 1 < positions.shape[0] and positions[index + 1] == position + 1
            neighbour = index + 1 if x < width - 1 and beside else -1
        elif axis == 4:
            neighbour = _index_of(positions, position + width) if y < height - 1 else -1
        else:
            neighbour = _index_of(positions, position + plane)
        if neighbour >= 0:
            found[count] = neighbour
            count += 1
    return count


@inner
def _basins_meet(near: np.ndarray, count: int, labels: np.ndarray, closed: np.ndarray) -> bool:
    """Tell whether two different labels occur among the labelled neighbours that are not closed."""
    met = labels.dtype.type(0)
    for k in range(count):
        there = labels[near[k]]
        if there > 0 and not closed[near[k]]:
            if met > 0 and there != met:
                return True
            met = there
    return False


@compiled
def flood_packed(
    squared: np.ndarray, seeds: np.ndarray, positions: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray:
    """Cut an object between its seeds, as `split.cut_objects` does in a box.

    Parameters
    ----------
    squared : ndarray of int64, shape (n,)
        Squared distances to the background.
    seeds : ndarray of int32 or int64, shape (n,)
        Labels to start from, above 0.
    positions : ndarray of int64, shape (n,)
        Flat positions of the voxels in the volume, increasing.
    shape : (z, y, x)
        Of the volume.

    Returns
    -------
    labels : ndarray of the type of `seeds`, shape (n,)
        Labels of the basins; 0 on lines and where no seed reaches.
    """
    labels = seeds.copy()  # minus the label while a voxel waits in a list
    closed = np.zeros(labels.size, dtype=np.bool_)
    voxels = np.bincount(squared)
    tail = np.cumsum(voxels) - voxels
    head = tail.copy()
    queue = np.empty(labels.size, dtype=np.int64)
    near = np.empty(6, dtype=np.int64)
    level = 0
    for index in range(labels.size):
        here = squared[index]
        if labels[index] > 0:
            level = max(level, here)
            queue[tail[here]] = index
            tail[here] += 1
    while level > 0:
        if head[level] == tail[level]:
            level -= 1
            continue
        index = queue[head[level]]
        head[level] += 1
        count = _neighbours(positions, index, shape, near)
        if _basins_meet(near, count, labels, closed):
            labels[index] = max(labels[index], 0)
            closed[index] = True
            continue
        labels[index] = abs(labels[index])
        for k in range(count):
            neighbour = near[k]
            if labels[neighbour] == 0 and not closed[neighbour]:
                labels[neighbour] = -labels[index]
                here = squared[neighbour]
                level = max(level, here)
                queue[tail[here]] = neighbour
                tail[here] += 1
    return labels


@inner
def _is_window_maximum(
    values: np.ndarray, positions: np.ndarray, shape: tuple[int, int, int], index: int
) -> bool:
    """Tell whether no voxel of the object within the window is higher."""
    depth, height, width = shape
    position = positions[index]
    z = position // (height * width)
    y = position // width % height
    x = position % width
    for k in range(max(z - RADIUS, 0), min(z + RADIUS + 1, depth)):
        for j in range(max(y - RADIUS, 0), min(y + RADIUS + 1, height)):
            row = (k * height + j) * width
            last = row + min(x + RADIUS, width - 1)
            near = _place(positions, row + max(x - RADIUS, 0))
            while near < positions.shape[0] and positions[near] <= last:
                if values[near] > values[index]:
                    return False
                near += 1
    return True


@inner
def _survives_erosion(positions: np.ndarray, shape: tuple[int, int, int], z: int, y: int, x: int) -> bool:
    return (
        _is_voxel(positions, shape, z, y, x)
        and _is_voxel(positions, shape, z - 1, y, x)
        and _is_voxel(positions, shape, z + 1, y, x)
        and _is_voxel(positions, shape, z, y - 1, x)
        and _is_voxel(positions, shape, z, y + 1, x)
        and _is_voxel(positions, shape, z, y, x - 1)
        and _is_voxel(positions, shape, z, y, x + 1)
    )


@inner
def _survives_opening(positions: np.ndarray, shape: tuple[int, int, int], z: int, y: int, x: int) -> bool:
    return (
        _survives_erosion(positions, shape, z, y, x)
        or _survives_erosion(positions, shape, z - 1, y, x)
        or _survives_erosion(positions, shape, z + 1, y, x)
        or _survives_erosion(positions, shape, z, y - 1, x)
        or _survives_erosion(positions, shape, z, y + 1, x)
        or _survives_erosion(positions, shape, z, y, x - 1)
        or _survives_erosion(positions, shape, z, y, x + 1)
    )


@inner
def _first_of_its_kind(
    kept: np.ndarray, positions: np.ndarray, shape: tuple[int, int, int], index: int
) -> bool:
    """Tell whether no voxel before this one, at Chebyshev distance 1, is kept."""
    _, height, width = shape
    position = positions[index]
    z = position // (height * width)
    y = position // width % height
    x = position % width
    for k in range(max(z - 1, 0), z + 1):
        for j in range(max(y - 1, 0), min(y + 2, height)):
            row = (k * height + j) * width
            last = min(row + min(x + 1, width - 1), position - 1)
            near = _place(positions, row + max(x - 1, 0))
            while near < positions.shape[0] and positions[near] <= last:
                if kept[near]:
                    return False
                near += 1
    return True


@compiled
def peaks_packed(
    values: np.ndarray, positions: np.ndarray, shape: tuple[int, int, int], floor: float
) -> np.ndarray:
    """Find the intensity peaks of an object, as `peaks.peaks_of_objects` does in a box.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n,)
    positions : ndarray of int64, shape (n,)
        Flat positions of the voxels in the volume, increasing.
    shape : (z, y, x)
        Of the volume.
    floor : float
        A peak exceeds it strictly.

    Returns
    -------
    peaks : ndarray of bool, shape (n,)
    """
    count = values.shape[0]
    _, height, width = shape
    found = np.zeros(count, dtype=np.bool_)
    flat = True
    for index in range(count):
        if not (flat or values[index] > floor):
            continue
        if _is_window_maximum(values, positions, shape, index):
            found[index] = values[index] > floor
        else:
            flat = False
    if flat:
        for index in range(count):
            position = positions[index]
            z, y, x = position // (height * width), position // width % height, position % width
            if found[index] and _survives_opening(positions, shape, z, y, x):
                found[index] = False
    for index in range(count):
        if found[index]:
            found[index] = _first_of_its_kind(found, positions, shape, index)
    return found
