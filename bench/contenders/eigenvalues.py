"""Closed-form eigenvalues of symmetric matrices, written over an array namespace (NumPy or CuPy)."""

from typing import Any


def of_2x2(xp: Any, yy: Any, xx: Any, yx: Any) -> tuple[Any, Any]:
    """Both eigenvalues, by rising magnitude."""
    middle = (yy + xx) / 2
    spread = xp.sqrt(((yy - xx) / 2) ** 2 + yx**2)
    low, high = middle - spread, middle + spread
    swap = xp.abs(low) > xp.abs(high)
    return xp.where(swap, high, low), xp.where(swap, low, high)


def of_3x3(xp: Any, zz: Any, yy: Any, xx: Any, zy: Any, zx: Any, yx: Any) -> tuple[Any, Any]:
    """The two eigenvalues of largest magnitude, by rising magnitude: Smith's trigonometric form.

    References
    ----------
    .. [1] O. K. Smith, "Eigenvalues of a symmetric 3 x 3 matrix", Communications of the ACM 4 (1961) 168.
    """
    mean = (zz + yy + xx) / 3
    a, b, c = zz - mean, yy - mean, xx - mean
    scale = xp.sqrt((a**2 + b**2 + c**2 + 2 * (zy**2 + zx**2 + yx**2)) / 6)
    safe = xp.where(scale > 0, scale, 1)
    determinant = a * (b * c - yx**2) - zy * (zy * c - yx * zx) + zx * (zy * yx - b * zx)
    angle = xp.arccos(xp.clip(determinant / (2 * safe**3), -1, 1)) / 3
    high = mean + 2 * scale * xp.cos(angle)
    low = mean + 2 * scale * xp.cos(angle + 2.0943951023931953)
    rest = 3 * mean - high - low
    # by magnitude the middle of the three is either `rest` or one of the ends: drop the smallest, order the others
    smallest = xp.minimum(xp.minimum(xp.abs(high), xp.abs(low)), xp.abs(rest))
    first = xp.where(xp.abs(high) == smallest, rest, high)
    second = xp.where((xp.abs(low) == smallest) & (xp.abs(high) != smallest), rest, low)
    swap = xp.abs(first) > xp.abs(second)
    return xp.where(swap, second, first), xp.where(swap, first, second)
