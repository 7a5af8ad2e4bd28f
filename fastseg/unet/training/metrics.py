"""How good a prediction is, where the cost map says that voxels count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Overlap:
    """Voxels that count: predicted and true at once, predicted, and true.

    Attributes
    ----------
    both, predicted, true : int
    """

    both: int
    predicted: int
    true: int

    @property
    def dice(self) -> float:
        """``2 |P G| / (|P| + |G|)``; 1 where nothing is expected and nothing predicted."""
        return 2 * self.both / (self.predicted + self.true) if self.predicted + self.true else 1.0

    @property
    def iou(self) -> float:
        """``|P G| / |P or G|``, the reference's measure; 1 where nothing is expected and nothing predicted."""
        either = self.predicted + self.true - self.both
        return self.both / either if either else 1.0


def overlap(predicted: np.ndarray, true: np.ndarray, counts: np.ndarray) -> Overlap:
    """Compare two masks.

    Parameters
    ----------
    predicted, true, counts : array (Z, Y, X), bool
        The last one: voxels that are compared.
    """
    p, g = predicted & counts, true & counts
    return Overlap(*(int(np.count_nonzero(mask)) for mask in (p & g, p, g)))


def cross_entropy(probability: np.ndarray, cost: np.ndarray) -> float:
    """``-sum c log p / sum c`` with p the probability of the true class; 0 where no voxel counts.

    Parameters
    ----------
    probability, cost : array (Z, Y, X)
        Probabilities below 1e-7, which float32 rounds away beside 1, count as that.
    """
    total = float(cost.sum(dtype=np.float64))
    if not total:
        return 0.0
    logarithm = np.log(np.maximum(probability, np.float32(1e-7)))
    return float(-np.vdot(cost.astype(np.float64), logarithm.astype(np.float64)) / total)
