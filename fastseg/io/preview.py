"""A picture of a result for a quick look: the raw image beside its outlines, or beside an image made of it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.errors import InputError
from fastseg.io.atomic import atomic_output
from fastseg.io.drawing import (
    BACKGROUND,
    FAINT,
    GAP,
    TEXT,
    badge,
    edge_source,
    fit_text,
    grey_panel,
    load_font,
    outlined,
    panel_size,
    percent,
    scale_bar,
)
from fastseg.io.units import check_spacing
from fastseg.types import Spacing

_PANEL = (560, 1600)
"""Least and greatest length of a panel's longer side, in pixels; images in between are shown as they are."""


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

    Two rows, the maximum projection along z and the middle plane (one row for a single plane); two columns, the raw
    image and the same with the outline of the mask. Contrast is stretched between percentiles of each raw panel.

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
    _check_shapes(image, mask, "a mask")
    size = None if spacing is None else check_spacing(spacing)
    raw, objects = _views(image, np.asarray), _views(mask, lambda plane: edge_source(np.asarray(plane)))
    panel = _panel_of(image, size)
    # The projection covers the mask: it is empty only if every plane is.
    nothing = not objects[0].plane.any()
    rows = []
    for view, marks in zip(raw, objects, strict=True):
        left = grey_panel(view.plane, panel)
        found = (
            f"segmented: {percent(marks.plane)} of the area" if marks.plane.any() else "no voxel segmented"
        )
        right = _Cell(found, outlined(left, marks.plane), "empty mask" if nothing else "")
        rows.append((_Cell(view.caption, left), right))
    return _write(Path(path), rows, image, size, title, overwrite)


def write_step_preview(
    path: str | os.PathLike[str],
    image: Any,
    step: Any,
    *,
    spacing: Sequence[float] | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a PNG of an image that a step made, beside the raw one.

    Laid out like `write_preview`; contrast is stretched in every panel by itself.

    Parameters
    ----------
    path : path-like
        The PNG; it appears only when complete.
    image, step : array-like
        (Z, Y, X) intensities, raw and made by the step. Lazy arrays are read a plane at a time.
    spacing, title, overwrite
        As in `write_preview`.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        When the two are not stacks of the same shape.
    UsageError
        When the spacing is no voxel size.
    WriteError
        When the picture exists already or cannot be written.
    """
    _check_shapes(image, step, "an image of a step")
    size = None if spacing is None else check_spacing(spacing)
    panel = _panel_of(image, size)
    rows = []
    for view, made in zip(_views(image, np.asarray), _views(step, np.asarray), strict=True):
        left, right = (grey_panel(v.plane, panel) for v in (view, made))
        limits = f"values {np.nanmin(made.plane):.4g} to {np.nanmax(made.plane):.4g}"
        rows.append((_Cell(view.caption, left), _Cell(limits, right)))
    return _write(Path(path), rows, image, size, title, overwrite)


@dataclass(frozen=True)
class _View:
    """A plane of a stack, or its projection."""

    caption: str
    plane: np.ndarray


@dataclass(frozen=True)
class _Cell:
    """A panel: its caption, its RGB picture, and a warning across it where there is one."""

    caption: str
    picture: Any
    warning: str = ""


def _check_shapes(image: Any, other: Any, what: str) -> None:
    shape = tuple(int(n) for n in image.shape)
    if len(shape) != 3 or 0 in shape or shape != tuple(int(n) for n in other.shape):
        raise InputError(
            f"a preview needs an image and {what} of the same (Z, Y, X) shape, got {shape} and "
            f"{tuple(other.shape)}."
        )


def _panel_of(image: Any, spacing: Spacing | None) -> tuple[int, int]:
    return panel_size(int(image.shape[1]), int(image.shape[2]), spacing, *_PANEL)


def _views(stack: Any, prepare: Any) -> list[_View]:
    """The maximum projection of a stack and, if there are several planes, the middle one; read a plane at a time."""
    depth = int(stack.shape[0])
    projection = prepare(stack[0])
    for z in range(1, depth):
        # fmax, so that a NaN in one plane does not hide the others.
        projection = np.fmax(projection, prepare(stack[z]))
    views = [_View("maximum projection", projection)]
    if depth > 1:
        middle = depth // 2
        views.append(_View(f"middle plane, z = {middle} of 0 to {depth - 1}", prepare(stack[middle])))
    return views


def _write(
    file: Path,
    rows: Sequence[tuple[_Cell, _Cell]],
    image: Any,
    spacing: Spacing | None,
    title: str | None,
    overwrite: bool,
) -> Path:
    micrometres = None if spacing is None else int(image.shape[2]) * spacing[2]
    picture = _compose(rows, micrometres, title)
    with atomic_output(file, overwrite=overwrite, needed=picture.width * picture.height * 3) as temporary:
        picture.save(temporary, format="PNG", compress_level=4)
    return file


def _compose(rows: Sequence[tuple[_Cell, _Cell]], micrometres: float | None, title: str | None) -> Any:
    """The picture: a heading and rows of two panels, which are `micrometres` wide."""
    from PIL import Image, ImageDraw

    panel = rows[0][0].picture.size
    font, small = load_font(max(15, panel[0] // 40)), load_font(max(13, panel[0] // 48))
    line = math.ceil(small.size * 1.7)
    head = math.ceil(font.size * 2.1) if title else GAP
    height = head + len(rows) * (line + panel[1] + GAP)
    canvas = Image.new("RGB", (2 * panel[0] + 3 * GAP, height), color=BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    if title:
        heading = fit_text(draw, title, font, canvas.width - 2 * GAP)
        draw.text((GAP, head // 2), heading, fill=TEXT, font=font, anchor="lm")
    for row, cells in enumerate(rows):
        top = head + row * (line + panel[1] + GAP)
        for column, cell in enumerate(cells):
            left = GAP + column * (panel[0] + GAP)
            draw.text((left, top + line // 2), cell.caption, fill=FAINT, font=small, anchor="lm")
            canvas.paste(cell.picture, (left, top + line))
            if micrometres is not None:
                scale_bar(draw, (left, top + line), panel, micrometres, small)
            if cell.warning:
                badge(draw, (left + panel[0] // 2, top + line + 2 * font.size), cell.warning, font)
    return canvas
