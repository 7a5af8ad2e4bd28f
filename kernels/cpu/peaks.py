"""Intensity peaks of one object, at a minimum distance of two voxels."""

from __future__ import annotations

import numpy as np

from fastseg.kernels.jit import compiled

__all__ = ["RADIUS", "keep_in_order", "object_candidates", "object_peaks"]

# Half width of the window whose maximum a peak must be. That two candidates at distance 1 are always equally
# high, which _keep_first relies on, holds for any radius of at least 1.
RADIUS = 2


@compiled()
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


@compiled()
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


@compiled()
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


@compiled()
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


@compiled()
def object_candidates(values: np.ndarray, inside: np.ndarray, floor: float) -> np.ndarray:
    """The candidates of :func:`object_peaks`, of which some may touch; same parameters and errors."""
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


@compiled()
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


@compiled()
def object_peaks(values: np.ndarray, inside: np.ndarray, floor: float) -> np.ndarray:
    """Find the intensity peaks of one object in its box.

    A voxel of the object is a candidate if no voxel of the object in the 5 x 5 x 5 window around it is
    higher. If that holds for every voxel of the object, the object is flat, and only what a binary opening
    with the face cross removes (thin parts; outside the box is background) are candidates. Candidates must
    exceed `floor`. Of candidates that touch, also by an edge or a corner, the first in scan order is kept,
    and so on in scan order.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (Z, Y, X)
        Intensities in the box. NaN is not allowed inside the object.
    inside : ndarray of bool, shape (Z, Y, X)
        Voxels of the object; all others, those of other objects included, count as lower than any of them.
    floor : float
        Global minimum of the image that the box was cut from; a peak exceeds it strictly.

    Returns
    -------
    peaks : ndarray of bool, shape (Z, Y, X)
        The peaks.

    Raises
    ------
    ValueError
        If the two shapes differ.

    Notes
    -----
    Peaks are to be kept in order of falling intensity, equal ones in scan order. Scan order alone does it:
    two candidates at distance 1 lie in each other's windows, so neither is higher, and candidates further
    apart do not affect each other.
    """
    peaks = object_candidates(values, inside, floor)
    _keep_first(peaks)
    return peaks
