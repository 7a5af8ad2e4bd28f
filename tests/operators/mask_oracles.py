"""Operators on masks written out with NumPy: shifts, loops over planes and columns."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from scipy import ndimage as ndi
from skimage.morphology import medial_axis

Offset = tuple[int, ...]


def offsets(radius: int, ndim: int, shape: str = "ball") -> list[Offset]:
    """Every offset of a ball, or of a disk in the last two axes."""
    steps = range(-radius, radius + 1)
    found = [o for o in itertools.product(steps, repeat=ndim) if sum(k * k for k in o) <= radius**2]
    return found if shape == "ball" else [o for o in found if not any(o[:-2])]


def neighbours(x: np.ndarray, around: list[Offset], outside: float | bool) -> np.ndarray:
    """For every offset the array shifted by it, `outside` beyond the border; (offsets, *shape)."""
    reach = max(abs(k) for offset in around for k in offset)
    padded = np.pad(x, reach, constant_values=outside)
    places = ([slice(reach + k, reach + k + n) for k, n in zip(o, x.shape, strict=True)] for o in around)
    return np.stack([padded[tuple(place)] for place in places])


def eroded(mask: np.ndarray, around: list[Offset]) -> np.ndarray:
    """All neighbours within the image are set."""
    return neighbours(mask, around, True).all(axis=0)


def dilated(mask: np.ndarray, around: list[Offset]) -> np.ndarray:
    """Any neighbour within the image is set."""
    return neighbours(mask, around, False).any(axis=0)


def without_hot_columns(mask: np.ndarray) -> np.ndarray:
    hot = np.array([[column.sum() >= len(mask) - 2 for column in row] for row in np.moveaxis(mask, 0, -1)])
    return np.where(dilated(hot, offsets(2, 2)), False, mask)


def pruned(mask: np.ndarray) -> np.ndarray:
    counts = [int(plane.sum()) for plane in mask]
    last, middle = len(counts) - 1, counts.index(max(counts))
    low, high = 0, last - 1
    for z in range(1, middle):
        if counts[z] < 100:
            low = z
    for z in range(last - 1, middle, -1):
        if counts[z] < 100:
            high = z
    return np.stack([p if low <= z <= high else np.zeros_like(p) for z, p in enumerate(mask)])


class ScanOrder(np.random.Generator):
    """A generator that leaves everything in its order, so that ties of the medial axis follow it."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def permutation(self, x: np.ndarray, axis: int = 0) -> np.ndarray:
        return np.arange(len(x))


def medial_axis_in_scan_order(plane: np.ndarray) -> np.ndarray:
    return _medial_axis(plane.tobytes(), plane.shape)


@lru_cache(maxsize=512)
def _medial_axis(plane: bytes, shape: tuple[int, int]) -> np.ndarray:
    """Remembered: scikit-image sets up its tables in every call, which takes longer than a small plane."""
    return medial_axis(np.frombuffer(plane, bool).reshape(shape), rng=ScanOrder())


def thinned(mask: np.ndarray, min_thickness: float, thin: int) -> np.ndarray:
    shell = mask & ~eroded(mask, offsets(thin, 3))
    out = mask.copy()
    for z, plane in enumerate(mask):
        if plane.any():
            distance = ndi.distance_transform_edt(~medial_axis_in_scan_order(plane))
            out[z] &= ~(shell[z] & (distance > min_thickness + 1e-5))
    return out
