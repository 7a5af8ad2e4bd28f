"""Test-time flips: the network sees the image mirrored as well, and the probabilities are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Literal, TypeAlias

import numpy as np

from fastseg.errors import UsageError
from fastseg.types import Box

Flip: TypeAlias = tuple[bool, bool, bool]
"""Which of (z, y, x) are mirrored."""

FlipSet: TypeAlias = Literal["none", "single", "all"]

NO_FLIP: Flip = (False, False, False)

_SETS: dict[str, tuple[Flip, ...]] = {
    "none": (NO_FLIP,),
    # the reference's order: X, Y, Z, none
    "single": ((False, False, True), (False, True, False), (True, False, False), NO_FLIP),
    "all": tuple((z, y, x) for z, y, x in product((False, True), repeat=3)),
}


def flip_set(name: str) -> tuple[Flip, ...]:
    """The flips of a set: ``none``, ``single`` (each axis alone, and the image itself) or ``all`` eight.

    Raises
    ------
    UsageError
        If there is no such set.
    """
    if name not in _SETS:
        raise UsageError(f"flips '{name}' are unknown: use {', '.join(_SETS)}")
    return _SETS[name]


def flipped(array: np.ndarray, flip: Flip) -> np.ndarray:
    """A view of the last three axes, mirrored."""
    return array[(..., *(slice(None, None, -1) if f else slice(None) for f in flip))]


def flipped_box(box: Box, shape: Sequence[int], flip: Flip) -> Box:
    """Where a box lies in the mirrored volume."""
    start = tuple(n - b if f else a for (a, b), n, f in zip(box, shape, flip, strict=True))
    stop = tuple(n - a if f else b for (a, b), n, f in zip(box, shape, flip, strict=True))
    return Box(start, stop)
