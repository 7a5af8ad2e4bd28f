"""Flux of gradient anisotropic diffusion through one face (Perona and Malik, IEEE TPAMI 12(7), 1990), in float32."""

import numpy as np
from numba import njit

_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(-2.12194440e-4)
_HALF = np.float32(0.5)
_ZERO = np.float32(0.0)
_LOWEST = np.float32(-87.0)
_C6 = np.float32(0.0013941108433972674)
_C5 = np.float32(0.008375126398153335)
_C4 = np.float32(0.04166635289677516)
_C3 = np.float32(0.16666415514653277)
_C2 = np.float32(0.5000000047117757)
_ONE = np.float32(1.0)


@njit
def exponential(x):
    """exp(x) for float32 x <= 0, error below 2 ulp; 0 below -87.

    Cody and Waite's reduction to [-ln2/2, ln2/2], a minimax polynomial of degree 6 (error 2e-9), and the power of two
    written into the exponent bits.
    """
    y = max(x, _LOWEST)
    n = np.floor(y * _LOG2E + _HALF)
    r = (y - n * _LN2_HIGH) - n * _LN2_LOW
    p = _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = p * r + _ONE
    p = p * r + _ONE
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return p * power if x > _LOWEST else _ZERO


@njit
def face_flux(normal, tangent_a, tangent_b, inverse):
    """Flux through a face.

    Parameters
    ----------
    normal : float32
        Difference across the face.
    tangent_a, tangent_b : float32
        Sums of the central differences on both sides of the face along the two other axes (twice their mean).
    inverse : float32
        ``1 / K``, ``K = -2 conductance**2 * mean squared gradient``; not positive.
    """
    a = _HALF * tangent_a
    b = _HALF * tangent_b
    return normal * exponential((normal * normal + a * a + b * b) * inverse)
