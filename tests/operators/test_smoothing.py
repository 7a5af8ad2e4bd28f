"""Gaussian smoothing and diffusion against float64 formulas and the reference's results."""

import numpy as np
import pytest

from fastseg.operators import edge_preserving_smooth, gaussian_smooth, gaussian_smooth_slices
from tests.operators import oracles
from tests.support import frozen, golden, image

SHAPES = [(7, 11, 13), (1, 11, 13), (7, 1, 13), (2, 3, 1)]


@pytest.mark.parametrize("shape", [*SHAPES, (11, 13), (1, 9)])
@pytest.mark.parametrize("sigma", [0.4, 1.0, 2.5])
@pytest.mark.parametrize("truncate", [2.1, 3.0])
def test_gaussian(shape: tuple[int, ...], sigma: float, truncate: float) -> None:
    x = frozen(image("noise", shape, 1))
    y = gaussian_smooth(x, sigma=sigma, truncate=truncate)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, oracles.gaussian(x, sigma, truncate), atol=1e-6)


@pytest.mark.parametrize("sigma", [(0.0, 1.0, 2.0), (1.5, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_gaussian_with_a_sigma_for_each_axis(sigma: tuple[float, float, float]) -> None:
    x = frozen(image("noise", (7, 11, 13), 2))
    np.testing.assert_allclose(gaussian_smooth(x, sigma=sigma), oracles.gaussian(x, sigma), atol=1e-6)
    np.testing.assert_allclose(
        gaussian_smooth(x[3], sigma=sigma), oracles.gaussian(x[3], sigma[1:]), atol=1e-6
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_gaussian_of_slices_leaves_z_alone(shape: tuple[int, ...]) -> None:
    x = frozen(image("noise", shape, 3))
    y = gaussian_smooth_slices(x, sigma=1.2)
    np.testing.assert_allclose(y, oracles.gaussian(x, (0.0, 1.2, 1.2)), atol=1e-6)
    for z in range(shape[0]):
        np.testing.assert_array_equal(y[z : z + 1], gaussian_smooth_slices(x[z : z + 1], sigma=1.2))


def test_gaussian_equals_the_reference() -> None:
    x = golden("normalize_contrast")
    np.testing.assert_allclose(gaussian_smooth(x), golden("gaussian_3d"), rtol=0, atol=2e-7)
    np.testing.assert_allclose(gaussian_smooth_slices(x), golden("gaussian_planes"), rtol=0, atol=2e-7)


@pytest.mark.parametrize("operator", [gaussian_smooth, gaussian_smooth_slices, edge_preserving_smooth])
def test_smoothing_commutes_with_turning_the_plane(operator: object) -> None:
    x = image("noise", (5, 12, 15), 4)
    turned = operator(np.rot90(x, axes=(1, 2)))
    np.testing.assert_allclose(turned, np.rot90(operator(x), axes=(1, 2)), atol=2e-6)


@pytest.mark.parametrize("operator", [gaussian_smooth, gaussian_smooth_slices, edge_preserving_smooth])
def test_smoothing_commutes_with_scaling_the_intensity(operator: object) -> None:
    x = image("smooth", (5, 12, 15), 4)
    np.testing.assert_allclose(operator(1024 * x), 1024 * operator(x), rtol=2e-6)


@pytest.mark.parametrize("shape", [*SHAPES, (6, 7, 33)])
@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_diffusion(shape: tuple[int, ...], iterations: int) -> None:
    x = frozen(image("blobs", shape, 5))
    expected = oracles.diffusion(x, iterations, 1.2, 0.0625, (1, 1, 1))
    y = edge_preserving_smooth(x, iterations=iterations)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, atol=2e-6)


@pytest.mark.parametrize(("conductance", "time_step"), [(0.4, 0.0625), (3.0, 0.02)])
def test_parameters_of_diffusion(conductance: float, time_step: float) -> None:
    x = image("noise", (5, 12, 9), 6)
    expected = oracles.diffusion(x, 4, conductance, time_step, (1, 1, 1))
    got = edge_preserving_smooth(x, iterations=4, conductance=conductance, time_step=time_step)
    np.testing.assert_allclose(got, expected, atol=2e-6)


def test_spacing_of_diffusion_is_ordered_x_y_z() -> None:
    x = image("noise", (5, 12, 9), 7)
    expected = oracles.diffusion(x, 3, 1.2, 0.03, (1 / 4, 1 / 2, 1.0))
    np.testing.assert_allclose(
        edge_preserving_smooth(x, iterations=3, time_step=0.03, spacing=[1.0, 2.0, 4.0]), expected, atol=2e-6
    )


def test_diffusion_equals_the_reference() -> None:
    got = edge_preserving_smooth(golden("normalize_contrast"))
    np.testing.assert_allclose(got, golden("edge_preserving"), rtol=0, atol=7e-7)


def test_diffusion_keeps_the_sum() -> None:
    x = image("noise", (6, 14, 15), 8)
    y = edge_preserving_smooth(x, iterations=20)
    assert y.sum(dtype=np.float64) == pytest.approx(x.sum(dtype=np.float64), rel=1e-5)
    assert y.std() < x.std()


def test_diffusion_of_a_constant_image_changes_nothing() -> None:
    x = np.full((3, 4, 5), 0.7, np.float32)
    np.testing.assert_array_equal(edge_preserving_smooth(x), x)


def test_diffusion_without_iterations_changes_nothing() -> None:
    x = image("noise", (3, 4, 5), 9)
    np.testing.assert_array_equal(edge_preserving_smooth(x, iterations=0), x)
