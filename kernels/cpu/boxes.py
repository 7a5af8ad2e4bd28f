"""Boxes of an image cut into parts of whole rows, one for each thread."""

from __future__ import annotations

from math import prod

from fastseg.kernels import threads
from fastseg.kernels.jit import inner

__all__ = ["row_of", "share_of", "shares_of", "size_of"]


@inner
def row_of(start: tuple[int, int, int], stop: tuple[int, int, int], number: int) -> tuple[int, int]:
    """Plane and row in the image of a row of a box."""
    height = stop[1] - start[1]
    return start[0] + number // height, start[1] + number % height


@inner
def share_of(
    start: tuple[int, int, int], stop: tuple[int, int, int], part: int, shares: int
) -> tuple[int, int]:
    """The rows of a box that belong to a part."""
    rows = (stop[0] - start[0]) * (stop[1] - start[1])
    return part * rows // shares, (part + 1) * rows // shares


def shares_of(start: tuple[int, int, int], stop: tuple[int, int, int]) -> int:
    """Parts of a box that keep all threads at work."""
    return min(threads.count(), (stop[0] - start[0]) * (stop[1] - start[1]))


def size_of(start: tuple[int, int, int], stop: tuple[int, int, int]) -> int:
    return prod(b - a for a, b in zip(start, stop, strict=True))
