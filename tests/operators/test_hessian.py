"""The Hessian against difference matrices in float64, LAPACK's eigenvalues and the reference's results."""

import itertools

import numpy as np
import pytest

from fastseg.errors import InputError, Problems
from fastseg.operators import gaussian_smooth, hessian_eigenvalue, hessian_element
from tests.operators import oracles
from tests.support import assert_identical, frozen, golden, image

SHAPES = [(9, 14, 17), (2, 3, 4), (5, 2, 2), (14, 17), (2, 9), (3, 2)]


def differences(n: int) -> np.ndarray:
    """Matrix of first differences: central, one-sided at the two ends."""
    found = (np.eye(n, k=1) - np.eye(n, k=-1)) / 2
    found[0, :2] = found[-1, -2:] = -1, 1
    return found


def along(matrix: np.ndarray, x: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(np.tensordot(matrix, x, (1, axis)), 0, axis)


def element(smooth: np.ndarray, row: int, column: int) -> np.ndarray:
    first = along(differences(smooth.shape[row]), smooth.astype(np.float64), row)
    return along(differences(smooth.shape[column]), first, column)


def eigenvalues(smooth: np.ndarray, weight: float) -> list[np.ndarray]:
    """By rising magnitude, of the matrix with `element` as its elements."""
    axes = range(smooth.ndim)
    matrix = np.array([[element(smooth, min(i, j), max(i, j)) for j in axes] for i in axes]) * weight
    values = np.linalg.eigvalsh(np.moveaxis(matrix, (0, 1), (-2, -1)))
    order = np.argsort(np.abs(values), axis=-1, kind="stable")
    return list(np.moveaxis(np.take_along_axis(values, order, -1), -1, 0))


def test_second_differences_have_the_stencils_of_the_definition() -> None:
    second = differences(9) @ differences(9)
    expected = np.zeros((9, 9))
    expected[0, :3] = np.array([1, -2, 1]) / 2
    expected[1, :4] = np.array([2, -3, 0, 1]) / 4
    for k in range(2, 7):
        expected[k, k - 2 : k + 3] = np.array([1, 0, -2, 0, 1]) / 4
    expected[7, 5:] = np.array([1, 0, -3, 2]) / 4
    expected[8, 6:] = np.array([1, -2, 1]) / 2
    np.testing.assert_array_equal(second, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [0.0, 0.7, 1.0, 2.0])
def test_elements(shape: tuple[int, ...], sigma: float) -> None:
    x = frozen(image("noise", shape, 1))
    smooth = oracles.gaussian(x, sigma, 3.0)
    for row, column in itertools.product(range(x.ndim), repeat=2):
        got = hessian_element(x, sigma=sigma, row=row, column=column)
        assert got.dtype == np.float32
        expected = element(smooth, row, column) * (sigma**2 or 1)
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * max(1, sigma**2))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["smooth", "noise", "blobs"])
@pytest.mark.parametrize("sigma", [0.0, 1.0, 1.6])
def test_eigenvalues(shape: tuple[int, ...], kind: str, sigma: float) -> None:
    x = frozen(image(kind, shape, 2))
    smooth = gaussian_smooth(x, sigma=sigma)
    expected = eigenvalues(smooth, sigma**2 or 1)
    for index, values in enumerate(expected):
        got = hessian_eigenvalue(x, sigma=sigma, index=index)
        assert got.dtype == np.float32
        other = expected[index - 1] if index else expected[1]
        clear = np.abs(np.abs(values) - np.abs(other)) > 1e-5
        if index == 1 and x.ndim == 3:
            clear &= np.abs(np.abs(values) - np.abs(expected[2])) > 1e-5
        assert clear.mean() > 0.9 or min(shape) == 2
        np.testing.assert_allclose(got[clear], values[clear], rtol=0, atol=5e-6)
        np.testing.assert_allclose(np.abs(got), np.abs(values), rtol=0, atol=2e-5)


