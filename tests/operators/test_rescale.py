"""Resampling in the plane against a quadratic spline solved as a linear system in float64."""

import numpy as np
import pytest

from fastseg.operators import rescale_xy
from tests.support import frozen, image


def spline_matrix(n: int, m: int) -> np.ndarray:
    """The (m, n) matrix that resamples one axis."""
    conditions = np.zeros((n, n))
    for k in range(n):
        for offset, weight in ((-1, 1 / 8), (0, 6 / 8), (1, 1 / 8)):
            conditions[k, mirrored(k + offset, n)] += weight
    samples = np.zeros((m, n))
    for j in range(m):
        u = j * (n - 1) / (m - 1) if m > 1 else 0.0
        k = int(np.floor(u + 0.5))
        t = u - k
        weights = ((-1, 0.5 * (0.5 - t) ** 2), (0, 0.75 - t * t), (1, 0.5 * (0.5 + t) ** 2))
        for offset, weight in weights:
            samples[j, mirrored(k + offset, n)] += weight
    return samples @ np.linalg.inv(conditions)


def mirrored(k: int, n: int) -> int:
    """Whole-mirror extension."""
    if n == 1:
        return 0
    k = abs(k) % (2 * (n - 1))
    return min(k, 2 * (n - 1) - k)


def stretched(y: np.ndarray) -> np.ndarray:
    return (y - y.min() + 1e-8) / (y.max() - y.min() + 1e-8)


@pytest.mark.parametrize("ratio", [0.3, 0.5, 0.7, 0.85, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("shape", [(3, 19, 23), (1, 12, 5), (2, 1, 9), (2, 9, 1)])
def test_spline(shape: tuple[int, int, int], ratio: float) -> None:
    x = frozen(image("noise", shape, 3))
    my, mx = (max(1, round(n * ratio)) for n in shape[1:])
    expected = np.einsum(
        "ay,zyx,bx->zab", spline_matrix(shape[1], my), x.astype(float), spline_matrix(shape[2], mx)
    )
    got = rescale_xy(x, ratio=ratio)
    assert got.shape == (shape[0], my, mx)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, stretched(expected), atol=3e-6)


@pytest.mark.parametrize(("n", "ratio", "m"), [(5, 0.5, 2), (7, 0.5, 4), (9, 0.5, 4), (3, 0.1, 1)])
def test_lengths_round_half_to_even_and_stay_above_zero(n: int, ratio: float, m: int) -> None:
    assert rescale_xy(np.zeros((2, n, n), np.float32), ratio=ratio).shape == (2, m, m)


def test_the_spline_passes_through_the_corners() -> None:
    x = image("noise", (1, 14, 11), 4)
    x[0, 0, 0], x[0, -1, -1] = -50, 50
    y = rescale_xy(x, ratio=0.6)
    assert y[0, 0, 0] == y.min()
    assert y[0, -1, -1] == y.max() == 1


def test_compat_fills_the_last_row_where_its_position_overshoots() -> None:
    n, ratio = 96, 0.85
    x = 1 + image("noise", (2, n, 20), 5) ** 2
    m, mx = round(n * ratio), round(20 * ratio)
    resampled = np.einsum("ay,zyx,bx->zab", spline_matrix(n, m), x.astype(float), spline_matrix(20, mx))
    np.testing.assert_allclose(rescale_xy(x, ratio=ratio), stretched(resampled), atol=3e-6)
    resampled[:, -1] = 0
    np.testing.assert_allclose(rescale_xy(x, ratio=ratio, compat=True), stretched(resampled), atol=3e-6)


def test_compat_fills_the_last_column_as_well() -> None:
    x = 1 + image("noise", (2, 20, 96), 5) ** 2
    plain, compat = rescale_xy(x, ratio=0.85), rescale_xy(x, ratio=0.85, compat=True)
    assert len(np.unique(compat[:, :, -1])) == 1
    assert len(np.unique(plain[:, :, -1])) > 1


def test_compat_changes_nothing_where_no_position_overshoots() -> None:
    x = image("noise", (2, 20, 20), 5)
    np.testing.assert_array_equal(rescale_xy(x, ratio=0.7), rescale_xy(x, ratio=0.7, compat=True))
