"""Laplacian of Gaussian against kernels written out in float64 and the reference's results."""

from itertools import pairwise

import numpy as np
import pytest

from fastseg.operators import laplacian_of_gaussian, laplacian_of_gaussian_slices, multiscale_spots_slices
from tests.operators import oracles
from tests.support import frozen, golden, image

SHAPES = [(7, 11, 13), (1, 11, 13), (7, 1, 13)]


@pytest.mark.parametrize("shape", [*SHAPES, (11, 13), (1, 9)])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.6, 2.5])
def test_laplacian(shape: tuple[int, ...], sigma: float) -> None:
    x = frozen(image("noise", shape, 1))
    y = laplacian_of_gaussian(x, sigma=sigma)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, oracles.laplacian_of_gaussian(x, sigma, tuple(range(x.ndim))), atol=3e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_laplacian_of_slices_leaves_z_alone(shape: tuple[int, ...]) -> None:
    x = frozen(image("noise", shape, 2))
    expected = oracles.laplacian_of_gaussian(x, 1.5, (1, 2))
    np.testing.assert_allclose(laplacian_of_gaussian_slices(x, sigma=1.5), expected, atol=3e-6)


@pytest.mark.parametrize("sigma", [1.0, 1.5])
def test_reference(sigma: float) -> None:
    x = golden("gaussian_3d")
    np.testing.assert_allclose(
        laplacian_of_gaussian(x, sigma=sigma), golden(f"spot_3d_{sigma}"), rtol=0, atol=3e-7
    )
    got = laplacian_of_gaussian_slices(x, sigma=sigma)
    np.testing.assert_allclose(got, golden(f"spot_planes_{sigma}"), rtol=0, atol=3e-7)


def test_reference_in_one_plane() -> None:
    got = laplacian_of_gaussian(golden("gaussian_3d")[10], sigma=1)
    np.testing.assert_allclose(got, golden("spot_2d"), rtol=0, atol=3e-7)


def test_reference_of_several_scales() -> None:
    x = golden("gaussian_3d")
    found = (laplacian_of_gaussian(x, sigma=1) > 0.03) | (laplacian_of_gaussian(x, sigma=2) > 0.05)
    np.testing.assert_array_equal(found, golden("spot_3d_multi"))


def test_sigma_zero_gives_zeros() -> None:
    assert not laplacian_of_gaussian(image("noise", (3, 4, 5), 3), sigma=0).any()


@pytest.mark.parametrize(("sigma", "bias"), [(0.5, -0.13995), (1.0, -7.2e-5), (1.6, -6.8e-4), (5.0, -7.2e-4)])
def test_a_flat_area_answers_with_the_sum_of_the_kernel(sigma: float, bias: float) -> None:
    flat = np.full((9, 9, 9), 100, np.float32)
    np.testing.assert_allclose(
        laplacian_of_gaussian(flat, sigma=sigma) / 100, -3 * bias, rtol=0.02, atol=1e-6
    )


def test_a_bright_spot_answers_positively_at_its_centre() -> None:
    x = np.zeros((11, 11, 11), np.float32)
    x[5, 5, 5] = 1
    y = laplacian_of_gaussian(x, sigma=1.5)
    assert np.unravel_index(y.argmax(), y.shape) == (5, 5, 5)
    assert y.min() < 0


def test_union_of_scales_is_strict_and_takes_negative_cutoffs_literally() -> None:
    x = image("smooth", (4, 15, 16), 4)
    responses = {s: laplacian_of_gaussian_slices(x, sigma=s) for s in (1.0, 2.0)}
    at = responses[1.0].ravel()[7]
    got = multiscale_spots_slices(x, scales=[[1.0, float(at)], [2.0, -0.01]])
    assert got.dtype == bool
    np.testing.assert_array_equal(got, (responses[1.0] > at) | (responses[2.0] > np.float32(-0.01)))
    only = multiscale_spots_slices(x, scales=[[1.0, float(at)]])
    assert not only.ravel()[7]


def test_no_scale_gives_an_empty_mask() -> None:
    got = multiscale_spots_slices(image("noise", (2, 5, 6), 5), scales=[])
    assert got.dtype == bool
    assert not got.any()


def test_a_higher_cutoff_never_adds_a_voxel() -> None:
    x = image("noise", (3, 15, 16), 6)
    masks = [multiscale_spots_slices(x, scales=[[1.0, c]]) for c in (-0.5, 0.0, 0.3, 1.0)]
    assert all((low | high == low).all() for low, high in pairwise(masks))
    assert masks[0].sum() > masks[-1].sum() > 0


@pytest.mark.parametrize("operator", [laplacian_of_gaussian, laplacian_of_gaussian_slices])
def test_turning_the_plane_and_scaling(operator: object) -> None:
    x = image("noise", (5, 12, 15), 7)
    y = operator(x, sigma=1.3)
    np.testing.assert_allclose(
        operator(np.rot90(x, axes=(1, 2)), sigma=1.3), np.rot90(y, axes=(1, 2)), atol=2e-6
    )
    np.testing.assert_array_equal(operator(x * 8, sigma=1.3), y * 8)
