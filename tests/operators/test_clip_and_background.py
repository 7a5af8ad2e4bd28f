"""Clipping and background subtraction against their formulas."""

import numpy as np
import pytest

from fastseg.errors import InputError, Problems
from fastseg.operators import background_subtract, intensity_clip, intensity_normalize
from fastseg.operators.intensity import stretch
from tests.operators import oracles
from tests.support import assert_identical, frozen, golden, image

SHAPES = [(7, 11, 13), (1, 11, 13), (7, 1, 13), (11, 13), (1, 9)]


def limits(x: np.ndarray, scaling: list[float]) -> tuple[float, float]:
    x = x.astype(np.float64)
    if len(scaling) == 2:
        low, high = x.mean() - scaling[0] * x.std(), x.mean() + scaling[1] * x.std()
    else:
        a, b, c, d = scaling
        s = x[(x > c) & (x < d)].std()
        low, high = c - a * s, d + b * s
    return max(low, x.min()), min(high, x.max())


@pytest.mark.parametrize("kind", ["smooth", "noise", "ties", "offset"])
@pytest.mark.parametrize("shape", SHAPES)
def test_clipped_to_limits_of_two_and_four_values(kind: str, shape: tuple[int, ...]) -> None:
    x = frozen(image(kind, shape, 1))
    spread = [float(v) for v in (x.mean() - x.std() / 2, x.mean() + x.std() / 2)]
    for scaling in ([0.5, 2.0], [0.0, 0.1], [9.0, 9.0], [0.5, 1.0, *spread], [-0.1, -0.2, *spread]):
        if len(scaling) == 4 and not ((x > spread[0]) & (x < spread[1])).any():
            continue
        low, high = limits(x, scaling)
        got = intensity_clip(x, scaling=scaling)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, np.clip(x, low, high), rtol=2e-7, atol=1e-7)
        inside = (x > low + 1e-6 * abs(low)) & (x < high - 1e-6 * abs(high))
        np.testing.assert_array_equal(got[inside], x[inside])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bound", [1, 2.0, 3, 100])
def test_voxels_above_one_bound_become_the_minimum(shape: tuple[int, ...], bound: float) -> None:
    for kind in ("ties", "noise", "offset"):
        x = frozen(image(kind, shape, 2))
        expected = x.copy()
        expected[x > bound] = x.min()
        assert_identical(intensity_clip(x, scaling=[bound]), expected)


@pytest.mark.parametrize("value", [0, 0.5, -3])
def test_one_value_below_one_leaves_the_image_alone(value: float) -> None:
    x = frozen(image("noise", (3, 4, 5), 3))
    got = intensity_clip(x, scaling=[value])
    assert_identical(got, x.copy())
    assert not np.shares_memory(got, x)


@pytest.mark.parametrize("scaling", [[2], [1.0, 2.0], [0.5, 1, -0.5, 0.5]])
def test_what_normalisation_stretches(scaling: list[float]) -> None:
    x = image("noise", (5, 9, 11), 4)
    clipped = intensity_clip(x, scaling=scaling)
    stretched = stretch(clipped, float(clipped.min()), float(clipped.max()))
    np.testing.assert_allclose(intensity_normalize(x, scaling=scaling), stretched, rtol=0, atol=3e-7)


def test_the_reference_clips_alike() -> None:
    clipped = intensity_clip(golden("raw"), scaling=[1.5, 8.0])
    again = (clipped - clipped.min()) / (clipped.max() - clipped.min())
    np.testing.assert_allclose(again, golden("normalize_contrast"), rtol=0, atol=3e-7)


def test_wrong_scalings_are_refused() -> None:
    x = np.array([[0, 1, 2]], np.float32)
    with pytest.raises(Problems, match=r"scaling: must hold 1, 2 or 4 numbers, not 3 \(given: \[1, 2, 3\]\)"):
        intensity_clip(x, scaling=[1, 2, 3])
    for name, operator in (("intensity_clip", intensity_clip), ("intensity_normalize", intensity_normalize)):
        with pytest.raises(
            InputError, match=rf"^{name}: no voxel lies between 5 and 6 .* the image spans 0 to 2"
        ):
            operator(x, scaling=[1, 1, 5, 6])
        for scaling in ([-1, -1], [-5, -5, 0.5, 3]):
            with pytest.raises(
                InputError, match=rf"^{name}: scaling = .* puts the lower limit .* above the upper"
            ):
                operator(image("noise", (3, 4, 5), 0), scaling=scaling)


@pytest.mark.parametrize("kind", ["smooth", "noise", "blobs", "ties"])
@pytest.mark.parametrize("shape", [*SHAPES, (7, 12, 1)])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.5, 9.0])
def test_background(kind: str, shape: tuple[int, ...], sigma: float) -> None:
    x = frozen(image(kind, shape, 5))
    above = x - oracles.gaussian(x, sigma, 3.0)
    got = background_subtract(x, sigma=sigma)
    assert got.dtype == np.float32
    assert (got.min(), got.max()) == (0, 1)
    expected = (above - above.min()) / (above.max() - above.min())
    rounding = 1e-6 * np.abs(x).max() / (above.max() - above.min())
    np.testing.assert_allclose(got, expected, rtol=0, atol=max(rounding, 1e-6))


def test_the_kernel_of_the_background_ends_at_three_sigma() -> None:
    x = np.zeros((1, 1, 41), np.float32)
    x[0, 0, 20] = 1
    got = background_subtract(x, sigma=2.5)
    away = np.abs(np.arange(41) - 20)
    assert (got[0, 0, away > 8] == got[0, 0, 0]).all()
    assert (got[0, 0, (away <= 8) & (away > 0)] < got[0, 0, 0]).all()


@pytest.mark.parametrize("value", [0.0, 7.0, 40_000.0])
def test_a_constant_image_is_background(value: float) -> None:
    assert_identical(
        background_subtract(np.full((3, 4, 5), value, np.float32), sigma=1.0), np.zeros((3, 4, 5), np.float32)
    )


def test_the_brightness_of_the_camera_does_not_matter() -> None:
    x = image("noise", (5, 9, 11), 6)
    np.testing.assert_allclose(
        background_subtract(64 * x + 128, sigma=1.5), background_subtract(x, sigma=1.5), rtol=0, atol=2e-5
    )


def test_wrong_scales_are_refused() -> None:
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(Problems, match=r"sigma: input should be greater than 0 \(given: 0.0\)"):
        background_subtract(x, sigma=0.0)
    with pytest.raises(Problems, match=r"background_subtract: 1 problem\n  - sigma: is required"):
        background_subtract(x)
    x[1, 2] = np.nan
    with pytest.raises(InputError, match="NaN or infinite voxels"):
        background_subtract(x, sigma=1.0)
