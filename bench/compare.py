"""Whether two answers agree."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

# A response that jumps (a filament's, where the order of two eigenvalues flips) may jump one rounding error earlier.
STRAY_SHARE = 1e-5


@dataclass(frozen=True)
class Agreement:
    """The outcome of a comparison: whether it passed, and the figures in words."""

    passed: bool
    text: str


def compare(
    expected: np.ndarray, found: np.ndarray, kind: Literal["image", "mask"], tolerance: float
) -> Agreement:
    """Compare an answer with fastseg's.

    Parameters
    ----------
    expected, found : array
        Of the same shape; masks may be labels or 0/255.
    kind : {"image", "mask"}
        Images by their largest error relative to the range of `expected`, where at most one voxel in 100 000 may be
        further off; masks by Dice coefficient.
    tolerance : float
        Largest relative error, or one minus the least Dice coefficient.
    """
    if expected.shape != found.shape:
        return Agreement(False, f"shape {found.shape}, expected {expected.shape}")
    if kind == "mask":
        value = dice(expected, found)
        return Agreement(bool(value >= 1 - tolerance), f"Dice {value:.6f}")
    span = float(np.ptp(expected)) or 1.0
    error = np.abs(found.astype(np.float64) - expected) / span
    stray = float(np.mean(~(error <= tolerance)))  # NaN counts as stray
    worst = float(np.nanmax(error)) if error.size else 0.0
    text = f"largest error {worst:.1e} of the range"
    if stray:
        text += f", {stray:.1e} of the voxels beyond {tolerance:g}"
    return Agreement(stray <= STRAY_SHARE, text)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two masks (non-zero is foreground); 1 if both are empty."""
    first, second = a != 0, b != 0
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0
