"""Options that hold three numbers."""

from __future__ import annotations

import re

from fastseg.errors import UsageError


def whole_triple(text: str | None, option: str) -> tuple[int, int, int] | None:
    """``z,y,x`` as whole numbers above 0; None stays None.

    Raises
    ------
    UsageError
        For anything else.
    """
    if text is None:
        return None
    try:
        z, y, x = (int(part) for part in text.split(","))
    except ValueError:
        z = y = x = 0
    if min(z, y, x) < 1:
        raise UsageError(
            f"{option} '{text}' is not a size: give three whole numbers z,y,x above 0, such as 32,256,256"
        )
    return z, y, x


def length_triple(text: str | None, option: str) -> tuple[float, float, float] | None:
    """``z,y,x`` as lengths in micrometres; None stays None.

    Raises
    ------
    UsageError
        For anything but three positive finite numbers.
    """
    if text is None:
        return None
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError:
        z = y = x = 0.0
    if not all(0 < length < float("inf") for length in (z, y, x)):
        raise UsageError(
            f"{option} '{text}' is not a voxel size: give three lengths z,y,x in micrometres, such as 0.29,0.11,0.11"
        )
    return z, y, x


def ratio_triple(text: str | None, option: str) -> tuple[float, float, float] | None:
    """``z,y,x`` as ratios of lengths; None stays None.

    Raises
    ------
    UsageError
        For anything but three positive finite numbers.
    """
    if text is None:
        return None
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError:
        z = y = x = 0.0
    if not all(0 < ratio < float("inf") for ratio in (z, y, x)):
        raise UsageError(
            f"{option} '{text}' is not a resize: give three ratios z,y,x of new to old length, such as 1,0.5,0.5"
        )
    return z, y, x


_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 2**10,
    "mi": 2**20,
    "gi": 2**30,
    "ti": 2**40,
}


def memory_size(text: str | None) -> int | None:
    """A number of bytes such as ``4GiB``, ``500MB`` or ``2g``; None stays None.

    Raises
    ------
    UsageError
        For anything else, and for less than one byte.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", text.strip().lower())
    size = int(float(match[1]) * _UNITS.get(match[2], 0)) if match else 0
    if size < 1:
        raise UsageError(f"'{text}' is not a memory size: write a number and a unit, such as 4GiB or 500MB")
    return size
