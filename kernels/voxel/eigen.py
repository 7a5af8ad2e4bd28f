"""Eigenvalues of symmetric 2x2 and 3x3 matrices in closed form, without trigonometric calls.

The largest root of the characteristic polynomial of the normalised matrix is ``2 cos(arccos(r) / 3)`` with r half its
determinant (Smith, Comm. ACM 4, 168, 1961). With ``s = sqrt((1 + r) / 2) = cos(arccos(r) / 2)`` this is ``2 g(s)``,
``g(s) = cos(2/3 arccos(s))``, which is analytic on [0, 1], so one polynomial replaces both library calls. The smallest
root is minus the largest one of the negated matrix, ``s = sqrt((1 - r) / 2)``.
"""

from math import sqrt

from numba import njit

_THIRD = 1.0 / 3.0
_SIXTH = 1.0 / 6.0


@njit(forceinline=True)
def _third_of_arccos(s):
    """cos(2/3 arccos(s)) on [0, 1]; minimax polynomial of degree 11, error 1.1e-11.

    Far below what is left of the float32 differences that matrices are made of, and rounded so that the roots keep
    their order where two are equal: twice the value at 0 is above the value at 1.
    """
    y = 0.00012906789222556694
    y = y * s - 0.0009231812284968522
    y = y * s + 0.003117164329456068
    y = y * s - 0.006809530667847546
    y = y * s + 0.011336818783169614
    y = y * s - 0.01634196925764353
    y = y * s + 0.022690426244715893
    y = y * s - 0.03289383627591906
    y = y * s + 0.053455762871367066
    y = y * s - 0.11111098990272017
    y = y * s + 0.5773502672116929
    return y * s + 0.500000000000001


@njit(error_model="numpy", forceinline=True)
def eigenvalues_3x3(zz, yy, xx, zy, zx, yx):
    """Eigenvalues of a symmetric 3x3 matrix of float64, ascending; float64.

    The error is 2e-11 of the matrix norm; close to a double root it is that of the square root of a rounding error,
    about 1e-8. Without a branch, so that loops over voxels vectorise.
    """
    mean = (zz + yy + xx) * _THIRD
    a, b, c = zz - mean, yy - mean, xx - mean
    ww, vv, uu = zy * zy, zx * zx, yx * yx
    spread = (a * a + b * b + c * c + 2.0 * (ww + vv + uu)) * _SIXTH
    p = sqrt(spread)
    cube = p * spread
    half = (a * (b * c - uu) - b * vv - c * ww + 2.0 * (zy * yx * zx)) / (cube + cube)
    half = half if cube > 0.0 else 0.0  # all equal, or so close that the cube underflows
    half = min(1.0, max(-1.0, half))
    high = mean + 2.0 * p * _third_of_arccos(sqrt(0.5 + 0.5 * half))
    low = mean - 2.0 * p * _third_of_arccos(sqrt(0.5 - 0.5 * half))
    return low, 3.0 * mean - low - high, high


@njit(forceinline=True)
def eigenvalues_2x2(yy, xx, yx):
    """Eigenvalues of a symmetric 2x2 matrix, ascending; float64."""
    mean = 0.5 * (yy + xx)
    half = 0.5 * (yy - xx)
    root = sqrt(half * half + yx * yx)
    return mean - root, mean + root


@njit(forceinline=True)
def by_magnitude_3(low, middle, high):
    """Three ascending values reordered by ascending absolute value; ties keep the ascending order of the values."""
    negative = abs(high) < abs(low)
    last = low if negative else high
    a = middle if negative else low
    b = high if negative else middle
    swap = abs(b) < abs(a)
    return b if swap else a, a if swap else b, last


@njit(forceinline=True)
def by_magnitude_2(low, high):
    """Two ascending values reordered by ascending absolute value; a tie keeps the ascending order of the values."""
    if abs(high) < abs(low):
        return high, low
    return low, high
