"""Vesselness against eigenvalues of numpy.gradient Hessians in float64 and the reference's results."""

import numpy as np
import pytest

from fastseg.errors import InputError
from fastseg.operators import (
    gaussian_smooth,
    jerman_vesselness,
    jerman_vesselness_2d,
    jerman_vesselness_slices,
    multiscale_filaments_2d,
)
from tests.operators import oracles
from tests.support import frozen, golden, image


def smoothed(x: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_smooth(x, sigma=sigma, truncate=3.0)


def expected_of(x: np.ndarray, sigmas: list[float], tau: float = 1.0) -> np.ndarray:
    """Maximum over scales. Smoothed in float32 as the operator does: its rounding decides which side a tie falls."""
    scales = [oracles.vesselness(smoothed(x, s) if s else x, s**2 if s else 1.0, tau) for s in sigmas]
    return np.max(scales, axis=0)


@pytest.mark.parametrize("kind", ["smooth", "noise", "blobs"])
@pytest.mark.parametrize("shape", [(9, 14, 17), (2, 11, 13), (5, 2, 3)])
@pytest.mark.parametrize("tau", [1.0, 0.75, 0.3])
def test_in_3d(kind: str, shape: tuple[int, int, int], tau: float) -> None:
    x = frozen(image(kind, shape, 1))
    y = jerman_vesselness(x, sigmas=[1.0, 1.5], tau=tau)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected_of(x, [1.0, 1.5], tau), atol=2e-5)


@pytest.mark.parametrize("shape", [(14, 17), (2, 13), (3, 2)])
@pytest.mark.parametrize("sigmas", [[1.0], [0.7, 2.0], [0.0]])
def test_in_2d(shape: tuple[int, int], sigmas: list[float]) -> None:
    x = frozen(image("noise", shape, 2))
    np.testing.assert_allclose(jerman_vesselness_2d(x, sigmas=sigmas), expected_of(x, sigmas), atol=2e-5)


@pytest.mark.parametrize("shape", [(5, 14, 17), (1, 9, 8), (3, 6, 4), (3, 12, 40)])
@pytest.mark.parametrize("sigma", [0.6, 1.0, 2.0])
def test_each_plane_beside_the_projection(shape: tuple[int, int, int], sigma: float) -> None:
    x = frozen(image("smooth", shape, 3))
    projection = x.max(axis=0)
    expected = np.zeros(shape)
    for z in range(shape[0]):
        joined = np.concatenate([x[z], projection], axis=1)
        expected[z, :, : shape[2] - 3] = expected_of(joined, [sigma])[:, : shape[2] - 3]
    y = jerman_vesselness_slices(x, sigmas=[sigma])
    np.testing.assert_allclose(y, expected, atol=2e-5)
    assert not y[:, :, -3:].any()


@pytest.mark.parametrize("column", range(12))
def test_the_lowest_eigenvalue_may_lie_in_the_projection_near_the_junction(column: int) -> None:
    x = image("noise", (2, 8, 31), 8)
    x[1, :, column] += 20
    x[0, :, -2:] -= 20
    joined = np.concatenate([x[0], x.max(axis=0)], axis=1)
    expected = expected_of(joined, [1.0])[:, :31]
    np.testing.assert_allclose(
        jerman_vesselness_slices(x, sigmas=[1.0])[0, :, :-3], expected[:, :-3], atol=2e-5
    )


def test_three_columns_give_zeros() -> None:
    assert not jerman_vesselness_slices(image("noise", (3, 5, 3), 4), sigmas=[1.0]).any()


def test_reference() -> None:
    g = golden("gaussian_3d")
    np.testing.assert_allclose(jerman_vesselness(g, sigmas=[1, 1.5]), golden("filament_3d"), atol=2e-6)
    np.testing.assert_allclose(jerman_vesselness_2d(g[10], sigmas=[1]), golden("filament_2d"), atol=2e-6)
    np.testing.assert_allclose(jerman_vesselness_slices(g, sigmas=[1]), golden("filament_planes"), atol=2e-6)


def test_masks_of_the_reference() -> None:
    g = golden("gaussian_3d")
    tubes = (jerman_vesselness(g, sigmas=[1]) > 0.05) | (jerman_vesselness(g, sigmas=[1.5]) > 0.1)
    np.testing.assert_array_equal(tubes, golden("filament_3d_mask"))
    lines = (jerman_vesselness_slices(g, sigmas=[1]) > 0.05) | (jerman_vesselness_slices(g, sigmas=[2]) > 0.1)
    np.testing.assert_array_equal(lines, golden("filament_planes_mask"))


def test_union_of_thresholded_scales() -> None:
    x = image("smooth", (31, 33), 5)
    one, two = (jerman_vesselness_2d(x, sigmas=[s]) for s in (1.0, 2.0))
    got = multiscale_filaments_2d(x, scales=[[1.0, 0.4], [2.0, 0.7]])
    assert got.dtype == bool
    np.testing.assert_array_equal(got, (one > np.float32(0.4)) | (two > np.float32(0.7)))
    assert 0 < got.sum() < got.size
    assert not multiscale_filaments_2d(x, scales=[]).any()
    assert multiscale_filaments_2d(x, scales=[[1.0, -0.1]]).all()


def test_one_bright_voxel_changes_the_response_everywhere() -> None:
    x = image("smooth", (9, 20, 21), 6)
    before = jerman_vesselness(x, sigmas=[1.0])
    x[4, 4, 4] = 100
    after = jerman_vesselness(x, sigmas=[1.0])
    far = (slice(None), slice(12, None), slice(12, None))
    assert after[far].max() < 1e-3 < before[far].max()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_constant_image_has_no_filaments(value: float) -> None:
    x = np.full((5, 6, 7), value, np.float32)
    assert not jerman_vesselness(x, sigmas=[1.0]).any()
    assert not jerman_vesselness(x, sigmas=[1.0], tau=0.5).any()
    assert not jerman_vesselness_2d(x[0], sigmas=[1.0]).any()
    assert not jerman_vesselness_slices(x, sigmas=[1.0]).any()


def test_a_bright_tube_answers_and_a_dark_one_does_not() -> None:
    x = np.zeros((11, 11, 30), np.float32)
    x[5, 5] = 1
    assert jerman_vesselness(x, sigmas=[1.0])[5, 5, 10:20].min() == 1
    assert jerman_vesselness(1 - x, sigmas=[1.0])[5, 5, 10:20].max() == 0


def test_turning_the_plane_and_scaling() -> None:
    x = image("smooth", (7, 12, 15), 7)
    y = jerman_vesselness(x, sigmas=[1.0])
    turned = jerman_vesselness(np.rot90(x, axes=(1, 2)), sigmas=[1.0])
    np.testing.assert_allclose(turned, np.rot90(y, axes=(1, 2)), atol=2e-4)
    np.testing.assert_allclose(jerman_vesselness(x * 256, sigmas=[1.0]), y, atol=1e-6)


def test_axes_that_are_too_short_are_errors() -> None:
    with pytest.raises(InputError, match=r"at least 2 voxels, the image has \(1, 5, 6\)"):
        jerman_vesselness(np.zeros((1, 5, 6), np.float32), sigmas=[1.0])
    with pytest.raises(InputError, match=r"at least 2 voxels, the image has \(5, 1\)"):
        jerman_vesselness_2d(np.zeros((5, 1), np.float32), sigmas=[1.0])
    with pytest.raises(InputError, match=r"at least 2 rows and 3 columns, the image has \(4, 5, 2\)"):
        jerman_vesselness_slices(np.zeros((4, 5, 2), np.float32), sigmas=[1.0])
