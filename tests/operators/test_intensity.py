"""Normalisation against the formulas in float64 and the reference's results."""

import numpy as np
import pytest

from fastseg.errors import InputError
from fastseg.operators import intensity_normalize
from tests.support import frozen, golden, image

E = 1e-8


def by_formula(x: np.ndarray, scaling: list[float]) -> tuple[np.ndarray, float]:
    """The result in float64, and how far rounding x and the limits to float32 may move it."""
    x = x.astype(np.float64)
    low, high = x.min(), x.max()
    if len(scaling) == 1:
        (v,) = scaling
        if v >= 1:
            x = np.where(x > v, low, x)
            high = x.max()
        return (x - low + E) / (high - low + E), 3e-7 * np.abs(x).max() / (high - low + E)
    if len(scaling) == 2:
        a, b = scaling
        low, high = max(x.mean() - a * x.std(), low), min(x.mean() + b * x.std(), high)
    else:
        a, b, c, d = scaling
        s = x[(x > c) & (x < d)].std()
        low, high = max(c - a * s, low), min(d + b * s, high)
    return (np.clip(x, low, high) - low + E) / (high - low + E), 3e-7 * np.abs(x).max() / (high - low + E)


@pytest.mark.parametrize("kind", ["smooth", "noise", "ties", "blobs"])
@pytest.mark.parametrize("shape", [(7, 11, 13), (1, 11, 13), (7, 1, 13), (11, 13)])
@pytest.mark.parametrize("scaling", [[0], [0.5], [1], [0.5, 2.0], [1, 8], [0, 0.1], [0.5, 1, 0.1, 0.6]])
def test_formula(kind: str, shape: tuple[int, ...], scaling: list[float]) -> None:
    x = frozen(image(kind, shape, 1))
    if kind == "ties" and len(scaling) == 4:
        scaling = [0.5, 1, -0.5, 2.5]
    if len(scaling) == 4 and not ((x > scaling[2]) & (x < scaling[3])).any():
        pytest.skip("no voxel between the limits")
    y = intensity_normalize(x, scaling=scaling)
    assert y.dtype == np.float32
    expected, rounding = by_formula(x, scaling)
    np.testing.assert_allclose(y, expected, rtol=0, atol=rounding)


@pytest.mark.parametrize(
    ("name", "scaling"),
    [
        ("normalize_minmax", [0]),
        ("normalize_upper", [1200]),
        ("normalize_contrast", [1.5, 8.0]),
        ("normalize_bounded", [0.5, 15.0, 420, 1500]),
    ],
)
def test_reference(name: str, scaling: list[float]) -> None:
    np.testing.assert_allclose(
        intensity_normalize(golden("raw"), scaling=scaling), golden(name), rtol=0, atol=2e-7
    )


def test_voxels_above_the_bound_become_the_minimum() -> None:
    x = np.array([[1, 2, 5, 9]], np.float32)
    np.testing.assert_allclose(intensity_normalize(x, scaling=[5]), [[0, 0.25, 1, 0]], atol=1e-6)


def test_limits_of_four_values_start_from_the_bounds_and_not_from_the_mean() -> None:
    x = np.array([[0, 10, 11, 12, 50]], np.float32)
    s = np.std([10, 11, 12])
    low, high = 5 - s, 20 + s
    expected = (np.clip(x, low, high) - low) / (high - low)
    np.testing.assert_allclose(intensity_normalize(x, scaling=[1, 1, 5, 20]), expected, atol=1e-6)


def test_bounds_of_four_values_are_strict() -> None:
    x = np.array([[0, 5, 10, 14, 20, 50]], np.float32)
    s = np.std([10, 14])
    expected = (np.clip(x, 5 - s, 20 + s) - 5 + s) / (15 + 2 * s)
    np.testing.assert_allclose(intensity_normalize(x, scaling=[1, 1, 5, 20]), expected, atol=1e-6)


@pytest.mark.parametrize("scaling", [[0], [3], [1, 1], [1, 1, 0, 9]])
def test_a_constant_image_becomes_one(scaling: list[float]) -> None:
    x = np.full((2, 3, 4), 3, np.float32)
    assert (intensity_normalize(x, scaling=scaling) == 1).all()


def test_the_minimum_becomes_tiny_but_not_zero() -> None:
    y = intensity_normalize(np.array([[0, 2]], np.float32), scaling=[0])
    assert y[0, 0] == pytest.approx(5e-9)
    assert y[0, 0] > 0


def test_brightness_and_contrast_of_the_camera_do_not_matter() -> None:
    x = image("smooth", (6, 15, 17), 2)
    y = intensity_normalize(x, scaling=[1.0, 2.0])
    np.testing.assert_allclose(intensity_normalize(64 * x + 128, scaling=[1.0, 2.0]), y, atol=1e-4)


def test_no_voxel_between_the_bounds_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no voxel lies between 5 and 6 .* the image spans 0 to 2"):
        intensity_normalize(np.array([[0, 1, 2]], np.float32), scaling=[1, 1, 5, 6])


def test_limits_in_the_wrong_order_are_an_error() -> None:
    with pytest.raises(InputError, match=r"puts the lower limit .* above the upper limit"):
        intensity_normalize(image("noise", (3, 4, 5), 0), scaling=[-1, -1])
