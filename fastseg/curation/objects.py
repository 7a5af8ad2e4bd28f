"""Objects of a segmentation, what is known of each, and those that rules choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fastseg import operators
from fastseg.curation.reading import Segmentation
from fastseg.curation.rules import ObjectRule
from fastseg.errors import InputError
from fastseg.types import Spacing


@dataclass(frozen=True, eq=False)
class Objects:
    """Objects of a segmentation.

    Attributes
    ----------
    labels : array of int32, (Z, Y, X)
        1 to `count`, 0 is background.
    count : int
    """

    labels: np.ndarray
    count: int

    def painted(self, chosen: np.ndarray) -> np.ndarray:
        """The voxels of some objects, as a bool array.

        Parameters
        ----------
        chosen : bool array of shape (count + 1,)
        """
        return np.asarray(chosen & (np.arange(self.count + 1) > 0))[self.labels]

    def totals(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Voxels of each object, or sum of `weights` over them; float64 of shape (count + 1,)."""
        found = np.zeros(self.count + 1)
        # Plane by plane: bincount makes 64-bit copies of what it is given.
        for z, plane in enumerate(self.labels):
            given = None if weights is None else weights[z].ravel()
            found += np.bincount(plane.ravel(), given, minlength=self.count + 1)
        return found

    def touched(self, mask: np.ndarray) -> np.ndarray:
        """Whether each object has a voxel in a mask; bool of shape (count + 1,)."""
        found = np.zeros(self.count + 1, bool)
        found[self.labels[mask]] = True
        return found

    def maxima(self, image: np.ndarray) -> np.ndarray:
        """Greatest value of an image in each object; float64 of shape (count + 1,)."""
        from scipy import ndimage as ndi

        found = np.full(self.count + 1, -np.inf)
        for number, box in enumerate(ndi.find_objects(self.labels), 1):
            found[number] = image[box][self.labels[box] == number].max()
        return found


def find_objects(segmentation: Segmentation) -> Objects:
    """The objects of a segmentation: its labels if it has several, else what is connected by faces."""
    if not segmentation.labelled:
        labels = operators.label_objects(segmentation.mask, connectivity=1)
        return Objects(labels, int(labels.max(initial=0)))
    names = np.unique(np.concatenate([np.unique(plane) for plane in segmentation.values]))
    names = names[names > 0]
    labels = np.zeros(segmentation.mask.shape, np.int32)
    for z, plane in enumerate(segmentation.values):
        inside = plane > 0
        labels[z][inside] = np.searchsorted(names, plane[inside]) + 1
    return Objects(labels, len(names))


@dataclass(eq=False)
class Measured:
    """Objects with what rules may ask about them, computed when asked.

    Attributes
    ----------
    objects : Objects
    raw, image : arrays (Z, Y, X)
        The raw and the normalised image.
    first : bool array (Z, Y, X) or None
        The segmentation that overlaps are measured with.
    spacing : tuple of float or None
    source : str
        The segmentation, for messages.
    """

    objects: Objects
    raw: np.ndarray
    image: np.ndarray
    first: np.ndarray | None
    spacing: Spacing | None
    source: str
    _known: dict[str, np.ndarray] = field(default_factory=dict)

    def quantity(self, name: str) -> np.ndarray:
        """A quantity of each object; float64 of shape (count + 1,).

        Raises
        ------
        InputError
            If the image does not tell.
        """
        if name not in self._known:
            self._known[name] = self._measure(name)
        return self._known[name]

    def _measure(self, name: str) -> np.ndarray:
        if name == "size":
            return self.objects.totals()
        if name == "volume_um3":
            if self.spacing is None:
                raise InputError(f"{self.source}: volume_um3 needs the voxel size: give it with --spacing")
            return self.quantity("size") * float(np.prod(self.spacing))
        image = self.raw if name.endswith("_raw") else self.image
        if name.startswith("max_"):
            return self.objects.maxima(image)
        weights = self.first if name == "overlap" else image
        return self.objects.totals(weights) / np.maximum(self.quantity("size"), 1)


def chosen_objects(rule: ObjectRule, measured: Measured) -> np.ndarray:
    """Whether a rule chooses each object; bool of shape (count + 1,).

    Raises
    ------
    InputError
        If a point lies outside the image or in no object, or a quantity is not known.
    """
    found = np.ones(measured.objects.count + 1, bool)
    for condition in rule.conditions:
        found &= condition.holds(measured.quantity(condition.quantity))
    if rule.points_file:
        named = np.zeros_like(found)
        named[_named(rule.points, measured)] = True
        found &= named
    found[0] = False
    return found


def _named(points: Sequence[tuple[int, int, int]], measured: Measured) -> list[int]:
    labels = measured.objects.labels
    found = []
    for point in points:
        place = ",".join(map(str, point))
        if any(n >= length for n, length in zip(point, labels.shape, strict=True)):
            size = " x ".join(map(str, labels.shape))
            raise InputError(
                f"{measured.source}: point {place} (z,y,x) lies outside the image of {size} voxels"
            )
        if labels[point] == 0:
            raise InputError(f"{measured.source}: point {place} (z,y,x) lies in no object")
        found.append(int(labels[point]))
    return found
