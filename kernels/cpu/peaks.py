"""Intensity peaks of objects, at a minimum distance of two voxels."""

from __future__ import annotations

import numpy as np

from fastseg.kernels.cpu.rows import copy
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import spread
from fastseg.kernels.voxel.peaks import RADIUS, face_cross_fits, higher_beside, higher_in_window

__all__ = ["RADIUS", "dilate_by_faces", "keep_in_order", "object_candidates", "peaks_of_objects"]


@inner
def _is_window_maximum(values: np.ndarray, inside: np.ndarray, z: int, y: int, x: int) -> bool:
    """Tell whether no object voxel of the window around an object voxel is higher.

    Clipping the window to the box is the same as repeating the border voxels: those lie in the window
    already.
    """
    depth, height, width = values.shape
    value = values[z, y, x]
    for k in range(max(z - RADIUS, 0), min(z + RADIUS + 1, depth)):
        for j in range(max(y - RADIUS, 0), min(y + RADIUS + 1, height)):
            for i in range(max(x - RADIUS, 0), min(x + RADIUS + 1, width)):
                if inside[k, j, i] and values[k, j, i] > value:
                    return False
    return True


@inner
def _survives_erosion(inside: np.ndarray, z: int, y: int, x: int) -> bool:
    """Tell whether a voxel and its six face neighbours are all inside; outside the box is background."""
    depth, height, width = inside.shape
    return (
        0 < z < depth - 1
        and 0 < y < height - 1
        and 0 < x < width - 1
        and inside[z, y, x]
        and inside[z - 1, y, x]
        and inside[z + 1, y, x]
        and inside[z, y - 1, x]
        and inside[z, y + 1, x]
        and inside[z, y, x - 1]
        and inside[z, y, x + 1]
    )


@inner
def _survives_opening(inside: np.ndarray, z: int, y: int, x: int) -> bool:
    """Tell whether a voxel survives the binary opening with the face cross; outside the box is background."""
    return (
        _survives_erosion(inside, z, y, x)
        or _survives_erosion(inside, z - 1, y, x)
        or _survives_erosion(inside, z + 1, y, x)
        or _survives_erosion(inside, z, y - 1, x)
        or _survives_erosion(inside, z, y + 1, x)
        or _survives_erosion(inside, z, y, x - 1)
        or _survives_erosion(inside, z, y, x + 1)
    )


@compiled
def _keep_first(candidates: np.ndarray) -> None:
    """Drop, in place and in scan order, each candidate with a kept one at Chebyshev distance 1."""
    depth, height, width = candidates.shape
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                if not candidates[z, y, x]:
                    continue
                # What precedes the voxel in scan order is decided; what follows it is not looked at.
                first = True
                for k in range(max(z - 1, 0), z + 1):
                    for j in range(max(y - 1, 0), min(y + 2, height)):
                        for i in range(max(x - 1, 0), min(x + 2, width)):
                            if (k, j, i) >= (z, y, x):
                                break
                            first = first and not candidates[k, j, i]
                candidates[z, y, x] = first


@compiled
def object_candidates(values: np.ndarray, inside: np.ndarray, floor: float) -> np.ndarray:
    """The candidates of one object in its box, of which some may touch.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (Z, Y, X)
        Intensities in the box.
    inside : ndarray of bool, shape (Z, Y, X)
        Voxels of the object.
    floor : float
        A candidate exceeds it strictly; see `peaks_of_objects` for what else makes one.

    Returns
    -------
    candidates : ndarray of bool, shape (Z, Y, X)

    Raises
    ------
    ValueError
        If the two shapes differ.
    """
    if values.shape != inside.shape:
        raise ValueError("values and inside must have the same shape")
    depth, height, width = values.shape
    peaks = np.zeros(values.shape, dtype=np.bool_)
    flat = True
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                # Voxels at the floor cannot be peaks, but they do tell whether the object is flat.
                if not inside[z, y, x] or not (flat or values[z, y, x] > floor):
                    continue
                if _is_window_maximum(values, inside, z, y, x):
                    peaks[z, y, x] = values[z, y, x] > floor
                else:
                    flat = False
    if flat:
        for z in range(depth):
            for y in range(height):
                for x in range(width):
                    if peaks[z, y, x] and _survives_opening(inside, z, y, x):
                        peaks[z, y, x] = False
    return peaks


@compiled
def keep_in_order(positions: np.ndarray) -> np.ndarray:
    """Which of the candidates survive when they are taken in the order given.

    Parameters
    ----------
    positions : ndarray of int64, shape (n, 3)
        Candidates, first come first kept.

    Returns
    -------
    kept : ndarray of bool, shape (n,)
        False for a candidate at Chebyshev distance 1 from one that was kept before.
    """
    kept = np.zeros(positions.shape[0], dtype=np.bool_)
    for i in range(positions.shape[0]):
        free = True
        for j in range(i):
            if kept[j]:
                distance = 0
                for axis in range(3):
                    distance = max(distance, abs(positions[i, axis] - positions[j, axis]))
                free = free and distance > 1
        kept[i] = free
    return kept


