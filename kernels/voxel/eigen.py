"""Eigenvalues of symmetric 2x2 and 3x3 matrices in closed form, without trigonometric calls.

The largest root of the characteristic polynomial of the normalised matrix is ``2 cos(arccos(r) / 3)`` with r half its
determinant (Smith, Comm. ACM 4, 168, 1961). With ``s = sqrt((1 + r) / 2) = cos(arccos(r) / 2)`` this is ``2 g(s)``,
``g(s) = cos(2/3 arccos(s))``, which is analytic on [0, 1], so one polynomial replaces both library calls. The smallest
root is minus the largest one of the negated matrix, ``s = sqrt((1 - r) / 2)``.
"""

from math import sqrt

from numba import njit


@njit
def _third_of_arccos(s):
    """cos(2/3 arccos(s)) on [0, 1]; minimax polynomial of degree 16, error 1.1e-15."""
    y = -1.0463542260690353e-05
    y = y * s + 0.00010095798366719795
    y = y * s - 0.00046078208535352147
    y = y * s + 0.00133728979683041
    y = y * s - 0.002816466032580059
    y = y * s + 0.0046970976598522405
    y = y * s - 0.006671117834689949
    y = y * s + 0.008619560127017638
    y = y * s - 0.01071518452244945
    y = y * s + 0.013341303630929164
    y = y * s - 0.017065652716757137
    y = y * s + 0.022867706866585125
    y = y * s - 0.032921763412191066
    y = y * s + 0.053458355943440644
    y = y * s - 0.11111111105104708
    y = y * s + 0.5773502691890049
    return y * s + 0.5000000000000011


@njit
def eigenvalues_3x3(zz, yy, xx, zy, zx, yx):
    """Eigenvalues of a symmetric 3x3 matrix, ascending; float64.

    Close to a double root the error is that of the square root of a rounding error, about 1e-8 of the matrix norm.
    """
    mean = (zz + yy + xx) / 3.0
    a, b, c = zz - mean, yy - mean, xx - mean
    off = zy * zy + zx * zx + yx * yx
    spread = (a * a + b * b + c * c + 2.0 * off) / 6.0
    p = sqrt(spread)
    cube = p * spread
    if cube <= 0.0:  # all equal, or so close that the cube underflows
        return mean, mean, mean
    half = (a * (b * c - yx * yx) - zy * (zy * c - yx * zx) + zx * (zy * yx - b * zx)) / (2.0 * cube)
    half = min(1.0, max(-1.0, half))
    high = mean + 2.0 * p * _third_of_arccos(sqrt(0.5 + 0.5 * half))
    low = mean - 2.0 * p * _third_of_arccos(sqrt(0.5 - 0.5 * half))
    return low, 3.0 * mean - low - high, high


@njit
def eigenvalues_2x2(yy, xx, yx):
    """Eigenvalues of a symmetric 2x2 matrix, ascending; float64."""
    mean = 0.5 * (yy + xx)
    half = 0.5 * (yy - xx)
    root = sqrt(half * half + yx * yx)
    return mean - root, mean + root


@njit
def by_magnitude_3(low, middle, high):
    """Three ascending values reordered by ascending absolute value; ties keep the ascending order of the values."""
    a, b, c = low, middle, high
    if abs(b) < abs(a):
        a, b = b, a
    if abs(c) < abs(b):
        b, c = c, b
        if abs(b) < abs(a):
            a, b = b, a
    return a, b, c


@njit
def by_magnitude_2(low, high):
    """Two ascending values reordered by ascending absolute value; a tie keeps the ascending order of the values."""
    if abs(high) < abs(low):
        return high, low
    return low, high
