"""A picture of a segmentation for a quick look: raw, and raw with outlines."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.errors import InputError
from fastseg.io.atomic import atomic_output
from fastseg.io.units import check_spacing
from fastseg.types import Spacing

_PANEL = (560, 1600)
"""Least and greatest length of a panel's longer side, in pixels; images in between are shown as they are."""

_PERCENTILES = (0.5, 99.8)
_OUTLINE = (255, 214, 10)
_BACKGROUND = (22, 22, 26)
_TEXT = (235, 235, 235)
_FAINT = (165, 165, 172)
_GAP = 12
_SAMPLES = 1 << 20


def write_preview(
    path: str | os.PathLike[str],
    image: Any,
    mask: Any,
    *,
    spacing: Sequence[float] | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a PNG that shows at a glance whether a segmentation makes sense.

    Two rows, the maximum projection along z and the middle plane; two columns, the raw image and the same
    with the outline of the mask. Contrast is stretched between percentiles of each raw panel.

    Parameters
    ----------
    path : path-like
        The PNG; it appears only when complete.
    image : array-like
        (Z, Y, X) intensities. Lazy arrays are read a plane at a time.
    mask : array-like
        (Z, Y, X), everything but 0 is foreground. Touching labels are outlined one by one.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in micrometres: adds a scale bar, and shows y and x in proportion.
    title : str, optional
        Heading, such as the image's name.
    overwrite : bool
        Whether an existing picture is replaced.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        When the image and the mask are not stacks of the same shape.
    UsageError
        When the spacing is no voxel size.
    WriteError
        When the picture exists already or cannot be written.
    """
    shape = tuple(int(n) for n in image.shape)
    if len(shape) != 3 or 0 in shape or shape != tuple(int(n) for n in mask.shape):
        raise InputError(
            f"a preview needs an image and a mask of the same (Z, Y, X) shape, got {shape} and "
            f"{tuple(mask.shape)}."
        )
    size = None if spacing is None else check_spacing(spacing)
    file = Path(path)
    picture = _compose(image, mask, size, title)
    with atomic_output(file, overwrite=overwrite, needed=picture.width * picture.height * 3) as temporary:
        picture.save(temporary, format="PNG", compress_level=4)
    return file


def _compose(image: Any, mask: Any, spacing: Spacing | None, title: str | None) -> Any:
    from PIL import Image, ImageDraw

    depth, height, width = (int(n) for n in image.shape)
    middle = depth // 2
    projection, outline, voxels = _project(image, mask)
    panel = _panel_size(height, width, spacing)
    font, small = _font(max(15, panel[0] // 40)), _font(max(13, panel[0] // 48))
    line = math.ceil(small.size * 1.7)
    head = math.ceil(font.size * 2.1) if title else _GAP
    rows = [
        ("maximum projection", projection, outline),
        (
            f"middle plane, z = {middle} of 0 to {depth - 1}",
            np.asarray(image[middle]),
            _edge_source(np.asarray(mask[middle])),
        ),
    ]
    canvas = Image.new(
        "RGB", (2 * panel[0] + 3 * _GAP, head + 2 * (line + panel[1] + _GAP)), color=_BACKGROUND
    )
    draw = ImageDraw.Draw(canvas)
    if title:
        heading = _fit_text(draw, title, font, canvas.width - 2 * _GAP)
        draw.text((_GAP, head // 2), heading, fill=_TEXT, font=font, anchor="lm")
    for row, (caption, plane, objects) in enumerate(rows):
        top = head + row * (line + panel[1] + _GAP)
        raw = Image.fromarray(_stretch(plane)).resize(panel, _resampling(plane.shape, panel)).convert("RGB")
        marked = _outlined(raw, objects)
        found = "no voxel segmented" if not objects.any() else f"segmented: {_percent(objects)} of the area"
        for column, (picture, text) in enumerate(((raw, caption), (marked, found))):
            left = _GAP + column * (panel[0] + _GAP)
            draw.text((left, top + line // 2), text, fill=_FAINT, font=small, anchor="lm")
            canvas.paste(picture, (left, top + line))
            if spacing is not None:
                _scale_bar(draw, (left, top + line), panel, width * spacing[2], small)
            if column == 1 and voxels == 0:
                _badge(draw, (left + panel[0] // 2, top + line + 2 * font.size), "empty mask", font)
    return canvas


def _project(image: Any, mask: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Maximum projections of the image and of the mask, and the number of mask voxels; a plane at a time."""
    projection = objects = None
    voxels = 0
    for z in range(int(image.shape[0])):
        plane, part = np.asarray(image[z]), _edge_source(np.asarray(mask[z]))
        voxels += int(np.count_nonzero(part))
        # fmax, so that a NaN in one plane does not hide the others.
        projection = plane if projection is None else np.fmax(projection, plane)
        objects = part if objects is None else np.maximum(objects, part)
    assert projection is not None
    assert objects is not None
    return projection, objects, voxels


def _edge_source(mask: np.ndarray) -> np.ndarray:
    """Labels as they are, everything else as 0 and 1."""
    return mask if mask.dtype.kind in "ui" else (mask != 0).astype(np.uint8)


def _stretch(plane: np.ndarray) -> np.ndarray:
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


def _outlined(raw: Any, objects: np.ndarray) -> Any:
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
    result.paste(_OUTLINE, (0, 0), stroke)
    return result


def _panel_size(height: int, width: int, spacing: Spacing | None) -> tuple[int, int]:
    """Width and height of a panel in pixels."""
    aspect = 1.0 if spacing is None else min(4.0, max(0.25, spacing[1] / spacing[2]))
    tall, wide = height * aspect, float(width)
    longest = max(tall, wide)
    scale = min(_PANEL[1] / longest, 1.0) if longest >= _PANEL[0] else _PANEL[0] / longest
    if scale > 1.0 and aspect == 1.0:
        scale = math.ceil(scale)  # whole factors keep voxels square
        scale = scale if longest * scale <= _PANEL[1] else _PANEL[0] / longest
    return max(1, round(wide * scale)), max(1, round(tall * scale))


def _resampling(shape: tuple[int, ...], panel: tuple[int, int]) -> Any:
    from PIL import Image

    # Magnified voxels stay visible as squares, as the data are; reduced ones are averaged.
    return Image.Resampling.NEAREST if panel[0] >= shape[1] else Image.Resampling.BOX


def _scale_bar(
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


def _badge(draw: Any, centre: tuple[int, int], text: str, font: Any) -> None:
    box = draw.textbbox(centre, text, font=font, anchor="mm")
    draw.rectangle((box[0] - 12, box[1] - 8, box[2] + 12, box[3] + 8), fill=(120, 24, 24))
    draw.text(centre, text, fill=(255, 255, 255), font=font, anchor="mm")


def _percent(objects: np.ndarray) -> str:
    share = 100 * np.count_nonzero(objects) / objects.size
    return f"{share:.1f} %" if share >= 0.1 else "less than 0.1 %"


def _fit_text(draw: Any, text: str, font: Any, width: int) -> str:
    """`text` with its middle left out where it is wider than `width` pixels."""
    if draw.textlength(text, font=font) <= width:
        return text
    for keep in range(len(text) // 2, 0, -1):
        short = f"{text[:keep]}...{text[-keep:]}"
        if draw.textlength(short, font=font) <= width:
            return short
    return text[:1]


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
