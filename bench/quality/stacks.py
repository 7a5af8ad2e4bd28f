"""The stacks of the study, and how each is cut into a part to train with and one to judge with."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Stack:
    """An image with its truth.

    Attributes
    ----------
    name, title : str
    image : (z, y, x) float32
    labels : (z, y, x) integers
        0 is background.
    spacing : (z, y, x)
        In micrometres.
    train, test : slices
        Parts that share no object.
    """

    name: str
    title: str
    image: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    train: Slices
    test: Slices

    def check(self) -> None:
        """Raise ValueError where an object lies in both parts."""
        train, test = (set(np.unique(self.labels[part])) - {0} for part in (self.train, self.test))
        if train & test:
            raise ValueError(f"{self.name}: objects {sorted(train & test)} lie in both parts")

    def objects(self, part: Slices) -> int:
        """How many objects reach into a part."""
        return len(set(np.unique(self.labels[part])) - {0})


def nuclei(data: Path) -> Stack:
    """DNA of human iPS cells; the parts are left and right of nuclei that straddle the middle."""
    folder = data / "nuclei_hipsc"
    return Stack(
        "nuclei_hipsc",
        "Nuclei of human iPS cells, DNA",
        tifffile.imread(folder / "nuclei.tif").astype(np.float32),
        tifffile.imread(folder / "nuclei_label.tif"),
        (0.29, 0.26, 0.26),
        np.s_[:, :, 113:],
        np.s_[:, :, :86],
    )


def lamin(data: Path) -> Stack:
    """Lamin B1 of a mouse blastocyst; the truth is whole nuclei, of which the image shows shells."""
    folder = data / "blastocyst_laminb1_dapi"
    labels = tifffile.imread(folder / "crop_labels_zyx.tif")
    return Stack(
        "blastocyst_laminb1",
        "Nuclei of a mouse blastocyst, Lamin B1",
        tifffile.imread(folder / "crop_czyx.ome.tif")[0].astype(np.float32),
        np.where(labels == 60, 0, labels),  # a speckle, as the data set's publisher says
        (0.5002, 0.3604, 0.3604),
        np.s_[:, :77, :],
        np.s_[:, 104:, :],
    )


STACKS: dict[str, Callable[[Path], Stack]] = {"nuclei_hipsc": nuclei, "blastocyst_laminb1": lamin}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|); 1 where both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / total if total else 1.0
