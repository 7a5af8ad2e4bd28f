"""Bringing a volume to another grid before prediction, and maps back to exactly the old one.

Quadratic B-splines with first and last samples in the same place, as the reference resamples: position j of the new
grid lies at j (n - 1) / (m - 1) of the old one, and the image is mirrored about the outer edges of its voxels. The
three axes are independent of each other, so each is a pass over whole lines: a block of lines needs nothing beside it,
and the result does not depend on the blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from fastseg.errors import UsageError
from fastseg.tiling import Engine, Grid, Volume
from fastseg.types import Box
from fastseg.unet.graph import Triple

_BLOCK = 1 << 22
"""Voxels of a block of lines, about: it takes the 30 to 40 bytes of a voxel at one time."""


def resized_shape(shape: Sequence[int], ratio: Sequence[float]) -> Triple:
    """Shape on the new grid: length times ratio, halves to even, at least 1."""
    z, y, x = (max(1, round(n * r)) for n, r in zip(shape, ratio, strict=True))
    return z, y, x


def check_resize(ratio: Sequence[float] | None) -> tuple[float, float, float] | None:
    """Three ratios of new to old length (z, y, x).

    Raises
    ------
    UsageError
        If they are anything else.
    """
    if ratio is None:
        return None
    if len(ratio) != 3 or not all(0 < r <= 100 for r in ratio):
        given = ",".join(f"{r:g}" for r in ratio)
        raise UsageError(f"resize {given} is not possible: three ratios z,y,x above 0, up to 100, are needed")
    z, y, x = (float(r) for r in ratio)
    return z, y, x


def resample_line_axis(lines: np.ndarray, axis: int, length: int) -> np.ndarray:
    """Resample one axis to `length` samples.

    Parameters
    ----------
    lines : array
    axis, length : int

    Returns
    -------
    array, float32
    """
    from scipy.ndimage import spline_filter1d

    n = lines.shape[axis]
    if n == length:
        return np.asarray(lines, np.float32)
    moved = np.moveaxis(lines, axis, 0).astype(np.float64)
    if n > 1:
        moved = spline_filter1d(moved, order=2, axis=0, mode="reflect")
    position = np.arange(length) * ((n - 1) / (length - 1)) if length > 1 else np.zeros(1)
    nearest = np.floor(np.minimum(position, n - 1) + 0.5).astype(np.intp)
    offset = np.minimum(position, n - 1) - nearest
    weights = (0.5 * (0.5 - offset) ** 2, 0.75 - offset**2, 0.5 * (0.5 + offset) ** 2)
    out = np.zeros((length, *moved.shape[1:]))
    for step, weight in zip((-1, 0, 1), weights, strict=True):
        # coefficients are mirrored about the edges too: -1 is 0, n is n - 1
        taken = np.clip(nearest + step, 0, n - 1)
        out += weight.reshape(-1, *(1,) * (moved.ndim - 1)) * moved[taken]
    return np.ascontiguousarray(np.moveaxis(out, 0, axis), dtype=np.float32)


@dataclass(frozen=True)
class _Lines:
    """Task of a pass: resamples a box of the new volume that spans the axis."""

    source: Volume
    target: Volume
    axis: int

    def __call__(self, core: Box) -> None:
        start, stop = list(core.start), list(core.stop)
        start[self.axis], stop[self.axis] = 0, self.source.shape[self.axis]
        lines = np.asarray(self.source.read(Box(tuple(start), tuple(stop))))
        self.target.write(core, resample_line_axis(lines, self.axis, self.target.shape[self.axis]))


@dataclass(frozen=True)
class _Copy:
    source: Volume
    target: Volume

    def __call__(self, core: Box) -> None:
        self.target.write(core, np.asarray(self.source.read(core)))


def copy_volume(source: Volume, target: Volume, engine: Engine) -> None:
    """Write a volume into another one of the same shape, by the engine's tiles."""
    for _ in engine.executor.map(_Copy(source, target), Grid.over(source.shape, engine.tile)):
        pass


def resize_volume(volume: Volume, shape: Sequence[int], engine: Engine) -> Volume:
    """A volume on a grid of another shape.

    Parameters
    ----------
    volume : Volume (z, y, x)
        float32. It is not released.
    shape : (z, y, x)
    engine : Engine
        On the CPU; its executor and storage are used.

    Returns
    -------
    Volume
        float32; `volume` itself if it has this shape.
    """
    axes = [axis for axis in range(3) if volume.shape[axis] != shape[axis]]
    axes.sort(key=lambda axis: (shape[axis] / volume.shape[axis], axis))  # what shrinks most comes first
    found = volume
    for axis in axes:
        sides = tuple(shape[axis] if i == axis else n for i, n in enumerate(found.shape))
        grid = Grid.over(sides, _block(found.shape, sides, axis))
        target = engine.storage.volume(sides, grid.tile, engine.ns)
        for _ in engine.executor.map(_Lines(found, target, axis), grid):
            pass
        if found is not volume:
            engine.storage.release(found)
        found = target
    return found


def _block(old: Sequence[int], new: Sequence[int], axis: int) -> tuple[int, ...]:
    """Sides of a box of whole lines, wider along x, where voxels lie together."""
    lines = max(1, _BLOCK // max(old[axis], new[axis]))
    others: list[Any] = [i for i in range(3) if i != axis]
    sides = list(new)
    first = min(sides[others[0]], isqrt(lines))
    sides[others[0]] = first
    sides[others[1]] = min(sides[others[1]], max(1, lines // first))
    return tuple(sides)
