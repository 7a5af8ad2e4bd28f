"""Flux of gradient anisotropic diffusion through one face (Perona and Malik, IEEE TPAMI 12(7), 1990), in float32."""

import numpy as np
from numba import njit

_ROUND_32 = np.float32(1.5 * 2**23)
"""Added to a small float32, its last place is 1: the sum is rounded to a whole number that stands in its low bits."""
_ROUND_64 = 1.5 * 2.0**52
_ROUND_64_BITS = np.float64(_ROUND_64).view(np.int64)
_LOG2E = np.float32(1.4426950408889634)
_SIXTEENTH = np.float32(0.0625)
_LOWEST = np.float32(-64.0)
_C5 = np.float32(0.001326472731307149)
_C4 = np.float32(0.009671512991189957)
_C3 = np.float32(0.05550733581185341)
_C2 = np.float32(0.24022242426872253)
_C1 = np.float32(0.6931470036506653)
_ONE = np.float32(1.0)
_FIRST, _NEXT = np.uint64(0), np.uint64(1)
_CUT, _BELOW_CUT = np.int64(24), np.int64((1 << 24) - 1)
_HALF = np.float32(0.5)


@njit(forceinline=True)
def power_of_two(x):
    """2**x for float32 x <= 0, error below 3 ulp; below -64 the value at -64, 5e-20.

    A minimax polynomial of degree 5 (error 9e-8) of what lies beyond the nearest whole number, which is added to the
    exponent bits. The floor keeps products with the result out of the denormal numbers, which are slow.
    """
    y = np.float32(max(x, _LOWEST))  # Numba's simulator of CUDA hands on float64
    shifted = y + _ROUND_32
    f = y - (shifted - _ROUND_32)
    p = _C5
    p = p * f + _C4
    p = p * f + _C3
    p = p * f + _C2
    p = p * f + _C1
    p = p * f + _ONE
    return np.int32(np.float32(p).view(np.int32) + (np.float32(shifted).view(np.int32) << np.int32(23))).view(
        np.float32
    )


@njit(forceinline=True)
def face_factors(weights, inverse, time_step):
    """What the fluxes through the faces across z, y and x are computed with.

    Parameters
    ----------
    weights : 3 float32
        1 / spacing along z, y, x.
    inverse : float32
        ``-1 / (2 conductance**2 G)`` with G the mean squared gradient of the whole volume; not positive.
    time_step : float32

    Returns
    -------
    3 tuples of 4 float32
        Factors in the exponent of the squares of `normal`, `tangent_a` and `tangent_b`, and of the flux, for
        `face_flux`.
    """
    base = _LOG2E * inverse
    z, y, x = base * weights[0] * weights[0], base * weights[1] * weights[1], base * weights[2] * weights[2]
    a, b, c = _SIXTEENTH * z, _SIXTEENTH * y, _SIXTEENTH * x  # a tangent is four times the mean derivative
    return (
        (z, b, c, time_step * weights[0]),
        (y, a, c, time_step * weights[1]),
        (x, a, b, time_step * weights[2]),
    )


@njit(forceinline=True)
def face_flux(normal, tangent_a, tangent_b, factors):
    """Flux through a face in one time step.

    Parameters
    ----------
    normal : float32
        Difference of the two voxels.
    tangent_a, tangent_b : float32
        Sums over the two voxels of the differences between their neighbours along the two other axes, z before y
        before x.
    factors : 4 float32
        One of `face_factors`.
    """
    exponent = normal * normal * factors[0]
    exponent += tangent_a * tangent_a * factors[1] + tangent_b * tangent_b * factors[2]
    return factors[3] * normal * power_of_two(exponent)


@njit(forceinline=True)
def squared_gradient(a, b, c, weights):
    """Squared magnitude of the gradient; float32.

    Parameters
    ----------
    a, b, c : float32
        Differences between the neighbours along z, y and x, the voxel itself standing in for one outside the image.
    weights : 3 float32
        1 / spacing along z, y, x.
    """
    a = _HALF * weights[0] * a
    b = _HALF * weights[1] * b
    c = _HALF * weights[2] * c
    return a * a + b * b + c * c


@njit(forceinline=True)
def fixed_point(value, scale):
    """The whole number nearest to float32 `value` times float64 `scale`, which must stay below 2**51; int64."""
    shifted = np.float64(value) * scale + _ROUND_64
    return np.float64(shifted).view(np.int64) - _ROUND_64_BITS


@njit
def squared_gradient_at(u, weights, z, y, x):
    """`squared_gradient` of a voxel of an array; its place in unsigned numbers."""
    nz, ny, nx = np.uint64(u.shape[0]), np.uint64(u.shape[1]), np.uint64(u.shape[2])
    z0, y0, x0 = (
        z - _NEXT if z > _FIRST else z,
        y - _NEXT if y > _FIRST else y,
        x - _NEXT if x > _FIRST else x,
    )
    z1, y1, x1 = min(z + _NEXT, nz - _NEXT), min(y + _NEXT, ny - _NEXT), min(x + _NEXT, nx - _NEXT)
    a = u[z1, y, x] - u[z0, y, x]
    b = u[z, y1, x] - u[z, y0, x]
    c = u[z, y, x1] - u[z, y, x0]
    return squared_gradient(a, b, c, weights)


@njit(error_model="numpy")
def inverse_of_mean(upper, lower, count, units, doubled):
    """The factor ``-1 / (2 conductance**2 G)`` of `face_factors`, float32; 1, which no G gives, where G is not above 0.

    Parameters
    ----------
    upper, lower : int64
        The sum of all squared gradients in fixed point is ``upper 2**24 + lower``.
    count : int64
        Voxels of the volume.
    units : float64
        Fixed-point units per unit of squared gradient.
    doubled : float64
        ``2 conductance**2``.
    """
    # below 2**53 after the carry, so that the sum is rounded once, as that of an integer of any size is
    high, low = np.float64(upper + (lower >> _CUT)), np.float64(lower & _BELOW_CUT)
    mean = (high * 16777216.0 + low) / units / np.float64(count) if units > 0.0 else 0.0
    return np.float32(-1.0 / (doubled * mean)) if mean > 0.0 else _ONE
