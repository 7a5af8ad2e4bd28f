"""Eigenvalues of symmetric 2x2 and 3x3 matrices in float32 alone, for devices whose float64 is slow.

The closed form of `fastseg.kernels.voxel.eigen` needs ``s = sqrt((1 - r) / 2)`` for ``r = det(B) / (2 p**3)``, B
being the matrix without its mean: near a double root, where r is close to 1 and filaments have their eigenvalues,
half of the digits are lost, and in float32 too few are left. Here the two arguments ``sqrt((1 + |r|) / 2)`` and
``sqrt((1 - |r|) / 2)`` come from their product instead, ``sqrt(1 - r**2) / 2``, without a difference of numbers that
are almost equal: with the matrix ``C = B**2 - 2 p**2`` (p**2 is a sixth of the sum of squares of B) one finds by
Cayley and Hamilton

    ``|B|**2 |C|**2 - <B, C>**2 = 36 p**6 (1 - r**2)``

and the left side is a sum of ten squares, the 2x2 minors of B and C as vectors of the five-dimensional space of
symmetric matrices without a trace (Lagrange's identity). Errors of the minors are of the size of their terms, and so
the eigenvalues are in error by less than 4e-7 times the largest of their magnitudes, at double roots as well.

B is scaled so that its largest element is 1: nothing overflows or underflows, whatever the range of the image.
"""

from math import sqrt

import numpy as np
from numba import njit

_ZERO, _QUARTER, _HALF = np.float32(0.0), np.float32(0.25), np.float32(0.5)
_ONE, _TWO, _THREE = np.float32(1.0), np.float32(2.0), np.float32(3.0)
_LEAST = np.float32(1e-37)
"""What is not larger counts as 0: the inverse of a denormal number is infinite."""
_THIRD, _TWELFTH = np.float32(1 / 3), np.float32(1 / 12)


@njit(forceinline=True)
def third_of_arccos(s):
    """cos(2/3 arccos(s)) on [0, 1]; minimax polynomial of degree 8, error 3e-9 before rounding."""
    y = np.float32(-0.0006528804660774767)
    y = y * s + np.float32(0.0037619592621922493)
    y = y * s + np.float32(-0.01041370164602995)
    y = y * s + np.float32(0.01975037157535553)
    y = y * s + np.float32(-0.03199629858136177)
    y = y * s + np.float32(0.05329756811261177)
    y = y * s + np.float32(-0.11109679937362671)
    y = y * s + np.float32(0.5773497819900513)
    return y * s + _HALF


@njit(forceinline=True)
def minors(a, b, c, w, v, u, double):
    """Sum of squares of the 2x2 minors of B and C.

    Parameters
    ----------
    a, b, c, w, v, u : float32
        zz, yy, xx, zy, zx, yx of B, without a trace.
    double : float32
        ``2 p**2``.
    """
    ww, vv, uu = w * w, v * v, u * u
    ca, cb, cc = a * a + (ww + vv) - double, b * b + (ww + uu) - double, c * c + (vv + uu) - double
    cw, cv, cu = v * u - c * w, w * u - b * v, w * v - a * u
    of_w, of_v, of_u = v * cw - w * cv, u * cw - w * cu, u * cv - v * cu
    total = _TWO * _TWO * (of_w * of_w + of_v * of_v + of_u * of_u)
    d, e = a - b, ca - cb
    of_w, of_v, of_u = d * cw - w * e, d * cv - v * e, d * cu - u * e
    total += of_w * of_w + of_v * of_v + of_u * of_u
    of_w, of_v, of_u = c * cw - w * cc, c * cv - v * cc, c * cu - u * cc
    total += _THREE * (of_w * of_w + of_v * of_v + of_u * of_u)
    last = d * cc - c * e
    return total + _THREE * _QUARTER * last * last


@njit(error_model="numpy", forceinline=True)
def eigenvalues_3x3(zz, yy, xx, zy, zx, yx):
    """Eigenvalues of a symmetric 3x3 matrix of float32, ascending but for rounding; float32."""
    mean = (zz + yy + xx) * _THIRD
    a, b, c = zz - mean, yy - mean, xx - mean
    size = max(max(abs(a), abs(b)), max(abs(c), max(abs(zy), max(abs(zx), abs(yx)))))
    inverse = _ONE / size if size > _LEAST else _ZERO
    a, b, c, w, v, u = a * inverse, b * inverse, c * inverse, zy * inverse, zx * inverse, yx * inverse
    ww, vv, uu = w * w, v * v, u * u
    double = (a * a + b * b + c * c + _TWO * (ww + vv + uu)) * _THIRD
    p = np.float32(sqrt(_HALF * double))
    cube = _HALF * double * p
    cube = cube if cube > _ZERO else _ONE
    half = _HALF * (a * (b * c - uu) - b * vv - c * ww + _TWO * (w * v * u)) / cube
    product = np.float32(sqrt(minors(a, b, c, w, v, u, double))) * _TWELFTH / cube
    large = np.float32(sqrt(_HALF + _HALF * min(abs(half), _ONE)))
    small = min(product / large, _ONE)
    positive = half >= _ZERO
    high = _TWO * p * third_of_arccos(large if positive else small)
    low = -_TWO * p * third_of_arccos(small if positive else large)
    return mean + size * low, mean - size * (low + high), mean + size * high


@njit(error_model="numpy", forceinline=True)
def eigenvalues_2x2(yy, xx, yx):
    """Eigenvalues of a symmetric 2x2 matrix of float32, ascending; float32."""
    mean = _HALF * (yy + xx)
    half = abs(_HALF * (yy - xx))
    other = abs(yx)
    large, small = max(half, other), min(half, other)
    ratio = small / large if large > _LEAST else _ZERO
    root = large * np.float32(sqrt(_ONE + ratio * ratio))
    return mean - root, mean + root
