"""From probabilities to a mask: the true probability, or the stretched map of the reference's file mode."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.errors import UsageError
from fastseg.tiling import Block, Local, Reduce
from fastseg.tiling.statistics import kept
from fastseg.types import Array


def check_threshold(threshold: float) -> float | None:
    """A threshold as it was given: None where probabilities are wanted.

    Parameters
    ----------
    threshold : float
        Below 0, such as -1, asks for probabilities. 0 is a threshold like any other.

    Raises
    ------
    UsageError
        If it is 1 or more, or no number.
    """
    if not threshold < 1:
        raise UsageError(
            f"threshold {threshold:g} is out of range: it must be below 1, or -1 for probabilities"
        )
    return None if threshold < 0 else float(threshold)


def float32_limit(threshold: float) -> float:
    """The largest float32 up to `threshold`: a float32 is above this one just if it is above the threshold."""
    limit = np.float32(threshold)
    return float(np.nextafter(limit, np.float32(-np.inf)) if float(limit) > threshold else limit)


def _above(block: Block) -> Array:
    return block.arrays[0] > np.float32(block.params)


ABOVE = Local(_above)
"""Mask of the voxels above a limit, its parameter (see `float32_limit`)."""


def _count(block: Block) -> int:
    return int(block.ns.xp.count_nonzero(kept(block)))


def _sum(a: int, b: int) -> int:
    return a + b


def _same(count: int, values: tuple[Any, ...], params: Any) -> int:
    return count


COUNT = Reduce(_count, _sum, _same)
"""Foreground voxels of a mask."""


def stretched(probability: Array, low: float, high: float, xp: Any = np) -> Array:
    """``(p - low) / (high - low)`` in float64, given as float32; zeros where the map is constant.

    The reference thresholds this map in file mode, so thresholds that were chosen there belong to it.
    """
    if not high > low:
        return xp.zeros(probability.shape, np.float32)
    return ((probability.astype(np.float64) - low) / (high - low)).astype(np.float32)


def _stretch(block: Block) -> Array:
    extrema = block.values[0]
    # the reference's map has a zero plane for every further channel of the image, which counts
    low = min(extrema.low, 0.0) if block.params > 1 else extrema.low
    high = max(extrema.high, 0.0) if block.params > 1 else extrema.high
    return stretched(block.arrays[0], low, high, block.ns.xp)


STRETCH = Local(_stretch)
"""The stretched map; its inputs are the map and its `Extrema`, its parameter the number of image channels."""