@inner
def _candidates_in_plane(
    values: np.ndarray,
    labels: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    z: int,
    floor: float,
    uneven: np.ndarray,
    found: np.ndarray,
) -> None:
    """Mark window maxima above the floor, and objects that have a voxel which is none.

    Other threads mark the same objects: all of them write the same value, and who reads it too early only looks at a
    voxel for nothing.
    """
    for y in range(start[1], stop[1]):
        for x in range(start[2], stop[2]):
            number = labels[z, y, x]
            # Voxels at the floor cannot be peaks, but they do tell whether the object is flat.
            if number == 0 or (uneven[number] and not values[z, y, x] > floor):
                continue
            if higher_beside(values, labels, start, stop, z, y, x) or higher_in_window(
                values, labels, start, stop, z, y, x
            ):
                uneven[number] = True
            else:
                found[y, x] = values[z, y, x] > floor


@inner
def _thin_parts_in_plane(
    labels: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    z: int,
    uneven: np.ndarray,
    found: np.ndarray,
) -> None:
    """Of the candidates of flat objects, keep those that a binary opening with the face cross removes."""
    for y in range(start[1], stop[1]):
        for x in range(start[2], stop[2]):
            number = labels[z, y, x]
            if found[y, x] and not uneven[number]:
                found[y, x] = not (
                    face_cross_fits(labels, start, stop, number, z, y, x)
                    or face_cross_fits(labels, start, stop, number, z - 1, y, x)
                    or face_cross_fits(labels, start, stop, number, z + 1, y, x)
                    or face_cross_fits(labels, start, stop, number, z, y - 1, x)
                    or face_cross_fits(labels, start, stop, number, z, y + 1, x)
                    or face_cross_fits(labels, start, stop, number, z, y, x - 1)
                    or face_cross_fits(labels, start, stop, number, z, y, x + 1)
                )


@compiled
def _candidates(
    begin: int,
    end: int,
    values: np.ndarray,
    labels: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    floor: float,
    uneven: np.ndarray,
    found: np.ndarray,
) -> None:
    for z in range(start[0] + begin, start[0] + end):
        _candidates_in_plane(values, labels, start, stop, z, floor, uneven, found[z])


@compiled
def _thin_parts(
    begin: int,
    end: int,
    labels: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    uneven: np.ndarray,
    found: np.ndarray,
) -> None:
    for z in range(start[0] + begin, start[0] + end):
        _thin_parts_in_plane(labels, start, stop, z, uneven, found[z])


def peaks_of_objects(
    values: np.ndarray,
    labels: np.ndarray,
    count: int,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    floor: float,
    found: np.ndarray,
) -> None:
    """Find the intensity peaks of what a box holds of every object.

    A voxel is a candidate if no voxel of its object in the 5 x 5 x 5 window around it is higher. If that holds for
    every voxel of an object, the object is flat, and only what a binary opening with the face cross removes (thin
    parts; outside the box is background) are candidates. Candidates must exceed `floor`. Of candidates that touch,
    also by an edge or a corner, the first in scan order is kept, and so on in scan order.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (Z, Y, X)
        Intensities. NaN is not allowed inside the objects.
    labels : ndarray of int32, shape (Z, Y, X)
        Objects 1..count, no two of which touch, not even by a corner; 0 elsewhere.
    count : int
    start, stop : (z, y, x)
        The box; nothing beyond it is looked at.
    floor : float
        Global minimum of the image that the array was cut from; a peak exceeds it strictly.
    found : ndarray of bool, shape (Z, Y, X)
        All False; the peaks are set.

    Notes
    -----
    Peaks are to be kept in order of falling intensity, equal ones in scan order. Scan order alone does it: two
    candidates at distance 1 belong to one object and lie in each other's windows, so neither is higher, and candidates
    further apart do not affect each other.
    """
    uneven = np.zeros(count + 1, dtype=np.bool_)
    planes = stop[0] - start[0]
    spread(_candidates, planes, values, labels, start, stop, floor, uneven, found)
    spread(_thin_parts, planes, labels, start, stop, uneven, found)
    _keep_first(found)


@inner
def _or_into(row: np.ndarray, out: np.ndarray) -> None:
    for x in range(row.shape[0]):
        out[x] |= row[x]


@compiled
def _dilate_by_faces(begin: int, end: int, mask: np.ndarray, out: np.ndarray) -> None:
    depth, height, width = mask.shape
    for z in range(begin, end):
        for y in range(height):
            row = out[z, y]
            copy(mask[z, y], row)
            _or_into(mask[z, y, 1:], row[: width - 1])
            _or_into(mask[z, y, : width - 1], row[1:])
            if z > 0:
                _or_into(mask[z - 1, y], row)
            if z < depth - 1:
                _or_into(mask[z + 1, y], row)
            if y > 0:
                _or_into(mask[z, y - 1], row)
            if y < height - 1:
                _or_into(mask[z, y + 1], row)


def dilate_by_faces(mask: np.ndarray, out: np.ndarray) -> None:
    """Binary dilation with the face cross.

    Parameters
    ----------
    mask : ndarray of bool, shape (Z, Y, X)
    out : ndarray of bool, shape (Z, Y, X)
        Written.
    """
    spread(_dilate_by_faces, len(out), mask, out)
