"""Where the voxels of a patch come from: turned, mirrored and bent in the plane, about the centre of the patch.

A patch is described by the offsets of its pixels from its centre, in the image. The truth patch lies in the middle of
the image patch and takes the middle of the same offsets: the two are aligned by construction, whatever the offsets are.
All planes share them, as planes are far apart and thick compared with pixels; only mirroring along Z changes planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, radians, sin

import numpy as np

from fastseg.types import Box
from fastseg.unet.flips import NO_FLIP, Flip

_RIGHT_ANGLES = {0: (1.0, 0.0), 90: (0.0, 1.0), 180: (-1.0, 0.0), 270: (0.0, -1.0)}
"""Cosine and sine without rounding: whole voxels are then moved, not interpolated."""


@dataclass(frozen=True)
class Turn:
    """A rotation in the plane, and then mirrored axes.

    Attributes
    ----------
    angle : float
        Degrees, counter-clockwise as displayed with x to the right and y down.
    flip : (z, y, x)
        Which axes are mirrored after the rotation.
    """

    angle: float = 0.0
    flip: Flip = NO_FLIP

    @property
    def matrix(self) -> np.ndarray:
        """(2, 2), float64: takes an offset (y, x) from the centre in the result to the one in the image."""
        angle = self.angle % 360
        c, s = _RIGHT_ANGLES.get(int(angle), (0.0, 0.0)) if angle % 90 == 0 else _circle(angle)
        rotation = np.array([[c, s], [-s, c]])
        return rotation @ np.diag([-1.0 if f else 1.0 for f in self.flip[1:]])


def _circle(degrees: float) -> tuple[float, float]:
    return cos(radians(degrees)), sin(radians(degrees))


def turned_offsets(turn: Turn, size: Sequence[int]) -> np.ndarray:
    """Offsets (y, x) in the image of the pixels of a patch.

    Parameters
    ----------
    turn : Turn
    size : (y, x)

    Returns
    -------
    array (2, Y, X), float64
    """
    y, x = (np.arange(n) - (n - 1) / 2 for n in size)
    (a, b), (c, d) = turn.matrix
    # adding 0.0 turns -0.0 into 0.0
    return np.stack([a * y[:, None] + b * x[None], c * y[:, None] + d * x[None]]) + 0.0


def bend(size: Sequence[int], deviation: float, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth random displacements: cubic B-splines over a grid of independent normal numbers.

    Parameters
    ----------
    size : (y, x)
    deviation : float
        Standard deviation of a displacement along each axis, the same at every pixel.
    spacing : float
        Of the grid, in pixels.
    rng : numpy.random.Generator

    Returns
    -------
    array (2, Y, X), float64
    """
    rows, columns = (_splines(n, spacing) for n in size)
    numbers = rng.normal(0.0, deviation, (2, rows.shape[1], columns.shape[1]))
    # products of matrices would round differently with the number of threads
    return np.einsum("kyj,xj->kyx", np.einsum("yi,kij->kyj", rows, numbers), columns)


def _splines(length: int, spacing: float) -> np.ndarray:
    """Weights (pixel, grid point), with squares that add up to 1 so that the deviation does not depend on the pixel."""
    place = (np.arange(length) - (length - 1) / 2) / spacing
    points = np.arange(floor(place[0]) - 1, ceil(place[-1]) + 2)
    distance = np.abs(place[:, None] - points[None])
    near, far = 2 / 3 - distance**2 + distance**3 / 2, np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, near, far)
    return np.asarray(weights / np.sqrt((weights**2).sum(1, keepdims=True)))


def middle(offsets: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The offsets of the patch of `size` (y, x) in the middle of a larger one."""
    (y, x), (h, w) = offsets.shape[1:], size
    top, left = (y - h) // 2, (x - w) // 2
    return offsets[:, top : top + h, left : left + w]


@dataclass(frozen=True)
class Nearest:
    """The voxels of a plane that are nearest to given places.

    Attributes
    ----------
    box : Box
        (y, x): part of the plane that holds them all; empty if no place is in the plane.
    index : array (Y, X), intp
        Flat index into the box; 0 where the place is outside.
    inside : array (Y, X), bool
        Whether the nearest voxel is one of the plane's.
    """

    box: Box
    index: np.ndarray
    inside: np.ndarray

    @classmethod
    def to(cls, places: np.ndarray, shape: Sequence[int]) -> Nearest:
        """The nearest voxels to `places` (2, Y, X) in a plane of `shape` (y, x); halves go up."""
        rows, columns = np.floor(places + 0.5).astype(np.intp)
        inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        if not inside.any():
            return cls(Box((0, 0), (0, 0)), np.zeros_like(rows), inside)
        start, stop = zip(
            *((int(i[inside].min()), int(i[inside].max()) + 1) for i in (rows, columns)), strict=True
        )
        box = Box(start, stop)
        index = (rows - start[0]) * box.shape[1] + columns - start[1]
        return cls(box, np.where(inside, index, 0), inside)

    def take(self, volume: np.ndarray, planes: range) -> np.ndarray:
        """Those voxels of the `planes` of a volume (z, y, x); 0 outside."""
        out = np.zeros((len(planes), *self.index.shape), volume.dtype)
        if self.box.size:
            rows, columns = self.box.slices
            block = volume[planes.start : planes.stop, rows, columns].reshape(len(planes), -1)
            np.take(block, self.index, axis=1, out=out, mode="clip")
            if not self.inside.all():
                out[:, ~self.inside] = 0
        return out
