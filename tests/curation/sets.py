"""Small folders of raw images, segmentations and masks for tests of curation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

SHAPE = (4, 18, 20)
SPACING = (0.3, 0.2, 0.1)
MARK = "_struct_segmentation"


def raw_stack(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """uint16 noise."""
    return np.random.default_rng(seed).integers(100, 4000, shape).astype(np.uint16)


def blocks(*boxes: tuple[slice, ...], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A bool mask of boxes."""
    found = np.zeros(shape, bool)
    for box in boxes:
        found[box] = True
    return found


A = (slice(0, 2), slice(2, 6), slice(2, 6))  # 32 voxels
B = (slice(1, 4), slice(10, 15), slice(4, 9))  # 75 voxels
C = (slice(2, 3), slice(2, 4), slice(14, 18))  # 8 voxels


def write_raw(path: Path, array: np.ndarray, axes: str = "ZYX") -> Path:
    """An OME-TIFF with axes and voxel size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata: dict[str, Any] = {"axes": axes}
    for axis, length in zip("ZYX", SPACING, strict=True):
        metadata |= {f"PhysicalSize{axis}": length, f"PhysicalSize{axis}Unit": "µm"}
    tifffile.imwrite(path, array, ome=True, metadata=metadata)
    return path


def write_plain(path: Path, array: np.ndarray) -> Path:
    """A TIFF as other programs leave it; masks as 0 and 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = array.astype(np.uint8) * 255 if array.dtype == bool else array
    tifffile.imwrite(path, values, photometric="minisblack")
    return path


def write_set(folder: Path, count: int = 2) -> tuple[Path, Path]:
    """Folders of raw images ``cell0.ome.tif`` and on, and of their segmentations: A, and B in images of odd number."""
    for number in range(count):
        write_raw(folder / "raw" / f"cell{number}.ome.tif", raw_stack(number))
        mask = blocks(A, B) if number % 2 else blocks(A)
        write_plain(folder / "seg" / f"cell{number}{MARK}.tiff", mask)
    return folder / "raw", folder / "seg"


def trained(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, ground truth and cost of a training folder as a trainer reads them: axes of length 1 dropped."""
    stem = f"img_{number:03d}"
    image, label, cost = (
        np.squeeze(tifffile.imread(folder / f"{stem}{kind}.ome.tif")) for kind in ("", "_GT", "_CM")
    )
    return image, label, cost
