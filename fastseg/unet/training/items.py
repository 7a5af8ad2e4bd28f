"""The images of a data set: a folder as curation writes it, or a CSV manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class TrainingItem:
    """One image with its ground truth.

    Attributes
    ----------
    name : str
        Unique in its data set.
    image : Path
        Normalised as it will be for prediction; one channel or several.
    truth : Path
        Class of every voxel.
    cost : Path or None
        Weight of every voxel in the loss, 0 to leave it out; None for 1 everywhere.
    group : str
        Images of one group, such as a dish, stay together when a share of the images is left out; empty for none.
    """

    name: str
    image: Path
    truth: Path
    cost: Path | None = None
    group: str = ""


def find_items(data: Path) -> list[TrainingItem]:
    """The images of a data set, sorted by name if it is a folder and in the order of the file if it is a manifest."""
    raise NotImplementedError


def load_item(item: TrainingItem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image (C, Z, Y, X) float32, truth (Z, Y, X) uint8 and cost (Z, Y, X) float32, whole."""
    raise NotImplementedError
