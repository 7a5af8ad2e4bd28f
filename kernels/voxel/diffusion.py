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
    nearest = np.int32(y * _LOG2E - _HALF)  # y <= 0, so cutting off rounds to the nearest
    n = np.float32(nearest)
    r = (y - n * _LN2_HIGH) - n * _LN2_LOW
    p = _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    p = p * r + _ONE
    p = p * r + _ONE
    power = np.int32((nearest + np.int32(127)) << np.int32(23)).view(np.float32)
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


@njit
def squared_gradient(u, w, z, y, x):
    """Squared magnitude of the central-difference gradient; the border voxel is repeated outside."""
    nz, ny, nx = u.shape
    a = w[0] * (u[min(z + 1, nz - 1), y, x] - u[max(z - 1, 0), y, x]) * _HALF
    b = w[1] * (u[z, min(y + 1, ny - 1), x] - u[z, max(y - 1, 0), x]) * _HALF
    c = w[2] * (u[z, y, min(x + 1, nx - 1)] - u[z, y, max(x - 1, 0)]) * _HALF
    return a * a + b * b + c * c


@njit
def z_face(u, w, z, y, x, inverse):
    """Flux from voxel (z, y, x) to (z + 1, y, x)."""
    ny, nx = u.shape[1], u.shape[2]
    y0, y1, x0, x1 = max(y - 1, 0), min(y + 1, ny - 1), max(x - 1, 0), min(x + 1, nx - 1)
    a = w[1] * ((u[z, y1, x] - u[z, y0, x]) + (u[z + 1, y1, x] - u[z + 1, y0, x])) * _HALF
    b = w[2] * ((u[z, y, x1] - u[z, y, x0]) + (u[z + 1, y, x1] - u[z + 1, y, x0])) * _HALF
    return face_flux(w[0] * (u[z + 1, y, x] - u[z, y, x]), a, b, inverse)


@njit
def y_face(u, w, z, y, x, inverse):
    """Flux from voxel (z, y, x) to (z, y + 1, x)."""
    nz, nx = u.shape[0], u.shape[2]
    z0, z1, x0, x1 = max(z - 1, 0), min(z + 1, nz - 1), max(x - 1, 0), min(x + 1, nx - 1)
    a = w[0] * ((u[z1, y, x] - u[z0, y, x]) + (u[z1, y + 1, x] - u[z0, y + 1, x])) * _HALF
    b = w[2] * ((u[z, y, x1] - u[z, y, x0]) + (u[z, y + 1, x1] - u[z, y + 1, x0])) * _HALF
    return face_flux(w[1] * (u[z, y + 1, x] - u[z, y, x]), a, b, inverse)


@njit
def x_face(u, w, z, y, x, inverse):
    """Flux from voxel (z, y, x) to (z, y, x + 1)."""
    nz, ny = u.shape[0], u.shape[1]
    z0, z1, y0, y1 = max(z - 1, 0), min(z + 1, nz - 1), max(y - 1, 0), min(y + 1, ny - 1)
    a = w[0] * ((u[z1, y, x] - u[z0, y, x]) + (u[z1, y, x + 1] - u[z0, y, x + 1])) * _HALF
    b = w[1] * ((u[z, y1, x] - u[z, y0, x]) + (u[z, y1, x + 1] - u[z, y0, x + 1])) * _HALF
    return face_flux(w[2] * (u[z, y, x + 1] - u[z, y, x]), a, b, inverse)
