"""Masks that a person drew: image files with a polarity, and polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from fastseg.curation.polygons import Polygon, rasterise
from fastseg.curation.reading import check_same_shape, read_stack
from fastseg.errors import InputError

Polarity: TypeAlias = Literal["positive", "zero"]
"""Which voxels of an excluding mask are excluded."""

POLARITY: dict[str, Polarity] = {"sort": "positive", "merge": "positive", "takeall": "zero"}
"""As the reference has it, mode by mode."""

POLYGON_SUFFIXES = (".geojson", ".json")

_POSITIVE = {"sort": 0.0, "merge": 0.01, "takeall": 0.0}
"""Above it, a value of an excluding mask is positive."""


@dataclass(frozen=True)
class Drawn:
    """What was drawn on an image for one purpose.

    Attributes
    ----------
    file : Path or None
        A mask in an image file; one of a single plane counts for every plane.
    polygons : tuple of Polygon
        Of this image and purpose.
    """

    file: Path | None = None
    polygons: tuple[Polygon, ...] = ()

    def __bool__(self) -> bool:
        return self.file is not None or bool(self.polygons)


def read_mask(path: Path, raw: Path, shape: Sequence[int]) -> np.ndarray:
    """The values of a mask, of the image's shape.

    Raises
    ------
    ReadError
        If it cannot be read.
    InputError
        If it has another shape, or holds NaN.
    """
    values = read_stack(path).volume()
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{path} holds NaN or infinite values: a mask holds 0 and positive numbers")
    if values.shape[0] == 1 and shape[0] > 1 and values.shape[1:] == tuple(shape[1:]):
        return np.broadcast_to(values, tuple(shape))
    check_same_shape(path, values.shape, raw, shape)
    return values


def merging_mask(drawn: Drawn, values: np.ndarray | None, shape: Sequence[int]) -> np.ndarray | None:
    """Where the second segmentation is taken; None if nothing was drawn."""
    if not drawn:
        return None
    found = np.zeros(tuple(shape), bool) if values is None else values > 0
    return found | rasterise(drawn.polygons, shape)


def excluding_mask(
    drawn: Drawn, values: np.ndarray | None, shape: Sequence[int], polarity: Polarity, mode: str
) -> np.ndarray:
    """Where the cost is 0: by the file's polarity, and inside the polygons."""
    found = rasterise(drawn.polygons, shape)
    if values is not None:
        found |= values > _POSITIVE[mode] if polarity == "positive" else values == 0
    return found
