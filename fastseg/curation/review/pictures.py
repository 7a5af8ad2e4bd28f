"""Pictures of the views of a stack: one file with all of them, a thumbnail, and masks as short texts."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.curation.review.planes import View
from fastseg.io.drawing import outlined, stretch

_PIXELS = 1 << 20
"""Pixels of a view at most; larger planes are reduced by a whole number."""

_LONGEST = 1 << 13
"""Pixels of a view's longer side at most."""

_GUTTER = 8
"""Pixels around each view that repeat its edge, so that neither compression nor scaling mixes two views."""

_LOSSLESS_BELOW = 1 << 16
"""Pixels up to which a picture is stored without loss: so small that it costs nothing."""

_QUALITY = 90
_THUMBNAIL = (96, 72)

_DIGITS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)
_DIGIT_BITS = 5
_MORE = 1 << _DIGIT_BITS


@dataclass(frozen=True)
class Picture:
    """An encoded picture: its bytes and its kind, ``jpeg`` or ``png``."""

    data: bytes
    kind: str


@dataclass(frozen=True)
class Strip:
    """All views of a stack in one picture.

    Attributes
    ----------
    picture : Picture
        8-bit grey.
    corners : tuple of (int, int)
        Left and top pixel of each view.
    size : (int, int)
        Width and height of every view in pixels.
    reduction : int
        Voxels a pixel, along y and x.
    """

    picture: Picture
    corners: tuple[tuple[int, int], ...]
    size: tuple[int, int]
    reduction: int


def reduction_for(height: int, width: int) -> int:
    """Voxels a pixel along y and x, so that a view has at most about a million pixels."""
    return max(1, math.ceil(math.sqrt(height * width / _PIXELS)), math.ceil(max(height, width) / _LONGEST))


def grey_views(raw: np.ndarray, views: Sequence[View]) -> list[np.ndarray]:
    """The views as 8-bit grey values, (Y, X) each.

    Contrast is stretched between percentiles: for the projection by itself, for the planes together, so that they can
    be compared.

    Parameters
    ----------
    raw : ndarray (Z, Y, X)
    views : sequence of View
    """
    planes = [view.plane for view in views if view.plane is not None]
    stretched = dict(zip(planes, stretch(raw[planes]), strict=True)) if planes else {}
    return [
        # fmax, so that a NaN in one plane does not hide the others
        stretch(np.fmax.reduce(raw, axis=0)) if view.plane is None else stretched[view.plane]
        for view in views
    ]


def mask_views(mask: np.ndarray, views: Sequence[View], reduction: int) -> list[np.ndarray]:
    """The views of a mask, each pixel true where any of its voxels is; bool, (rows, columns) each."""
    shown = [np.asarray(mask.any(axis=0) if view.plane is None else mask[view.plane]) for view in views]
    return [_any_of_blocks(plane, reduction) for plane in shown]


def _any_of_blocks(plane: np.ndarray, size: int) -> np.ndarray:
    if size == 1:
        return plane
    rows, columns = (np.arange(0, n, size) for n in plane.shape)
    return np.logical_or.reduceat(np.logical_or.reduceat(plane, rows, axis=0), columns, axis=1)


def strip_of(views: Sequence[np.ndarray]) -> Strip:
    """One picture of several views of the same size, along the shorter side so that it does not grow too long.

    Parameters
    ----------
    views : sequence of ndarray of uint8 (Y, X)
    """
    from PIL import Image

    height, width = views[0].shape
    reduction = reduction_for(height, width)
    cells = [np.asarray(Image.fromarray(np.ascontiguousarray(v)).reduce(reduction)) for v in views]
    rows, columns = cells[0].shape
    # Whole blocks of compression for each cell.
    pad = [(_GUTTER, _GUTTER + -n % 8) for n in (rows, columns)]
    padded = [np.pad(cell, pad, mode="edge") for cell in cells]
    tall, wide = padded[0].shape
    down = columns >= rows
    corners = tuple(
        (_GUTTER + (0 if down else i * wide), _GUTTER + (i * tall if down else 0)) for i in range(len(cells))
    )
    return Strip(_encoded(np.concatenate(padded, axis=0 if down else 1)), corners, (columns, rows), reduction)


def _encoded(grey: np.ndarray) -> Picture:
    from PIL import Image

    picture, stream = Image.fromarray(grey), io.BytesIO()
    if grey.size <= _LOSSLESS_BELOW:
        picture.save(stream, format="PNG", optimize=True)
        return Picture(stream.getvalue(), "png")
    picture.save(stream, format="JPEG", quality=_QUALITY, optimize=True)
    return Picture(stream.getvalue(), "jpeg")


def thumbnail(grey: np.ndarray, mask: np.ndarray) -> Picture:
    """A small picture with outlines.

    Parameters
    ----------
    grey : ndarray of uint8 (Y, X)
    mask : ndarray of bool, same shape
    """
    from PIL import Image

    scale = min(_THUMBNAIL[0] / grey.shape[1], _THUMBNAIL[1] / grey.shape[0])
    size = tuple(max(1, round(n * scale)) for n in grey.shape[::-1])
    small: Any = Image.fromarray(np.ascontiguousarray(grey))
    small = small.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST)
    stream = io.BytesIO()
    outlined(small.convert("RGB"), mask.astype(np.uint8)).save(stream, format="JPEG", quality=80)
    return Picture(stream.getvalue(), "jpeg")


def run_lengths(mask: np.ndarray) -> str:
    """A mask as the lengths of its runs, row after row, background first.

    Each length is written in digits of 5 bits, the lowest first, as letters of the URL-safe base 64; a digit that is
    followed by another of the same number has bit 6 set. The page reads them (``masks.js``).

    Parameters
    ----------
    mask : ndarray of bool (rows, columns)
    """
    flat = np.concatenate(([False], mask.ravel(), [not mask.flat[-1]]))
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = np.diff(ends, prepend=0)
    count = max(1, math.ceil(int(lengths.max()).bit_length() / _DIGIT_BITS))
    rest = lengths[:, None] >> (_DIGIT_BITS * np.arange(count + 1))
    digits = (rest[:, :-1] % _MORE) + _MORE * (rest[:, 1:] > 0)
    needed = (np.arange(count) == 0) | (rest[:, :-1] > 0)
    return _DIGITS[digits[needed]].tobytes().decode("ascii")
