"""Small models and images for tests of ``fastseg predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from fastseg.unet.model import make_model, save_model
from tests.screen.stacks import SPACING
from tests.unet.small import small_model

SHAPE = (6, 26, 30)


def image(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """uint16 noise."""
    return np.random.default_rng(seed).integers(0, 4000, shape).astype(np.uint16)


def write(path: Path, array: np.ndarray, axes: str = "ZYX") -> Path:
    """An OME-TIFF with axes and voxel size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {"axes": axes}
    for axis, length in zip("ZYX", SPACING, strict=True):
        metadata |= {f"PhysicalSize{axis}": length, f"PhysicalSize{axis}Unit": "µm"}
    tifffile.imwrite(path, array, ome=True, metadata=metadata)
    return path


def write_model(folder: Path, channels: int = 1, classes: int = 2, **info: Any) -> Path:
    """A model folder whose network is that of `small_model`."""
    model = small_model(channels, classes)
    given = {"normalization": "contrast_2_11", **info}
    return save_model(make_model(model.architecture, model.state, **given), folder / "small.model")
