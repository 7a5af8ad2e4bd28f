"""Small data sets made by rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from fastseg.unet.training.items import TrainingItem


def store(path: Path, array: np.ndarray, axes: str = "ZYX") -> Path:
    """An OME-TIFF with these labels."""
    tifffile.imwrite(
        path, array, ome=True, metadata={"axes": axes}, photometric="minisblack", compression="zlib"
    )
    return path


def item(
    folder: Path,
    name: str,
    image: np.ndarray,
    truth: np.ndarray,
    cost: np.ndarray | None = None,
) -> TrainingItem:
    """Files of an item as curation names them."""
    return TrainingItem(
        name,
        store(folder / f"{name}.ome.tif", image, "CZYX" if image.ndim == 4 else "ZYX"),
        store(folder / f"{name}_GT.ome.tif", truth),
        None if cost is None else store(folder / f"{name}_CM.ome.tif", cost),
    )


def volumes(shape: Sequence[int], seed: int, channels: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image (channels, z, y, x) of noise in [0, 1), a truth of about 3 % foreground and a cost of 0 and 1."""
    rng = np.random.default_rng(seed)
    image = rng.random((channels, *shape), dtype=np.float32)
    truth = (rng.random(shape) < 0.03).astype(np.uint8)
    cost = np.ones(shape, np.float32)
    cost[:, : shape[1] // 4] = 0
    return image, truth, cost


def data_set(
    folder: Path, shapes: Sequence[Sequence[int]], channels: int = 1, with_cost: bool = True
) -> list[TrainingItem]:
    """Items of these shapes."""
    made = []
    for number, shape in enumerate(shapes, 1):
        image, truth, cost = volumes(shape, number, channels)
        image = image if channels > 1 else image[0]
        made.append(item(folder, f"img_{number:03d}", image, truth, cost if with_cost else None))
    return made
