"""Masks from the arithmetic of a GPU, compiled for the CPU, beside those of the CPU: Dice of 0.9999 and more."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from fastseg.kernels.cpu import vesselness as cpu
from fastseg.kernels.voxel import eigen32
from fastseg.kernels.voxel.eigen import by_magnitude_2, by_magnitude_3
from fastseg.kernels.voxel.hessian import hessian_2d, hessian_across_planes
from fastseg.kernels.voxel.vesselness import response
from fastseg.operators.functions import function_of
from tests.golden import dice, stack
from tests.kernels.test_voxel_gaussian import _along


@njit
def _volume(smooth: np.ndarray, scale: np.float32, middle: np.ndarray, last: np.ndarray) -> None:
    for z in range(smooth.shape[0]):
        for y in range(smooth.shape[1]):
            for x in range(smooth.shape[2]):
                zz, zy, zx = hessian_across_planes(smooth, z, y, x, scale)
                yy, xx, yx = hessian_2d(smooth, z, y, x, scale)
                a, b, c = eigen32.eigenvalues_3x3(zz, yy, xx, zy, zx, yx)
                _, middle[z, y, x], last[z, y, x] = by_magnitude_3(a, b, c)


@njit
def _planes(smooth: np.ndarray, scale: np.float32, larger: np.ndarray) -> None:
    for z in range(smooth.shape[0]):
        for y in range(smooth.shape[1]):
            for x in range(smooth.shape[2]):
                yy, xx, yx = hessian_2d(smooth, z, y, x, scale)
                _, larger[z, y, x] = by_magnitude_2(*eigen32.eigenvalues_2x2(yy, xx, yx))


@njit
def _respond(middle: np.ndarray, floor: np.float32, out: np.ndarray) -> None:
    for i in range(middle.size):
        out[i] = response(middle[i], floor, floor)


def _smoothed(image: np.ndarray, sigma: float) -> np.ndarray:
    """Axis by axis in float32."""
    for axis in (2, 1, 0):
        lines = np.moveaxis(image, axis, -1)
        done = _along(np.ascontiguousarray(lines.reshape(-1, image.shape[axis])), sigma, 0, 3.0, "nearest")
        image = np.ascontiguousarray(np.moveaxis(done.reshape(lines.shape), -1, axis))
    return image


@pytest.mark.parametrize("sigma", [1.0, 1.5])
@pytest.mark.parametrize("name", ["structured", "nuclei"])
def test_filaments(name: str, sigma: float) -> None:
    image = function_of("intensity_normalize")(stack(name)[0], scaling=[1, 10])
    smooth = _smoothed(image, sigma)
    middle, last, found = (np.empty_like(smooth) for _ in range(3))
    _volume(smooth, np.float32(sigma**2), middle, last)
    _respond(np.where(last < 0, middle, 0).ravel(), last.min(), found.reshape(-1))
    expected = function_of("jerman_vesselness")(image, sigmas=[sigma])
    # not compared singly: of outer values of one magnitude and opposite signs, rounding decides which is the last
    for cutoff in (0.02, 0.05, 0.1, 0.2):
        assert (expected > cutoff).any()
        assert dice(found > cutoff, expected > cutoff) >= 0.9999


@pytest.mark.parametrize("name", ["structured", "nuclei"])
def test_eigenvalues_in_planes(name: str) -> None:
    smooth = _smoothed(function_of("intensity_normalize")(stack(name)[0], scaling=[1, 10]), 1.0)
    found, expected = np.empty_like(smooth), np.empty_like(smooth)
    _planes(smooth, np.float32(1), found)
    cpu.eigenvalue_2d(smooth, 1.0, 1, expected)
    # equal magnitudes of opposite signs may change places
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=3e-7 * np.abs(expected).max())
    low = expected.min()
    assert dice(found < 0.1 * low, expected < 0.1 * low) >= 0.9999
