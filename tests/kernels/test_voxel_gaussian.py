"""The float32 sum of the CUDA Gaussian filters, compiled for the CPU, against SciPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from scipy import ndimage as ndi

from fastseg.arrays.filters import _half_kernel, _sources, float32_weights
from fastseg.kernels.voxel.gaussian import correlated

UNIT = 2.0**-24
"""Half a unit in the last place."""


@njit
def _lines(lines: np.ndarray, weights: np.ndarray, sources: np.ndarray, out: np.ndarray) -> None:
    radius = np.uint64(weights.size - 1)
    wide = np.empty(lines.shape[1] + 2 * (weights.size - 1), np.float32)
    for n in range(lines.shape[0]):
        for i in range(wide.size):
            wide[i] = lines[n, sources[i]]
        for i in range(lines.shape[1]):
            out[n, i] = correlated(wide, np.uint64(i) + radius, np.uint64(1), weights, radius)


def _along(lines: np.ndarray, sigma: float, order: int, truncate: float, mode: str = "reflect") -> np.ndarray:
    weights = float32_weights(_half_kernel(sigma, order, truncate))
    out = np.empty_like(lines)
    _lines(lines, weights, _sources(lines.shape[1], weights.size - 1, mode), out)
    return out


def _images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    noise = rng.random((40, 300), np.float32)
    steps = (rng.random((40, 300)) > 0.5).astype(np.float32)
    return {
        "noise": noise,
        "steps": steps,
        "offset": noise + np.float32(1000),
        "large": noise * np.float32(6e4),
    }


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5, 10.0, 30.0, 60.0])
@pytest.mark.parametrize("name", ["noise", "steps", "offset", "large"])
def test_error_of_an_axis_stays_within_its_bound(name: str, sigma: float) -> None:
    image = _images()[name]
    exact = ndi.gaussian_filter1d(image.astype(np.float64), sigma, truncate=3.0)
    error = np.abs(_along(image, sigma, 0, 3.0) - exact)
    span = float(np.ptp(image))
    assert error.max() <= UNIT * (np.abs(image).max() + (4 + 0.8 * sigma) * span)
    assert error.max() <= UNIT * (
        np.abs(exact).max() + 4 * span
    )  # what is met: 2 ulp of the range, and the rounding


def test_constant_is_kept_exactly() -> None:
    image = np.full((3, 200), np.float32(0.1))
    for sigma in (0.5, 1.7, 20.0):
        np.testing.assert_array_equal(_along(image, sigma, 0, 3.0), image)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("name", ["noise", "offset"])
def test_curvature(name: str, sigma: float) -> None:
    image = _images()[name]
    exact = ndi.gaussian_filter1d(image.astype(np.float64), sigma, order=2, truncate=4.0)
    half = _half_kernel(sigma, 2, 4.0)
    size = np.abs(half[-1]) + 2 * np.abs(half[:-1]).sum()
    whole = abs(half[-1] + 2 * half[:-1].sum())  # of an offset, this is left
    error = np.abs(_along(image, sigma, 2, 4.0) - exact).max()
    assert error <= UNIT * (4 * size * np.ptp(image) + 3 * whole * np.abs(image).max())
