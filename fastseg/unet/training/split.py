"""Which images are held back to validate with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastseg.unet.training.items import TrainingItem


@dataclass(frozen=True)
class Split:
    """Two lists without a common item, each in the order of the data set."""

    training: tuple[TrainingItem, ...]
    validation: tuple[TrainingItem, ...]


def split_items(
    items: Sequence[TrainingItem], leaveout: Sequence[float | str] | None, *, seed: int = 0
) -> Split:
    """Split a data set.

    Parameters
    ----------
    items : sequence of TrainingItem
    leaveout : sequence of number or str, or None
        Nothing: no validation. One number between 0 and 1: this share of the images, drawn by `seed`. Other numbers:
        the images of these indices. Names: these images.
    seed : int

    Raises
    ------
    UsageError
        For indices and names that do not exist, and where nothing is left to train with.
    """
    raise NotImplementedError
