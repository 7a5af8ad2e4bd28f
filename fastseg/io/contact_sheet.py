"""Many results for one image side by side: its plane in every panel, with the outline of one result."""

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
    edge_source,
    fit_text,
    grey_panel,
    load_font,
    outlined,
    panel_size,
    scale_bar,
)
from fastseg.io.units import check_spacing

LARGEST = 6000
"""Greatest width and height of a sheet in pixels; panels shrink to fit."""

_PANEL = (400, 640)
"""Least and greatest length of a panel's longer side where there is room; planes in between are shown as they are."""

_LEAST_IN_ROWS = 120
"""Length of a panel's longer side below which wanted columns are given up for rows that fill the sheet."""

_ASPECT = 1.5


@dataclass(frozen=True)
class Panel:
    """One result.

    Attributes
    ----------
    mask : ndarray (Y', X')
        Everything but 0 is outlined. May be on another grid than the image's plane.
    heading : tuple of str
        Lines of the caption, such as the values that led to the result.
    facts : tuple of str
        What was found; on one line where there is room.
    """

    mask: np.ndarray
    heading: tuple[str, ...]
    facts: tuple[str, ...] = ()


def write_contact_sheet(
    path: str | os.PathLike[str],
    plane: np.ndarray,
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    spacing: Sequence[float] | None = None,
    title: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a PNG with a panel for every result, at most 6000 pixels wide and high.

    Parameters
    ----------
    path : path-like
        The PNG; it appears only when complete.
    plane : ndarray (Y, X)
        Raw intensities; contrast is stretched between percentiles.
    panels : sequence of Panel
        In rows from the upper left.
    columns : int, optional
        Panels in a row; by default, and where they would become too small, as many as make a sheet of usual
        proportions.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in micrometres: adds a scale bar, and shows y and x in proportion.
    title : str, optional
        Heading.
    overwrite : bool
        Whether an existing picture is replaced.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        When the plane or a mask is not 2-D, or there is no panel.
    UsageError
        When the spacing is no voxel size.
    WriteError
        When the picture exists already or cannot be written.
    """
    if plane.ndim != 2 or 0 in plane.shape or not panels or any(p.mask.ndim != 2 for p in panels):
        raise InputError(
            f"a contact sheet needs a (Y, X) plane and at least one (Y, X) mask, got a plane of shape "
            f"{tuple(plane.shape)} and masks of shapes {sorted({p.mask.shape for p in panels})}"
        )
    size = None if spacing is None else check_spacing(spacing)
    height, width = plane.shape
    layout = _lay_out(panels, panel_size(height, width, size, *_PANEL), columns)
    picture = _compose(plane, panels, layout, None if size is None else width * size[2], title)
    file = Path(path)
    with atomic_output(file, overwrite=overwrite, needed=picture.width * picture.height * 3) as temporary:
        picture.save(temporary, format="PNG", compress_level=4)
    return file


@dataclass(frozen=True)
class _Layout:
    """Grid, panel size (width, height) and text of a sheet, in pixels."""

    columns: int
    rows: int
    panel: tuple[int, int]
    font_size: int
    joined: bool
    lines: int

    @property
    def line(self) -> int:
        return math.ceil(self.font_size * 1.35)

    @property
    def cell(self) -> tuple[int, int]:
        """Width and height of a panel with its caption and the gap after it."""
        return self.panel[0] + GAP, self.panel[1] + self.lines * self.line + GAP

    @property
    def width(self) -> int:
        return GAP + self.columns * self.cell[0]

    @property
    def height(self) -> int:
        return _HEAD + self.rows * self.cell[1]


_HEAD = 40


def _lay_out(panels: Sequence[Panel], panel: tuple[int, int], columns: int | None) -> _Layout:
    count = len(panels)
    layout = _fitted(panels, panel, min(columns, count)) if columns else None
    if layout is None or max(layout.panel) < _LEAST_IN_ROWS:
        cell = _Layout(1, 1, panel, 14, True, len(panels[0].heading) + 1).cell
        layout = _fitted(panels, panel, min(count, math.ceil(math.sqrt(count * _ASPECT * cell[1] / cell[0]))))
    return layout


def _fitted(panels: Sequence[Panel], panel: tuple[int, int], columns: int) -> _Layout:
    """The layout with this many columns, its panels shrunk until the sheet has at most the greatest size."""
    rows = math.ceil(len(panels) / columns)
    scale = 1.0
    while True:
        shrunk = max(1, int(panel[0] * scale)), max(1, int(panel[1] * scale))
        layout = _with_captions(panels, columns, rows, shrunk)
        if (layout.width <= LARGEST and layout.height <= LARGEST) or shrunk == (1, 1):
            return layout
        scale *= 0.97


def _with_captions(panels: Sequence[Panel], columns: int, rows: int, panel: tuple[int, int]) -> _Layout:
    size = max(11, min(16, panel[0] // 24))
    font = load_font(size)
    longest = max((", ".join(p.facts) for p in panels), key=len)
    joined = font.getlength(longest) <= panel[0]
    lines = max(len(p.heading) + (bool(p.facts) if joined else len(p.facts)) for p in panels)
    return _Layout(columns, rows, panel, size, joined, lines)


def _compose(
    plane: np.ndarray, panels: Sequence[Panel], layout: _Layout, micrometres: float | None, title: str | None
) -> Any:
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (layout.width, layout.height), color=BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font, heading = load_font(layout.font_size), load_font(17)
    if title:
        text = fit_text(draw, title, heading, canvas.width - 2 * GAP)
        draw.text((GAP, _HEAD // 2), text, fill=TEXT, font=heading, anchor="lm")
    raw = grey_panel(plane, layout.panel)
    for number, panel in enumerate(panels):
        left = GAP + number % layout.columns * layout.cell[0]
        top = _HEAD + number // layout.columns * layout.cell[1]
        facts = [", ".join(panel.facts)] if layout.joined and panel.facts else list(panel.facts)
        colours = [TEXT] * len(panel.heading) + [FAINT] * len(facts)
        for i, (line, colour) in enumerate(zip([*panel.heading, *facts], colours, strict=True)):
            text = fit_text(draw, line, font, layout.panel[0])
            draw.text((left, top + (i + 0.5) * layout.line), text, fill=colour, font=font, anchor="lm")
        corner = left, top + layout.lines * layout.line
        canvas.paste(outlined(raw, edge_source(panel.mask)), corner)
        if number == 0 and micrometres is not None:
            scale_bar(draw, corner, layout.panel, micrometres, font)
    return canvas
