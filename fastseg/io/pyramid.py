"""The rules of a multiscale pyramid: how many levels, their shapes, and how one is made from the one above."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from fastseg.types import Spacing

_SMALL = 256
"""Levels are added until y and x are no longer than this."""

Factor = tuple[int, int, int]
Reducer = Callable[[np.ndarray, Factor], np.ndarray]


def pyramid_factors(shape: tuple[int, int, int], spacing: Spacing | None) -> list[Factor]:
    """Factors (z, y, x) from each level to the next.

    y and x are halved until both are small. z is halved along with them only where that brings the voxels
    closer to cubes; where the spacing is unknown it is kept.
    """
    factors: list[Factor] = []
    lengths, size = shape, spacing
    while max(lengths[1:]) > _SMALL:
        factor_z = 1
        if size is not None and lengths[0] > 1 and size[0] * math.sqrt(2) <= 2 * max(size[1:]):
            factor_z = 2
        factor = (factor_z, 2 if lengths[1] > 1 else 1, 2 if lengths[2] > 1 else 1)
        factors.append(factor)
        lengths = reduced_shape(lengths, factor)
        if size is not None:
            size = (size[0] * factor[0], size[1] * factor[1], size[2] * factor[2])
    return factors


def reduced_shape(shape: Sequence[int], factor: Factor) -> tuple[int, int, int]:
    """Shape (z, y, x) of the level that `factor` makes from one of `shape`: borders are rounded up."""
    z, y, x = (-(-int(n) // f) for n, f in zip(shape, factor, strict=True))
    return z, y, x


def reduce_max(block: np.ndarray, factor: Factor) -> np.ndarray:
    """Maximum of each cell of `factor` voxels; cells at the far border may be smaller."""
    for axis, f in enumerate(factor):
        if f > 1:
            block = np.maximum.reduceat(block, np.arange(0, block.shape[axis], f), axis=axis)
    return block


def reduce_nearest(block: np.ndarray, factor: Factor) -> np.ndarray:
    """First voxel of each cell."""
    return block[tuple(slice(None, None, f) for f in factor)]


def reduce_mean(block: np.ndarray, factor: Factor) -> np.ndarray:
    """Mean of each cell, rounded for integers; cells at the far border may be smaller."""
    total = block.astype(np.float64)
    for axis, f in enumerate(factor):
        if f > 1:
            starts = np.arange(0, total.shape[axis], f)
            counts = np.diff(np.append(starts, total.shape[axis]))
            total = np.add.reduceat(total, starts, axis=axis)
            total /= counts.reshape([-1 if a == axis else 1 for a in range(3)])
    return (np.rint(total) if block.dtype.kind in "ui" else total).astype(block.dtype)


REDUCERS: dict[str, Reducer] = {"max": reduce_max, "nearest": reduce_nearest, "mean": reduce_mean}
"""By the name that a pyramid's metadata give them."""
