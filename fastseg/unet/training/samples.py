"""Pictures of held-back images: what the microscope saw, what should be found, what was found, and the difference."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fastseg.io.atomic import atomic_output
from fastseg.unet.training.validation import Sample

When = Literal["best", "last"]

INDEX = "samples.json"
_FOLDER = "samples"
_LEAST = 224
"""Smallest side of a panel on the page: smaller ones are enlarged by whole numbers."""

_GAP = 6

MISSED = (0, 114, 178)
WRONG = (230, 120, 0)
RIGHT = (190, 190, 190)
IGNORED = (70, 70, 70)
"""Colours of the error panel; the first two are told apart by all common forms of colour blindness."""


@dataclass(frozen=True)
class Picture:
    """A picture of the report.

    Attributes
    ----------
    name : str
        Of the image.
    plane, epoch : int
    dice : float
        Of the whole image.
    png : bytes
        Four panels side by side.
    """

    name: str
    plane: int
    epoch: int
    dice: float
    png: bytes


def save_samples(folder: Path, whens: Sequence[When], samples: Sequence[Sample], epoch: int) -> None:
    """Keep pictures in the folder of a run, in place of those before, under each of `whens`.

    Raises
    ------
    WriteError
    """
    index = _index(folder)
    encoded = [picture(sample) for sample in samples]
    for when in whens:
        about = []
        for number, (sample, png) in enumerate(zip(samples, encoded, strict=True)):
            name = f"{when}_{number}.png"
            with atomic_output(folder / _FOLDER / name, overwrite=True, needed=len(png)) as file:
                file.write_bytes(png)
            about.append({"name": sample.name, "plane": sample.plane, "dice": sample.dice, "file": name})
        index[when] = {"epoch": epoch, "pictures": about}
    text = json.dumps(index, indent=1).encode()
    with atomic_output(folder / _FOLDER / INDEX, overwrite=True, needed=len(text)) as file:
        file.write_bytes(text)


def read_samples(folder: Path) -> dict[str, list[Picture]]:
    """The pictures that are there, by `When`."""
    found = {}
    for when, part in _index(folder).items():
        found[when] = [
            Picture(
                p["name"], p["plane"], part["epoch"], p["dice"], (folder / _FOLDER / p["file"]).read_bytes()
            )
            for p in part["pictures"]
        ]
    return found


def _index(folder: Path) -> dict[str, dict]:
    file = folder / _FOLDER / INDEX
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def picture(sample: Sample) -> bytes:
    """The `panels` as a PNG."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(panels(sample)).save(out, "PNG")
    return out.getvalue()


def panels(sample: Sample) -> np.ndarray:
    """Raw, truth, probability and difference side by side: (Y, X, 4) uint8, red, green, blue and opacity."""
    four = [
        _grey(sample.raw),
        _mask(sample.true, sample.counts),
        _grey(sample.probability),
        difference(sample),
    ]
    height, width = sample.raw.shape
    scale = max(1, -(-_LEAST // max(height, width)))
    gap = np.zeros((height * scale, _GAP, 4), np.uint8)  # transparent: the page may be dark or light
    row = [gap] * (2 * len(four) - 1)
    row[::2] = [_opaque(panel).repeat(scale, 0).repeat(scale, 1) for panel in four]
    return np.concatenate(row, axis=1)


def difference(sample: Sample) -> np.ndarray:
    """(Y, X, 3) uint8: right foreground, missed and wrong voxels, and those that do not count."""
    found = np.zeros((*sample.raw.shape, 3), np.uint8)
    found[sample.predicted & sample.true] = RIGHT
    found[~sample.predicted & sample.true] = MISSED
    found[sample.predicted & ~sample.true] = WRONG
    found[~sample.counts] = IGNORED
    return found


def _opaque(panel: np.ndarray) -> np.ndarray:
    return np.concatenate([panel, np.full((*panel.shape[:2], 1), 255, np.uint8)], axis=2)


def _grey(plane: np.ndarray) -> np.ndarray:
    return np.repeat(plane[:, :, None], 3, axis=2)


def _mask(mask: np.ndarray, counts: np.ndarray) -> np.ndarray:
    found = _grey(np.where(mask, np.uint8(255), np.uint8(0)))
    found[~counts] = IGNORED
    return found
