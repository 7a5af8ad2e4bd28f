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
    """`squared_gradient` of a voxel of an array."""
    nz, ny, nx = u.shape
    a = u[min(z + 1, nz - 1), y, x] - u[max(z - 1, 0), y, x]
    b = u[z, min(y + 1, ny - 1), x] - u[z, max(y - 1, 0), x]
    c = u[z, y, min(x + 1, nx - 1)] - u[z, y, max(x - 1, 0)]
    return squared_gradient(a, b, c, weights)


@njit
def z_face(u, z, y, x, factors):
    """Flux from voxel (z, y, x) to (z + 1, y, x)."""
    ny, nx = u.shape[1], u.shape[2]
    y0, y1, x0, x1 = max(y - 1, 0), min(y + 1, ny - 1), max(x - 1, 0), min(x + 1, nx - 1)
    a = (u[z, y1, x] - u[z, y0, x]) + (u[z + 1, y1, x] - u[z + 1, y0, x])
    b = (u[z, y, x1] - u[z, y, x0]) + (u[z + 1, y, x1] - u[z + 1, y, x0])
    return face_flux(u[z + 1, y, x] - u[z, y, x], a, b, factors)


@njit
def y_face(u, z, y, x, factors):
    """Flux from voxel (z, y, x) to (z, y + 1, x)."""
    nz, nx = u.shape[0], u.shape[2]
    z0, z1, x0, x1 = max(z - 1, 0), min(z + 1, nz - 1), max(x - 1, 0), min(x + 1, nx - 1)
    a = (u[z1, y, x] - u[z0, y, x]) + (u[z1, y + 1, x] - u[z0, y + 1, x])
    b = (u[z, y, x1] - u[z, y, x0]) + (u[z, y + 1, x1] - u[z, y + 1, x0])
    return face_flux(u[z, y + 1, x] - u[z, y, x], a, b, factors)


@njit
def x_face(u, z, y, x, factors):
    """Flux from voxel (z, y, x) to (z, y, x + 1)."""
    nz, ny = u.shape[0], u.shape[1]
    z0, z1, y0, y1 = max(z - 1, 0), min(z + 1, nz - 1), max(y - 1, 0), min(y + 1, ny - 1)
    a = (u[z1, y, x] - u[z0, y, x]) + (u[z1, y, x + 1] - u[z0, y, x + 1])
    b = (u[z, y1, x] - u[z, y0, x]) + (u[z, y1, x + 1] - u[z, y0, x + 1])
    return face_flux(u[z, y, x + 1] - u[z, y, x], a, b, factors)
