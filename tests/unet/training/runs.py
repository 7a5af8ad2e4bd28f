"""Tiny data sets that can be learnt, and runs of seconds on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage as ndi

from fastseg.unet.training.config import parse_settings, placed
from fastseg.unet.training.settings import TrainSettings
from tests.unet.training.made import item

SHAPE = (6, 26, 28)


def blobs(seed: int, shape: Sequence[int] = SHAPE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bright spots in noise, where they are, and a cost map with a corner that does not count."""
    rng = np.random.default_rng(seed)
    points = np.zeros(shape)
    for _ in range(8):
        points[tuple(rng.integers(0, n) for n in shape)] = 1
    smooth = ndi.gaussian_filter(points, (1.5, 2.5, 2.5))
    smooth /= smooth.max()
    image = np.clip(0.2 + 0.6 * smooth + 0.05 * rng.standard_normal(shape), 0, 1).astype(np.float32)
    cost = np.ones(shape, np.float32)
    cost[:, :6, :6] = 0
    return image, (smooth > 0.35).astype(np.uint8), cost


def blob_set(folder: Path, count: int = 3) -> Path:
    """A folder of `blobs`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        item(folder, f"img_{number:03d}", *blobs(number))
    return folder


def tiny(data: Path, **changes: Any) -> TrainSettings:
    """Four features, patches of 4 x 8 x 8 voxels, two steps an epoch; ``section__key=value`` changes it."""
    tree = {
        "data": {"folder": str(data), "leaveout": [0]},
        "network": {"name": "residual_unet", "width": 4, "levels": 1},
        "patch": [16, 24, 24],
        "batch": 2,
        "epochs": 3,
        "device": "cpu",
        "sampling": {"patches": 4},
        "validation": {"every": 2},
        "optimizer": {"learning_rate": 0.01},
    }
    named = {key.replace("__", "."): value for key, value in changes.items()}
    return parse_settings(placed(tree, named), "test")