@pytest.mark.parametrize("index", [1, 2])
def test_reference(index: int) -> None:
    got = hessian_eigenvalue(golden("gaussian_3d"), sigma=1.0, index=index)
    np.testing.assert_allclose(got, golden(f"eigenvalue_1.0_{index}"), rtol=0, atol=1e-6)


def test_scale_and_sign() -> None:
    x = image("noise", (5, 9, 11), 3)
    given = {"sigma": 2.0, "row": 0, "column": 2}
    bare = hessian_element(x, **given, scale=False)
    np.testing.assert_allclose(bare, element(oracles.gaussian(x, 2.0, 3.0), 0, 2), rtol=0, atol=1e-6)
    assert_identical(hessian_element(x, **given), bare * np.float32(4))
    assert_identical(hessian_element(x, **given, white_on_black=False), bare * np.float32(-4))
    assert_identical(hessian_element(x, **given, scale=False, white_on_black=False), bare)
    last = hessian_eigenvalue(x, sigma=2.0, index=2)
    np.testing.assert_allclose(
        hessian_eigenvalue(x, sigma=2.0, index=2, white_on_black=False), -last, atol=1e-5
    )
    for sigma, scale in ((0.0, True), (2.0, False)):
        kept = hessian_eigenvalue(x, sigma=sigma, scale=scale, index=2)
        turned = hessian_eigenvalue(x, sigma=sigma, scale=scale, index=2, white_on_black=False)
        assert_identical(turned, kept)


@pytest.mark.parametrize("kind", ["constant", "ramp"])
def test_planes_have_no_curvature_away_from_the_border(kind: str) -> None:
    z, y, x = np.indices((9, 10, 11))
    volume = (np.full(z.shape, 7) if kind == "constant" else 2 * z + 3 * y - x).astype(np.float32)
    for index in range(3):
        assert not hessian_eigenvalue(volume, sigma=0.0, index=index).any()


def test_a_paraboloid_has_its_own_curvatures() -> None:
    z, y, x = np.indices((9, 10, 11))
    volume = (z**2 - 2 * y**2 + 4 * x**2).astype(np.float32)
    inner = (slice(2, -2),) * 3
    for index, value in enumerate((2, -4, 8)):
        np.testing.assert_allclose(
            hessian_eigenvalue(volume, sigma=0.0, index=index)[inner], value, rtol=1e-6
        )


@pytest.mark.parametrize("ndim", [2, 3])
def test_equal_magnitudes_keep_the_order_of_the_values(ndim: int) -> None:
    y, x = np.indices((7, 8)).astype(np.float32)
    saddle = x * y if ndim == 2 else np.repeat((x * y)[None], 5, 0)
    for index, value in zip(range(ndim)[-2:], (-1, 1), strict=True):
        assert (hessian_eigenvalue(saddle, sigma=0.0, index=index)[..., 2:-2, 2:-2] == value).all()


def test_wrong_axes_and_short_axes_are_refused() -> None:
    flat, thin = np.zeros((5, 6), np.float32), np.zeros((5, 1, 6), np.float32)
    with pytest.raises(InputError, match="hessian_element: axis 2 does not exist in a 2-D image: use 0 to 1"):
        hessian_element(flat, row=0, column=2)
    with pytest.raises(
        InputError, match="hessian_eigenvalue: eigenvalue 2 does not exist in a 2-D image: use 0 to 1"
    ):
        hessian_eigenvalue(flat, index=2)
    with pytest.raises(
        InputError, match=r"hessian_element: every axis needs at least 2 voxels, .* \(5, 1, 6\)"
    ):
        hessian_element(thin, row=0, column=0)
    with pytest.raises(
        InputError, match=r"hessian_eigenvalue: every axis needs at least 2 voxels, .* \(5, 1, 6\)"
    ):
        hessian_eigenvalue(thin, index=0)
    with pytest.raises(Problems, match=r"index: input should be less than or equal to 2 \(given: 3\)"):
        hessian_eigenvalue(flat, index=3)
    with pytest.raises(
        Problems, match=r"hessian_element: 2 problems\n  - row: is required\n  - column: is required"
    ):
        hessian_element(flat)
