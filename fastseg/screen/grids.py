"""Results on another grid than their image: their voxel size, and the image brought to them for display."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.types import Spacing


def rescaled_spacing(spacing: Spacing | None, old: tuple[int, ...], new: tuple[int, ...]) -> Spacing | None:
    """Voxel size after y and x were resampled so that the first and last samples coincide.

    Parameters
    ----------
    spacing : tuple of float or None
        (z, y, x) of the old grid.
    old, new : tuple of int
        Shapes; y and x are the last two.
    """
    if spacing is None:
        return None
    y, x = (
        length if 1 in (n, m) else length * (n - 1) / (m - 1)
        for length, n, m in zip(spacing[-2:], old[-2:], new[-2:], strict=True)
    )
    return (spacing[0], y, x)


class _Resampled:
    """The planes of a stack on another grid in y and x, by linear interpolation, each made when it is asked for."""

    def __init__(self, volume: np.ndarray, shape: tuple[int, ...]) -> None:
        self.volume = volume
        self.shape = shape
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, z: int) -> np.ndarray:
        from scipy.ndimage import map_coordinates

        plane = self.volume[z].astype(np.float32)
        axes = [np.linspace(0, n - 1, m) for n, m in zip(plane.shape, self.shape[-2:], strict=True)]
        return map_coordinates(plane, np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest")


def on_grid(volume: Any, shape: tuple[int, ...]) -> Any:
    """`volume` as it is if it has this shape, else its planes resampled to it, for display.

    For a single plane of a stack it is the maximum projection.
    """
    if shape[0] == 1 < volume.shape[0]:
        volume = volume.max(axis=0, keepdims=True)
    return volume if volume.shape == shape else _Resampled(volume, shape)
