"""Statistics of a box of an image in parallel, in integers: the same for any tiles and any number of threads.

A box is cut into parts of whole rows, each with sums and counts of its own; integers add up to the same in any order.
Where comparisons of floats would not go into vector registers, the bits of the values stand for them: read as int32,
with the bits below the sign flipped for negative values, they are ordered as the values are.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels.cpu.boxes import row_of, share_of, shares_of, size_of
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import fitting, spread

__all__ = ["extremes", "fixed_point", "stretch"]

_MAGNITUDE = np.int32(0x7FFFFFFF)
_SHIFT = np.int32(31)

# Units are taken from the middle of their range, 2**30, and cut at this bit, so that squares fit.
_CUT = 15
_BELOW_CUT = 0x7FFF
_MIDDLE = 2.0**30


@inner
def _extremes_of(
    bits: np.ndarray, bound: np.int32, instead: np.int32, lowest: np.int32, highest: np.int32
) -> tuple[np.int32, np.int32]:
    """Ordered integers of the extremes of a row and those before it."""
    for x in range(bits.shape[0]):
        value = bits[x]
        key = value ^ ((value >> _SHIFT) & _MAGNITUDE)
        key = instead if key > bound else key
        lowest = min(lowest, key)
        highest = max(highest, key)
    return lowest, highest


@compiled
def _extremes(
    begin: int,
    end: int,
    bits: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    bound: np.int32,
    instead: np.int32,
    found: np.ndarray,
) -> None:
    shares = found.shape[0]
    for part in range(begin, end):
        first, last = share_of(start, stop, part, shares)
        lowest, highest = _MAGNITUDE, ~_MAGNITUDE
        for row in range(first, last):
            z, y = row_of(start, stop, row)
            lowest, highest = _extremes_of(
                bits[z, y, start[2] : stop[2]], bound, instead, np.int32(lowest), np.int32(highest)
            )
        found[part, 0] = lowest
        found[part, 1] = highest


@inner
def _units(
    values: np.ndarray, above: np.float32, below: np.float32, low: float, scale: float, units: np.ndarray
) -> int:
    """Units of a row, counted from the middle of their range, 0 for values that do not count; gives how many do."""
    count = 0
    for x in range(values.shape[0]):
        value = values[x]
        inside = (value > above) & (value < below)
        # rounded to an integer first: then the subtraction is exact and 32 bits suffice
        unit = np.rint((np.float64(value) - low) * scale) - _MIDDLE
        units[x] = np.int32(unit if inside else 0.0)
        count += np.int64(inside)
    return count


@inner
def _add_units(units: np.ndarray, total: np.ndarray) -> None:
    """Add the sum of a row's units and the sums of products of their halves."""
    units_sum, high_high, high_low, low_low = 0, 0, 0, 0
    for x in range(units.shape[0]):
        unit = np.int64(units[x])
        upper, lower = unit >> _CUT, unit & _BELOW_CUT
        units_sum += unit
        high_high += upper * upper
        high_low += upper * lower
        low_low += lower * lower
    total[1] += units_sum
    total[2] += high_high
    total[3] += high_low
    total[4] += low_low


@compiled
def _fixed_point(
    begin: int,
    end: int,
    image: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    above: np.float32,
    below: np.float32,
    low: float,
    scale: float,
    sums: np.ndarray,
) -> None:
    shares = sums.shape[0]
    for part in range(begin, end):
        first, last = share_of(start, stop, part, shares)
        units = np.empty(stop[2] - start[2], np.int32)
        for row in range(first, last):
            z, y = row_of(start, stop, row)
            sums[part, 0] += _units(image[z, y, start[2] : stop[2]], above, below, low, scale, units)
            _add_units(units, sums[part])


@inner
def _stretch_row(
    row: np.ndarray,
    limits: tuple[np.float32, np.float32],
    bound: np.float32,
    low: np.float32,
    epsilon: np.float32,
    divisor: np.float32,
    out: np.ndarray,
) -> None:
    lowest, highest = limits
    for x in range(row.shape[0]):
        value = low if row[x] > bound else row[x]
        value = lowest if value < lowest else value
        value = highest if value > highest else value
        out[x] = (value - low + epsilon) / divisor


@compiled
def _stretch(
    begin: int,
    end: int,
    image: np.ndarray,
    limits: tuple[np.float32, np.float32],
    bound: np.float32,
    low: np.float32,
    epsilon: np.float32,
    divisor: np.float32,
    out: np.ndarray,
) -> None:
    for row in range(begin, end):
        _stretch_row(image[row], limits, bound, low, epsilon, divisor, out[row])


def extremes(
    bits: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    bound: int = 2**31 - 1,
    instead: int = 0,
) -> tuple[int, int]:
    """Lowest and highest value of a box as ordered integers; NaN counts as the highest or lowest of all.

    Parameters
    ----------
    bits : ndarray of int32, shape (Z, Y, X), C-contiguous
        Of a float32 image.
    start, stop : (z, y, x)
        The box, not empty.
    bound, instead : int
        Ordered integers: `instead` is taken for values above `bound`; by default no value is.
    """
    with fitting(size_of(start, stop)):
        found = np.empty((shares_of(start, stop), 2), np.int32)
        spread(_extremes, len(found), bits, start, stop, np.int32(bound), np.int32(instead), found)
    return int(found[:, 0].min()), int(found[:, 1].max())


def fixed_point(
    image: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    limits: tuple[np.float32, np.float32],
    low: float,
    scale: float,
) -> tuple[int, int, int]:
    """Number, sum and sum of squares of ``u = rint((x - low) * scale)`` over the voxels of a box between two limits.

    Parameters
    ----------
    image : ndarray of float32, shape (Z, Y, X), C-contiguous
    start, stop : (z, y, x)
        The box, not empty.
    limits : 2 float32
        Only values between them count, the limits not among them.
    low, scale : float
        Such that u lies between 0 and 2**31 for all values of the box.

    Returns
    -------
    tuple of int
        Exact, of any size.
    """
    with fitting(size_of(start, stop)):
        sums = np.zeros((shares_of(start, stop), 5), np.int64)
        spread(_fixed_point, len(sums), image, start, stop, *limits, low, scale, sums)
    count, units, upper, both, lower = (sum(map(int, column)) for column in sums.T)
    squares = (upper << 2 * _CUT) + (both << _CUT + 1) + lower
    middle = int(_MIDDLE)  # the units of the loops are counted from here
    return count, units + middle * count, squares + 2 * middle * units + middle * middle * count


def stretch(
    image: np.ndarray,
    limits: tuple[np.float32, np.float32],
    bound: np.float32,
    low: np.float32,
    epsilon: np.float32,
    divisor: np.float32,
    out: np.ndarray,
) -> None:
    """``(x - low + epsilon) / divisor`` of values that are clipped first, or replaced by `low` above a bound.

    Parameters
    ----------
    image : ndarray of float32, shape (rows, X), C-contiguous
    limits : 2 float32
        To which values are clipped.
    bound : float32
        Values above it count as `low`.
    low, epsilon, divisor : float32
    out : ndarray of float32, shape (rows, X)
    """
    with fitting(image.size):
        spread(_stretch, len(image), image, limits, bound, low, epsilon, divisor, out)
