"""Folders of raw images and segmentations, and the commands that work on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from fastseg.cli.main import app
from fastseg.io import write_image, write_mask
from tests.support import blobs


@dataclass(frozen=True)
class Batch:
    """A folder with ``raw``, ``seg`` and ``seg2``; images are called ``cell_0`` and on."""

    folder: Path
    raws: list[np.ndarray]
    masks: list[np.ndarray]
    others: list[np.ndarray]

    def paths(self, *names: str) -> list[str]:
        return [str(self.folder / name) for name in names]

    def stem(self, index: int) -> str:
        return f"cell_{index}"


def make_batch(folder: Path, count: int, shape: tuple[int, int, int] = (7, 24, 30), seed: int = 0) -> Batch:
    """Bright blobs with the masks of two thresholds."""
    raws, masks, others = [], [], []
    for i in range(count):
        raw = np.rint(1000 * blobs(shape, np.random.default_rng(seed + i))).astype(np.uint16) + 100
        raws.append(raw)
        masks.append(raw > 350)
        others.append(raw > 500)
        write_image(folder / "raw" / f"cell_{i}.tiff", raw)
        for name, mask in (("seg", masks[i]), ("seg2", others[i])):
            write_mask(folder / name / f"cell_{i}_struct_segmentation.tiff", mask)
    return Batch(folder, raws, masks, others)


def curate(*arguments: object) -> Result:
    """Run ``fastseg curate`` with these arguments; nothing but an exit code may come out."""
    result = CliRunner().invoke(app, ["curate", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result
