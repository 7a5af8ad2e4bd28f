"""Thresholds as values and the suggested scaling against definitions written out, scikit-image and NumPy."""

import numpy as np
import pytest
from skimage.filters import threshold_otsu, threshold_triangle
from skimage.morphology import ball

from fastseg.errors import InputError, Problems
from fastseg.operators import (
    cell_wise_threshold,
    coarse_threshold,
    intensity_normalize,
    masked_object_threshold,
    median_threshold,
    otsu_threshold,
    suggest_scaling,
    triangle_threshold,
)
from tests.operators.mask_oracles import dilated
from tests.operators.test_thresholds import large, otsu_by_definition, thresholded_objects
from tests.support import assert_identical, frozen, golden, image

KINDS = ["smooth", "noise", "ties", "blobs", "offset"]
SHAPES = [(7, 21, 23), (1, 21, 23), (7, 1, 23), (21, 23), (1, 9), (2, 1, 1)]


def histogram_by_definition(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts and centres of 256 bins between the extremes."""
    edges = np.linspace(float(x.min()), float(x.max()), 257).astype(np.float32)
    return np.histogram(x, bins=edges)[0], (edges[1:] + edges[:-1]) / np.float32(2)


def triangle_by_definition(x: np.ndarray) -> float:
    counts, centres = histogram_by_definition(x)
    h, c = counts.tolist(), centres.tolist()
    peak, filled = h.index(max(h)), np.flatnonzero(counts)
    if peak - filled[0] < filled[-1] - peak:
        h, c = h[::-1], c[::-1]
        peak, filled = 255 - peak, 255 - filled[::-1]
    low = int(filled[0])
    heights = [h[peak] * k - (peak - low) * h[low + k] for k in range(peak - low)]
    return c[low + heights.index(max(heights))]


def scaling_by_definition(x: np.ndarray) -> tuple[float, float]:
    x = x.astype(np.float64)
    mean, std, bright = x.mean(), x.std(), np.percentile(x, 99.99)
    steps = np.arange(0.5, 1000, 0.5)
    above, below = steps[mean + std * steps > bright], steps[mean - std * steps < x.min()]
    upper = above[0] - 0.5 * (mean + std * above[0] > x.max()) if above.size else 0.0
    return float(below[0] - 0.5 if below.size else 0.0), float(upper)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_thresholds(shape: tuple[int, ...], kind: str) -> None:
    for seed in range(4):
        x = frozen(image(kind, shape, seed))
        got = [f(x) for f in (median_threshold, otsu_threshold)]
        assert [type(value) for value in got] == [float, float]
        assert got[0] == np.median(x.astype(np.float64))
        if x.min() == x.max():
            assert got[1] == x.min()
            continue
        assert got[1] == otsu_by_definition(x)
        assert got[1] == pytest.approx(threshold_otsu(x), abs=3e-7 * float(np.abs(x).max()))
        assert type(triangle_threshold(x)) is float
        assert triangle_threshold(x) == triangle_by_definition(x)
        assert triangle_threshold(x) == pytest.approx(
            threshold_triangle(x), abs=3e-7 * float(np.abs(x).max())
        )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_triangle_has_its_tail_on_either_side(sign: int) -> None:
    x = sign * np.abs(image("noise", (9, 30, 31), 1)) ** 2
    t = triangle_threshold(x)
    assert t == triangle_by_definition(x)
    assert 0.2 < sign * t < 6


@pytest.mark.parametrize("value", [-3.0, 0.0, 2.5, 1e9])
def test_a_constant_image(value: float) -> None:
    x = np.full((3, 4, 5), value, np.float32)
    assert otsu_threshold(x) == median_threshold(x) == value
    assert suggest_scaling(x) == (0.0, 0.0)
    with pytest.raises(InputError, match="triangle threshold: the image is constant"):
        triangle_threshold(x)


@pytest.mark.parametrize(
    ("values", "median"), [([5], 5), ([1, 9], 5), ([3, -2, 8], 3), ([-1, -4, 2, 0], -0.5)]
)
def test_the_median_is_the_mean_of_the_two_middle_values(values: list[float], median: float) -> None:
    assert median_threshold(np.array([values], np.float32)) == median


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [*KINDS, "constant"])
def test_suggested_scaling(shape: tuple[int, ...], kind: str) -> None:
    for seed in range(4):
        x = frozen(image(kind, shape, seed))
        got = suggest_scaling(x)
        assert [type(value) for value in got] == [float, float]
        assert got == scaling_by_definition(x)


def test_the_suggested_scaling_stays_within_the_extremes_and_above_the_brightest_voxels() -> None:
    x = image("noise", (40, 40, 40), 2)
    x[3, 4, 5] = 9.3
    lower, upper = suggest_scaling(x)
    mean, std, bright = x.mean(dtype=float), x.std(dtype=float), np.quantile(x, 0.9999)
    assert mean - lower * std >= x.min() > mean - (lower + 0.5) * std
    assert mean + (upper - 0.5) * std <= bright < mean + upper * std < x.max()
    assert intensity_normalize(x, scaling=[lower, upper]).max() == 1


def test_limits_that_equal_the_extremes_are_within() -> None:
    halves = np.repeat(np.array([[0, 1]], np.float32), 50, 0)
    assert suggest_scaling(halves) == scaling_by_definition(halves) == (1.0, 1.0)
    rare = np.zeros((100, 400), np.float32)
    rare[0, 0] = 1
    assert suggest_scaling(rare) == scaling_by_definition(rare)
    assert suggest_scaling(rare)[1] == 0.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("min_size", [0, 1, 9, 60])
def test_cell_wise_threshold(kind: str, min_size: int) -> None:
    x = frozen(image(kind, (7, 21, 23), 3))
    cells = large(x > np.float32(triangle_by_definition(x)), min_size)
    offsets = [tuple(o) for o in np.argwhere(ball(2)) - 2]
    expected = thresholded_objects(x, dilated(cells, offsets), 0.98, False)
    assert_identical(cell_wise_threshold(x, min_size=min_size), expected)


@pytest.mark.parametrize("shape", [(1, 21, 23), (7, 1, 23), (7, 21, 1)])
def test_cell_wise_threshold_of_flat_volumes(shape: tuple[int, int, int]) -> None:
    x = image("smooth", shape, 4)
    cells = large(x > np.float32(triangle_by_definition(x)), 2)
    offsets = [tuple(o) for o in np.argwhere(ball(2)) - 2]
    assert_identical(
        cell_wise_threshold(x, min_size=2), thresholded_objects(x, dilated(cells, offsets), 0.98, False)
    )


def test_cell_wise_threshold_of_the_reference() -> None:
    got = cell_wise_threshold(golden("gaussian_3d"), min_size=50)
    assert_identical(got, golden("cell_local_adaptive"))


def test_wrong_inputs_are_refused() -> None:
    x = np.zeros((3, 4, 5), np.float32)
    with pytest.raises(InputError, match="triangle threshold: the image is constant"):
        cell_wise_threshold(x, min_size=1)
    with pytest.raises(Problems, match=r"min_size: input should be greater than or equal to 0 \(given: -1\)"):
        cell_wise_threshold(x, min_size=-1)
    with pytest.raises(InputError, match=r"cell_wise_threshold: 'image' is 2-D \(4, 5\); it must be 3-D"):
        cell_wise_threshold(x[0], min_size=1)
    for value in (np.nan, -np.nan, np.inf, -np.inf):
        x[1, 2, 3] = value
        for operator in (otsu_threshold, triangle_threshold, median_threshold, suggest_scaling):
            with pytest.raises(InputError, match="the image holds NaN or infinite voxels"):
                operator(x)
        for method in ("med", "median", "ave_tri_med"):
            with pytest.raises(InputError, match="the image holds NaN or infinite voxels"):
                coarse_threshold(x, method=method, min_size=1)
            with pytest.raises(InputError, match="the image holds NaN or infinite voxels"):
                masked_object_threshold(x, method=method, min_size=1)


@pytest.mark.parametrize("value", [np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal, 0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_median_of_every_finite_number(value: float, sign: int) -> None:
    x = np.full((2, 3, 4), sign * value, np.float32)
    assert median_threshold(x) == sign * value
