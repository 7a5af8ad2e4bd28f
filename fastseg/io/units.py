"""Lengths in files, brought to micrometres."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastseg.errors import UsageError
from fastseg.types import Spacing

_SYMBOLS = {
    "pm": 1e-6,
    "\u00c5": 1e-4,  # A with ring, and the angstrom sign, which looks the same
    "\u212b": 1e-4,
    "A": 1e-4,
    "nm": 1e-3,
    "um": 1.0,
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,  # Greek mu, where OME-XML uses the micro sign
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "km": 1e9,
    "thou": 25.4,
    "in": 25400.0,
    "ft": 304800.0,
    "yd": 914400.0,
}
_WORDS = {
    "picometer": 1e-6,
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micron": 1.0,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "decimeter": 1e5,
    "meter": 1e6,
    "kilometer": 1e9,
    "inch": 25400.0,
    "inche": 25400.0,  # what is left of "inches"
    "foot": 304800.0,
    "yard": 914400.0,
}


def micrometres_per(unit: str | None) -> float | None:
    """Micrometres in one `unit` of length, or None when `unit` is missing or is no length ("pixel", "sec").

    Knows the symbols of OME-XML, the words of OME-Zarr and ImageJ's spellings, which include an escaped
    ``\\u00B5m``.
    """
    if not unit:
        return None
    text = unit.strip().replace("\\u00B5", "µ").replace("\\u00b5", "µ")
    if text in _SYMBOLS:
        return _SYMBOLS[text]
    word = text.lower().replace("metre", "meter")
    # "MM" is not safely a millimetre, so symbols keep their case except for the micrometre's.
    if word in ("um", "µm", "\u03bcm"):
        return 1.0
    return _WORDS.get(word) or _WORDS.get(word.removesuffix("s"))


def known_spacing(values: Sequence[float | None]) -> Spacing | None:
    """(z, y, x) in micrometres when all three are positive finite lengths, else None."""
    if len(values) != 3 or any(v is None or not math.isfinite(v) or v <= 0 for v in values):
        return None
    z, y, x = (float(v) for v in values if v is not None)
    return z, y, x


def check_spacing(spacing: Sequence[float], parameter: str = "spacing") -> Spacing:
    """`spacing` as three positive floats.

    Raises
    ------
    UsageError
        When there are not exactly three positive finite lengths.
    """
    known = known_spacing(tuple(spacing))
    if known is None:
        raise UsageError(
            f"{parameter}={tuple(spacing)} is not a voxel size: three positive lengths (z, y, x) in "
            "micrometres are needed."
        )
    return known
