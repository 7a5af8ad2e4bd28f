"""Filters written out with NumPy in float64, one definition after the other."""

from __future__ import annotations

import numpy as np


def gaussian_weights(sigma: float, truncate: float) -> np.ndarray:
    reach = int(np.floor(truncate * sigma + 0.5))
    k = np.arange(-reach, reach + 1)
    weights = np.exp(-(k**2) / (2 * sigma**2))
    return weights / weights.sum()


def second_derivative_weights(sigma: float, truncate: float = 4.0) -> np.ndarray:
    gauss = gaussian_weights(sigma, truncate)
    k = np.arange(gauss.size) - gauss.size // 2
    return (k**2 / sigma**4 - 1 / sigma**2) * gauss


def filtered(x: np.ndarray, weights: np.ndarray, axis: int, extension: str) -> np.ndarray:
    """`x` filtered along an axis; `extension` is a mode of numpy.pad: edge, or symmetric for half-mirror."""
    reach = weights.size // 2
    width = [(reach, reach) if a == axis else (0, 0) for a in range(x.ndim)]
    padded = np.pad(x.astype(np.float64), width, mode=extension)
    n = x.shape[axis]
    return sum(w * np.take(padded, range(k, k + n), axis=axis) for k, w in enumerate(weights[::-1]))


def gaussian(x: np.ndarray, sigma: float | tuple[float, ...], truncate: float = 3.0) -> np.ndarray:
    sigmas = sigma if isinstance(sigma, tuple) else (sigma,) * x.ndim
    out = x.astype(np.float64)
    for axis, s in enumerate(sigmas):
        if s > 0:
            out = filtered(out, gaussian_weights(s, truncate), axis, "edge")
    return out


def laplacian_of_gaussian(x: np.ndarray, sigma: float, axes: tuple[int, ...]) -> np.ndarray:
    total = np.zeros(x.shape)
    for along in axes:
        part = x.astype(np.float64)
        for axis in axes:
            weights = second_derivative_weights(sigma) if axis == along else gaussian_weights(sigma, 4.0)
            part = filtered(part, weights, axis, "symmetric")
        total += part
    return -(sigma**2) * total


def hessian_eigenvalues(smooth: np.ndarray, weight: float) -> np.ndarray:
    """Eigenvalues by ascending magnitude, the last axis counting them; by numpy.gradient, twice."""
    first = np.gradient(smooth.astype(np.float64))
    matrix = np.empty((*smooth.shape, smooth.ndim, smooth.ndim))
    for i, d in enumerate(first):
        for j, dd in enumerate(np.gradient(d)):
            matrix[..., i, j] = dd * weight
    matrix = (matrix + np.swapaxes(matrix, -1, -2)) / 2
    values = np.linalg.eigvalsh(matrix)
    order = np.argsort(np.abs(values), axis=-1, kind="stable")
    return np.take_along_axis(values, order, axis=-1)


def ridge_response(middle: np.ndarray, last: np.ndarray, tau: float, planar: bool) -> np.ndarray:
    floor = tau * last.min()
    lowered = np.where((last < 0) & ((last >= floor) if planar else (last > floor)), floor, last)
    gap = np.abs(lowered - middle)
    cube = (2 * np.abs(middle) + gap) ** 3
    r = 27 * middle**2 * gap / np.where(cube == 0, 1e-10, cube)
    r = np.where(middle < lowered / 2, 1.0, r)
    return np.where((middle >= 0) | (False if planar else last >= 0), 0.0, r)


def vesselness(smooth: np.ndarray, weight: float, tau: float = 1.0) -> np.ndarray:
    e = hessian_eigenvalues(smooth, weight)
    return ridge_response(e[..., 1], e[..., -1], tau, smooth.ndim == 2)


def diffusion(
    x: np.ndarray, iterations: int, conductance: float, time_step: float, h: tuple[float, ...]
) -> np.ndarray:
    """Gradient anisotropic diffusion; `h` is 1 / spacing along the axes."""
    u = x.astype(np.float64)
    axes = range(u.ndim)
    for _ in range(iterations):
        p = np.pad(u, 1, mode="edge")

        def at(axis: int, step: int, p: np.ndarray = p) -> np.ndarray:
            return p[
                tuple(slice(1 + step, p.shape[a] - 1 + step) if a == axis else slice(1, -1) for a in axes)
            ]

        central = [h[a] * (at(a, 1) - at(a, -1)) / 2 for a in axes]
        mean = np.mean(sum(d**2 for d in central))
        if mean == 0:
            return u
        k = -2 * conductance**2 * mean
        change = np.zeros(u.shape)
        for a in axes:
            lower = tuple(slice(0, -1) if b == a else slice(None) for b in axes)
            upper = tuple(slice(1, None) if b == a else slice(None) for b in axes)
            f = h[a] * (u[upper] - u[lower])
            tangents = [(central[b][lower] + central[b][upper]) / 2 for b in axes if b != a]
            flux = f * np.exp((f**2 + sum(t**2 for t in tangents)) / k)
            change[lower] += flux
            change[upper] -= flux
        u = u + time_step * change
    return u
