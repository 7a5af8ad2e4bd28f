"""How unusual the figures of an image are within its batch, and one number for its quality.

For a figure x of all images of a batch, m the median and s = 1.4826 median(\\|x - m\\|), an image's robust z-score is
(x - m) / s [1]_. Where more than half of the images share the value m, s is 0 and 1.2533 mean(\\|x - m\\|) takes its
place [1]_; where all share it, every z-score is 0. Fractions, counts and sizes are compared on a logarithmic scale,
contrasts through asinh. An image's deviation d is the largest of its z-scores: of either sign, but for agreement and
contrast, of which only little is suspicious. Then

    quality = min(1 / (1 + (d / 3.5)^2), Dice with the second segmentation, Dice with the prediction)

with 0 for an empty mask and for one that covers the whole image. A quality of 0.5 is a deviation of 3.5, from which
on values count as outliers [1]_.

References
----------
.. [1] B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers, ASQC Quality Press, 1993.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fastseg.curation.quality import Figures

OUTLIER = 3.5
"""Robust z-score from which on a value counts as an outlier (Iglewicz and Hoaglin)."""

_NOTABLE = 2.0
"""Deviation from which on a figure is worth a remark."""

_MAD_TO_SIGMA = 1.4826
_MEAN_TO_SIGMA = math.sqrt(math.pi / 2)


@dataclass(frozen=True)
class Compared:
    """How a figure is compared with the batch.

    Attributes
    ----------
    words : str
        The figure as a person calls it.
    scale : callable
        Strictly increasing; differences are judged on this scale.
    only_low : bool
        Whether only values below the median are suspicious.
    """

    words: str
    scale: Callable[[float], float]
    only_low: bool = False


COMPARED: Mapping[str, Compared] = {
    "foreground_fraction": Compared("foreground fraction", math.log),
    "objects": Compared("number of objects", math.log),
    "object_voxels_median": Compared("median object size", math.log),
    "object_voxels_p90": Compared("size of large objects", math.log),
    "largest_share": Compared("largest object's share", math.log),
    "border_contrast": Compared("border contrast", math.asinh, only_low=True),
    "dice": Compared("agreement of the segmentations", float, only_low=True),
    "model_dice": Compared("agreement with the prediction", float, only_low=True),
}
"""The figures that count, by name."""


@dataclass(frozen=True)
class Assessment:
    """What the figures say about one image.

    Attributes
    ----------
    quality : float
        0 to 1.
    z : dict of str to float
        Robust z-score of every compared figure that the image has.
    finding : str
        What is unusual, in words.
    """

    quality: float
    z: Mapping[str, float]
    finding: str

    @property
    def doubt(self) -> float:
        """1 - quality."""
        return 1 - self.quality


def robust_z(values: Sequence[float]) -> np.ndarray:
    """Robust z-scores of values; see the formula at the head of the module.

    Parameters
    ----------
    values : sequence of float
        Finite.

    Returns
    -------
    ndarray of float64
        Zeros for a single value, and where all are equal.
    """
    x = np.asarray(values, np.float64)
    if x.size == 0:
        return x
    difference = x - np.median(x)
    scale = _MAD_TO_SIGMA * np.median(np.abs(difference))
    if scale == 0:
        scale = _MEAN_TO_SIGMA * np.abs(difference).mean()
    return difference / scale if scale > 0 else np.zeros_like(x)


def assess(batch: Sequence[Figures | None]) -> list[Assessment | None]:
    """Judge every image of a batch by all of them.

    Parameters
    ----------
    batch : sequence of Figures or None
        None for images that could not be measured; they stay None.

    Returns
    -------
    list of Assessment or None
        In the order of the batch.
    """
    scores: list[dict[str, float]] = [{} for _ in batch]
    medians: dict[str, float] = {}
    for name, how in COMPARED.items():
        having = [(i, value) for i, value in enumerate(_values(batch, name)) if value is not None]
        for (i, _), z in zip(having, robust_z([how.scale(v) for _, v in having]), strict=True):
            scores[i][name] = float(z)
        if having:
            medians[name] = float(np.median([v for _, v in having]))
    return [
        None if figures is None else _assess_one(figures, z, medians)
        for figures, z in zip(batch, scores, strict=True)
    ]


def _values(batch: Sequence[Figures | None], name: str) -> list[float | None]:
    """A figure of every image; None also for the zeros of an empty mask, which have no logarithm."""
    logarithmic = COMPARED[name].scale is math.log
    found: list[float | None] = []
    for figures in batch:
        value = None if figures is None else getattr(figures, name)
        found.append(None if value is None or (logarithmic and value <= 0) else float(value))
    return found


def _assess_one(figures: Figures, z: Mapping[str, float], medians: Mapping[str, float]) -> Assessment:
    if figures.objects == 0:
        return Assessment(0.0, z, "the mask is empty")
    if figures.foreground_fraction == 1:
        return Assessment(0.0, z, "the mask covers the whole image")
    deviations = {name: max(0.0, -v) if COMPARED[name].only_low else abs(v) for name, v in z.items()}
    worst = max(deviations, key=deviations.__getitem__)
    typical = 1 / (1 + (deviations[worst] / OUTLIER) ** 2)
    limits = [(typical, "")]
    if figures.dice is not None:
        limits.append((figures.dice, f"the segmentations agree by a Dice of {figures.dice:.3g}"))
    if figures.model_dice is not None:
        limits.append(
            (figures.model_dice, f"mask and prediction agree by a Dice of {figures.model_dice:.3g}")
        )
    quality, finding = min(limits, key=lambda limit: limit[0])
    if not finding:
        finding = _unusual(worst, deviations[worst], z[worst], getattr(figures, worst), medians[worst])
    return Assessment(quality, z, finding)


def _unusual(name: str, deviation: float, z: float, value: float, median: float) -> str:
    if deviation < _NOTABLE:
        return "nothing unusual"
    side = "above" if z > 0 else "below"
    return f"{COMPARED[name].words} {value:.3g}, {deviation:.1f} deviations {side} the median {median:.3g}"
