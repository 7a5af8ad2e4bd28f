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
from fastseg.kernels.voxel.statistics import CUT, MAGNITUDE, MIDDLE, ordered, stretched, whole_sums

__all__ = ["extremes", "fixed_point", "stretch", "whole_sums"]

_BELOW_CUT = (1 << CUT) - 1
_MIDDLE = float(MIDDLE)


@inner
def _extremes_of(
    bits: np.ndarray, bound: np.int32, instead: np.int32, lowest: np.int32, highest: np.int32
) -> tuple[np.int32, np.int32]:
    """Ordered integers of the extremes of a row and those before it."""
    for x in range(bits.shape[0]):
        key = ordered(bits[x])
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
        lowest, highest = MAGNITUDE, ~MAGNITUDE
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
        upper, lower = unit >> CUT, unit & _BELOW_CUT
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
        out[x] = stretched(row[x], lowest, highest, bound, low, epsilon, divisor)


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
    found: np.ndarray,
    bound: int = 2**31 - 1,
    instead: int = 0,
) -> None:
    """Lowest and highest value of a box as ordered integers; NaN counts as the highest or lowest of all.

    Parameters
    ----------
    bits : ndarray of int32, shape (Z, Y, X), C-contiguous
        Of a float32 image.
    start, stop : (z, y, x)
        The box, not empty.
    found : ndarray of int32, shape (2,)
        Written.
    bound, instead : int
        Ordered integers: `instead` is taken for values above `bound`; by default no value is.
    """
    with fitting(size_of(start, stop)):
        parts = np.empty((shares_of(start, stop), 2), np.int32)
        spread(_extremes, len(parts), bits, start, stop, np.int32(bound), np.int32(instead), parts)
    found[0], found[1] = parts[:, 0].min(), parts[:, 1].max()


def fixed_point(
    image: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    limits: tuple[np.float32, np.float32],
    low: float,
    scale: float,
    sums: np.ndarray,
) -> None:
    """Sums of ``u = rint((x - low) * scale)`` over the voxels of a box between two limits, for `whole_sums`.

    Parameters
    ----------
    image : ndarray of float32, shape (Z, Y, X), C-contiguous
    start, stop : (z, y, x)
        The box, not empty, of at most 2**32 voxels, whose sums fit into 64 bits.
    limits : 2 float32
        Only values between them count, the limits not among them.
    low, scale : float
        Such that u lies between 0 and 2**31 for all values of the box.
    sums : ndarray of int64, shape (5,)
        Written.
    """
    with fitting(size_of(start, stop)):
        parts = np.zeros((shares_of(start, stop), 5), np.int64)
        spread(_fixed_point, len(parts), image, start, stop, *limits, low, scale, parts)
    sums[:] = parts.sum(axis=0)


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
