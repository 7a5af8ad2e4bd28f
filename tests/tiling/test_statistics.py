"""Mergeable statistics against NumPy on the whole array, for any tiles."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastseg.errors import InputError
from fastseg.tiling import ArrayVolume, Chain, Engine, Link, Reduce, quantiles
from fastseg.tiling import statistics as stats

SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7)
FLOATS = st.floats(-1e6, 1e6, width=32)
TILES = st.one_of(st.none(), st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)))


def compute(links: list[Link], image: np.ndarray, tile: tuple[int, ...] | None = None) -> Any:
    chain = Chain(lambda params, inputs: links)
    return Engine(tile=tile).run(chain, {"image": ArrayVolume(image)}, None)


EXTREMA = [Link("extrema", stats.EXTREMA, ("image",))]
MOMENTS = [*EXTREMA, Link("moments", stats.MOMENTS, ("image", "extrema"))]
HISTOGRAM = [*EXTREMA, Link("histogram", stats.HISTOGRAM, ("image", "extrema"))]
MEDIAN = [
    Link("upper", quantiles.UPPER_HALVES, ("image",)),
    Link("median", quantiles.MEDIAN, ("image", "upper")),
]
PROJECTION = [Link("projection", stats.PROJECTION, ("image",))]


def exact_moments(image: np.ndarray) -> tuple[float, float]:
    values = image.ravel().astype(np.float64)
    mean = math.fsum(values) / values.size
    return mean, math.sqrt(math.fsum((values - mean) ** 2) / values.size)


@pytest.mark.parametrize("tile", [None, (1, 7, 5), (4, 3, 60)])
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (30000, 30500), (-1e-6, 1e-6), (1e20, 1.1e20)])
def test_moments(low: float, high: float, tile: tuple[int, ...] | None) -> None:
    image = np.random.default_rng(1).uniform(low, high, (9, 41, 37)).astype(np.float32)
    found = compute(MOMENTS, image, tile)
    mean, std = exact_moments(image)
    assert found.count == image.size
    assert found.mean == pytest.approx(mean, rel=1e-9, abs=1e-9 * (high - low))
    assert found.std == pytest.approx(std, rel=1e-9)


def test_moments_of_an_image_with_one_bright_voxel() -> None:
    image = np.random.default_rng(2).random((5, 30, 31), dtype=np.float32)
    image[3, 4, 5] = 60000
    found = compute(MOMENTS, image)
    mean, std = exact_moments(image)
    assert found.mean == pytest.approx(mean, rel=1e-7)
    assert found.std == pytest.approx(std, rel=1e-9)


def test_moments_of_a_constant_image() -> None:
    found = compute(MOMENTS, np.full((3, 4, 5), np.float32(0.1)))
    assert (found.count, found.mean, found.std) == (60, float(np.float32(0.1)), 0.0)


def test_fixed_point_sums_split_into_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(3).random((5, 6, 7), dtype=np.float32)
    whole = stats.fixed_point_sums(image, 0.0, 1.0, np)
    units = [round(float(v) * 2**31) for v in image.ravel()]
    assert whole == (len(units), sum(units), sum(u * u for u in units))
    monkeypatch.setattr(stats, "_PIECE", 10)
    assert stats.fixed_point_sums(image, 0.0, 1.0, np) == whole


@given(hnp.arrays(np.float32, SHAPES, elements=FLOATS), TILES)
def test_extrema(image: np.ndarray, tile: tuple[int, ...] | None) -> None:
    assert compute(EXTREMA, image, tile) == stats.Extrema(float(image.min()), float(image.max()))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_extrema_refuse_what_is_not_finite(value: float) -> None:
    image = np.zeros((2, 3, 4), np.float32)
    image[1, 2, 3] = value
    with pytest.raises(
        InputError, match="the image holds NaN or infinite voxels; all of them must be finite numbers"
    ):
        compute(EXTREMA, image, (1, 1, 1))


@given(
    hnp.arrays(
        np.float32, SHAPES, elements=st.one_of(FLOATS, st.sampled_from([-0.0, 0.0, 1.0, -1.0, 1e-45, -1e-45]))
    ),
    TILES,
)
def test_median(image: np.ndarray, tile: tuple[int, ...] | None) -> None:
    assert compute(MEDIAN, image, tile) == float(np.median(image.astype(np.float64)))


def test_median_of_an_even_count_is_the_mean_of_the_two_middle_values() -> None:
    assert compute(MEDIAN, np.array([[1, 2, 5, 9]], np.float32)) == 3.5
    assert compute(MEDIAN, np.array([[-1, -2, -5, -9]], np.float32)) == -3.5


def histogram_of(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = float(image.min()), float(image.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, 257).astype(np.float32)
    return np.histogram(image, bins=edges)[0], edges


@pytest.mark.parametrize("tile", [None, (1, 7, 5), (4, 3, 60)])
@pytest.mark.parametrize("kind", ["uniform", "integers", "constant", "two", "offset", "negative", "edges"])
def test_histogram(kind: str, tile: tuple[int, ...] | None) -> None:
    rng = np.random.default_rng(4)
    image = {
        "uniform": rng.random((9, 21, 17)),
        "integers": rng.integers(0, 513, (9, 21, 17)),
        "constant": np.full((9, 21, 17), 0.3),
        "two": rng.integers(0, 2, (9, 21, 17)),
        "offset": 4000 + rng.random((9, 21, 17)),
        "negative": -rng.random((9, 21, 17)) * 1e-3,
        "edges": rng.choice(np.linspace(0.1, 0.7, 257), (9, 21, 17)),
    }[kind].astype(np.float32)
    counts, edges = histogram_of(image)
    found = compute(HISTOGRAM, image, tile)
    np.testing.assert_array_equal(found.edges, edges)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(found.centres, ((edges[:-1] + edges[1:]) / 2).astype(np.float32))


@given(hnp.arrays(np.float32, SHAPES, elements=FLOATS))
def test_histogram_counts_every_voxel_between_its_edges(image: np.ndarray) -> None:
    found = compute(HISTOGRAM, image)
    assert found.counts.sum() == image.size
    if np.all(np.diff(found.edges) > 0):
        np.testing.assert_array_equal(found.counts, np.histogram(image, bins=found.edges)[0])


def test_histogram_agrees_with_numpy_and_its_own_edges_on_unit_range() -> None:
    image = np.random.default_rng(5).random((9, 41, 37), dtype=np.float32)
    np.testing.assert_array_equal(compute(HISTOGRAM, image).counts, np.histogram(image, bins=256)[0])


def test_histogram_of_a_large_single_value_counts_all_voxels() -> None:
    found = compute(HISTOGRAM, np.full((2, 3, 4), np.float32(1e9)))
    assert found.counts.sum() == 24
    assert set(found.centres[found.counts > 0]) == {np.float32(1e9)}


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7), elements=FLOATS), TILES)
def test_projection(image: np.ndarray, tile: tuple[int, ...] | None) -> None:
    np.testing.assert_array_equal(compute(PROJECTION, image, tile), image.max(axis=0))


def test_a_statistic_with_a_halo_is_given_the_halo_but_counts_the_core() -> None:
    def count(block: Any) -> tuple[int, int]:
        return stats.kept(block).size, block.arrays[0].size

    def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return a[0] + b[0], a[1] + b[1]

    rule = Reduce(count, add, stats.pair, lambda params: (1, 1, 1))
    image = ArrayVolume(np.zeros((4, 1, 1)))
    assert Engine(tile=(2, 1, 1)).run(rule, {"image": image}, None) == (4, 6)
