"""What pictures of stacks are drawn with: grey values, outlines, scale bars, text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastseg.types import Spacing

OUTLINE = (255, 214, 10)
BACKGROUND = (22, 22, 26)
TEXT = (235, 235, 235)
FAINT = (165, 165, 172)
GAP = 12

_PERCENTILES = (0.5, 99.8)
_SAMPLES = 1 << 20


def edge_source(mask: np.ndarray) -> np.ndarray:
    """Labels as they are, everything else as 0 and 1."""
    return mask if mask.dtype.kind in "ui" else (mask != 0).astype(np.uint8)


def stretch(plane: np.ndarray) -> np.ndarray:
    """8-bit grey values between two percentiles of the finite values."""
    values = plane.astype(np.float32)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return np.zeros(plane.shape, np.uint8)
    low, high = np.percentile(finite[:: max(1, finite.size // _SAMPLES)], _PERCENTILES)
    if high <= low:  # a plane of few bright voxels has both percentiles in the background
        low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.zeros(plane.shape, np.uint8)
    scaled = np.clip((values - low) / (high - low), 0, 1)
    return np.rint(255 * np.nan_to_num(scaled)).astype(np.uint8)


def outlined(raw: Any, objects: np.ndarray) -> Any:
    """`raw` with the borders of the objects, drawn at the panel's resolution so that they stay thin."""
    from PIL import Image, ImageFilter

    if not objects.any():
        return raw
    rows = np.arange(raw.height) * objects.shape[0] // raw.height
    columns = np.arange(raw.width) * objects.shape[1] // raw.width
    if objects.shape[0] > raw.height or objects.shape[1] > raw.width:
        shrink = np.maximum.reduceat(np.maximum.reduceat(objects, rows, axis=0), columns, axis=1)
    else:
        shrink = objects[np.ix_(rows, columns)]
    padded = np.pad(shrink, 1, mode="edge")
    centre = padded[1:-1, 1:-1]
    edge = np.zeros(centre.shape, bool)
    for neighbour in (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]):
        edge |= (centre != neighbour) & (centre != 0)
    stroke = Image.fromarray(edge.astype(np.uint8) * 255)
    if max(raw.size) >= 1100:
        stroke = stroke.filter(ImageFilter.MaxFilter(3))
    result = raw.copy()
    result.paste(OUTLINE, (0, 0), stroke)
    return result


def panel_size(
    height: int, width: int, spacing: Spacing | None, least: int, greatest: int
) -> tuple[int, int]:
    """Width and height of a panel in pixels.

    Parameters
    ----------
    height, width : int
        Of the plane, in voxels.
    spacing : tuple of float or None
        Voxel size (z, y, x): shows y and x in proportion.
    least, greatest : int
        Bounds of the panel's longer side; planes in between are shown voxel by voxel.
    """
    aspect = 1.0 if spacing is None else min(4.0, max(0.25, spacing[1] / spacing[2]))
    tall, wide = height * aspect, float(width)
    longest = max(tall, wide)
    scale = min(greatest / longest, 1.0) if longest >= least else least / longest
    if scale > 1.0 and aspect == 1.0:
        scale = math.ceil(scale)  # whole factors keep voxels square
        scale = scale if longest * scale <= greatest else least / longest
    return max(1, round(wide * scale)), max(1, round(tall * scale))


def grey_panel(plane: np.ndarray, panel: tuple[int, int]) -> Any:
    """A plane as an RGB picture of the size of a panel, its contrast stretched."""
    from PIL import Image

    return Image.fromarray(stretch(plane)).resize(panel, resampling(plane.shape, panel)).convert("RGB")


def resampling(shape: tuple[int, ...], panel: tuple[int, int]) -> Any:
    from PIL import Image

    # Magnified voxels stay visible as squares, as the data are; reduced ones are averaged.
    return Image.Resampling.NEAREST if panel[0] >= shape[1] else Image.Resampling.BOX


def scale_bar(
    draw: Any, corner: tuple[int, int], panel: tuple[int, int], micrometres: float, font: Any
) -> None:
    length = round_length(micrometres / 4)
    pixels = max(1, round(panel[0] * length / micrometres))
    thick = max(3, panel[0] // 160)
    margin = max(10, panel[0] // 45)
    right, bottom = corner[0] + panel[0] - margin, corner[1] + panel[1] - margin
    text = f"{length:g} um"  # the built-in font has no micro sign
    box = draw.textbbox((right - pixels / 2, bottom - thick - 4), text, font=font, anchor="ms")
    pad = 5
    left = min(box[0], right - pixels)
    # A dark plate: bars have to be legible on bright tissue too.
    draw.rectangle((left - pad, box[1] - pad, max(right, box[2]) + pad, bottom + pad), fill=(0, 0, 0))
    draw.text((right - pixels / 2, bottom - thick - 4), text, fill=(255, 255, 255), font=font, anchor="ms")
    draw.rectangle((right - pixels, bottom - thick, right, bottom), fill=(255, 255, 255))


def round_length(longest: float) -> float:
    """The greatest of 1, 2, 5 times a power of ten that is not longer than `longest`."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(step * power for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9))


def badge(draw: Any, centre: tuple[int, int], text: str, font: Any) -> None:
    box = draw.textbbox(centre, text, font=font, anchor="mm")
    draw.rectangle((box[0] - 12, box[1] - 8, box[2] + 12, box[3] + 8), fill=(120, 24, 24))
    draw.text(centre, text, fill=(255, 255, 255), font=font, anchor="mm")


def percent(objects: np.ndarray) -> str:
    share = 100 * np.count_nonzero(objects) / objects.size
    return f"{share:.1f} %" if share >= 0.1 else "less than 0.1 %"


def fit_text(draw: Any, text: str, font: Any, width: int) -> str:
    """`text` with its middle left out where it is wider than `width` pixels."""
    if draw.textlength(text, font=font) <= width:
        return text
    for keep in range(len(text) // 2, 0, -1):
        short = f"{text[:keep]}...{text[-keep:]}"
        if draw.textlength(short, font=font) <= width:
            return short
    return text[:1]


def load_font(size: int) -> Any:
    """The built-in font, which needs no file."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
