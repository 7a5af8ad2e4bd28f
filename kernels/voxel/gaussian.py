"""One sum of a Gaussian filter in float32, taken over differences from the voxel in the middle.

``sum_k w_k v_k = W c + sum_k w_k ((a_k - c) + (b_k - c))`` with c in the middle, a and b the pair at one distance, and
W the sum of all weights. For a smoothing kernel W is 1, so that rounding touches the contrast within reach of the
kernel alone: a constant stays what it is, and an offset of the image costs no digits. The farthest and smallest terms
come first.

With u = 2**-24 and R the range of the values within reach, an axis is in error by less than
``u (|c| + (4 + 0.8 sigma) R)``: u R for weights rounded to float32, 2 u R for the differences and their sums, u times
the mean distance from the centre, 0.8 sigma, for the running sum, and u for the final one.
"""

import numpy as np
from numba import njit

_ZERO = np.float32(0.0)
_NEXT = np.uint64(1)


@njit(forceinline=True)
def correlated(values, at, step, weights, radius):
    """The sum around one value.

    Parameters
    ----------
    values : float32 (n,)
    at, step : uint64
        Place of the value in the middle, and from one of the line to the next. Unsigned: of a signed index, compiled
        code asks every time whether it counts from the end.
    weights : float32 (radius + 1,)
        From the farthest to that at distance 1, and then the sum of all weights of both sides.
    radius : uint64
    """
    centre = values[at]
    rest = _ZERO
    low, high = at - radius * step, at + radius * step
    k = radius - radius
    while k < radius:  # for a range, the compiler keeps a second count
        rest += weights[k] * ((values[low] - centre) + (values[high] - centre))
        low += step
        high -= step
        k += _NEXT
    return weights[radius] * centre + rest


@njit(forceinline=True)
def correlated_twice(values, at, step, first, second, radius):
    """The sums with two kernels of one radius; otherwise as `correlated`."""
    centre = values[at]
    one, two = _ZERO, _ZERO
    low, high = at - radius * step, at + radius * step
    k = radius - radius
    while k < radius:
        pair = (values[low] - centre) + (values[high] - centre)
        one += first[k] * pair
        two += second[k] * pair
        low += step
        high -= step
        k += _NEXT
    return first[radius] * centre + one, second[radius] * centre + two
