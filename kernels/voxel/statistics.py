"""Numbers that stand for a voxel in a statistic: integers of the order of its value, fixed-point units, bins.

Read as int32, with the bits below the sign flipped for negative values, float32 values are ordered as they are.
"""

import numpy as np
from numba import njit

MAGNITUDE = np.int32(0x7FFFFFFF)
_SIGN = np.int32(31)
_ZERO = np.int32(0)
_LAST = np.int32(255)

# Units are taken from the middle of their range, 2**30, and cut at this bit, so that squares fit.
CUT = 15
MIDDLE = 1 << 30


@njit(forceinline=True)
def ordered(bits):
    """The integer of a value's bits, int32."""
    return np.int32(bits ^ ((bits >> _SIGN) & MAGNITUDE))


@njit(forceinline=True)
def ordered_with_one_zero(bits):
    """`ordered`, where -0.0 counts as 0.0."""
    return _ZERO if bits == ~MAGNITUDE else ordered(bits)


@njit(forceinline=True)
def within_bins(place):
    """A bin's number cut to 0 .. 255."""
    return np.int32(min(max(np.int32(place), _ZERO), _LAST))


@njit(forceinline=True)
def correction(value, edges, place):
    """Added to an estimated bin: the edges on both sides decide; the last bin is closed."""
    down = np.int32(value < edges[place])
    return np.int32((value >= edges[place - down + 1]) & (place - down < _LAST)) - down


@njit(forceinline=True)
def stretched(value, lowest, highest, bound, low, epsilon, divisor):
    """``(x - low + epsilon) / divisor`` of a value that is replaced by `low` above `bound` and then clipped."""
    value = low if value > bound else value
    value = lowest if value < lowest else value
    value = highest if value > highest else value
    return (value - low + epsilon) / divisor


def whole_sums(sums):
    """Number, sum and sum of squares of units from the sums of loops, as integers of any size.

    Parameters
    ----------
    sums : 5 ints
        Number of units, their sum from the middle, and the sums of products of their halves: upper and upper, upper and
        lower, lower and lower.
    """
    count, units, upper, both, lower = map(int, sums)
    squares = (upper << 2 * CUT) + (both << CUT + 1) + lower
    return count, units + MIDDLE * count, squares + 2 * MIDDLE * units + MIDDLE * MIDDLE * count
