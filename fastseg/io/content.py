"""What a file stores: the type of its values, and for a mask or labels what else goes with the image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.errors import UsageError, WriteError


@dataclass(frozen=True)
class Values:
    """How the values of an array become those of a file.

    Attributes
    ----------
    dtype : numpy.dtype
        Of the file's values.
    foreground : int or float, optional
        What everything but 0 becomes; without it values stay what they are.
    """

    dtype: np.dtype
    foreground: int | float | None = None

    @property
    def itemsize(self) -> int:
        return int(self.dtype.itemsize)

    def __call__(self, part: np.ndarray) -> np.ndarray:
        """`part` converted, of the same shape.

        Raises
        ------
        WriteError
            When an integer type does not hold a value: it would wrap.
        """
        if self.foreground is not None:
            return np.where(part != 0, np.array(self.foreground, self.dtype), self.dtype.type(0))
        integers = self.dtype.kind in "ui" and part.dtype.kind in "ui"
        if integers and part.size and not np.can_cast(part.dtype, self.dtype):
            low, high = int(part.min()), int(part.max())
            limits = np.iinfo(self.dtype)
            if low < limits.min or high > limits.max:
                raise WriteError(
                    f"values from {low} to {high} do not fit {self.dtype}, which holds {limits.min} to "
                    f"{limits.max}: write them in a wider type."
                )
            return part.astype(self.dtype)
        return part.astype(self.dtype, casting="same_kind", copy=False)


@dataclass(frozen=True)
class Content:
    """What an OME-Zarr holds.

    Attributes
    ----------
    name : str
        Of the image and of its label image.
    reduce : {"max", "nearest", "mean"}
        How a level of the pyramid is made from the one above. The maximum keeps thin parts of masks, nearest
        keeps labels.
    image : Values
    labels : Values, optional
        Of the label image, stored under ``labels/<name>``; without them there is none.
    """

    name: str
    reduce: str
    image: Values
    labels: Values | None = None

    def images(self) -> Iterator[tuple[str, Values]]:
        """Where in the group the image's arrays are, and those of the label image, and their values."""
        yield "", self.image
        if self.labels is not None:
            yield f"labels/{self.name}", self.labels

    def bytes_needed(self, shape: Sequence[int]) -> int:
        """Bytes that it takes at most: level 0 of `shape`, half of that for the pyramid, and metadata."""
        itemsize = sum(values.itemsize for _, values in self.images())
        return math.prod(int(n) for n in shape) * itemsize * 3 // 2 + (1 << 16)


def mask_values(foreground: int | float, dtype: Any) -> Values:
    """The values of a mask.

    Raises
    ------
    UsageError
        When `foreground` is 0 or does not fit `dtype`, or `dtype` is not one of images.
    """
    target = np.dtype(dtype)
    if target.kind not in "uif":
        raise UsageError(
            f"mask dtype {target} is not one that images have: use an integer or float type such as uint8."
        )
    fits = target.kind == "f" or (
        np.iinfo(target).min <= foreground <= np.iinfo(target).max and foreground == int(foreground)
    )
    if foreground == 0 or not math.isfinite(foreground) or not fits:
        raise UsageError(
            f"foreground={foreground} cannot mark a mask of type {target}: use a value that it holds, but "
            "not 0."
        )
    return Values(target, foreground)


def mask_content(values: Values) -> Content:
    """A binary segmentation, stored twice: as an image, and with label 1 as a label image."""
    return Content("segmentation", "max", values, Values(np.dtype(np.uint8), 1))


def labels_content(values: Values) -> Content:
    """A label image, stored both as an image and as a label image."""
    return Content("segmentation", "nearest", values, values)


def image_content(values: Values, name: str) -> Content:
    """An image. One made of booleans has a pyramid of maxima."""
    return Content(name, "mean" if values.foreground is None else "max", values)
