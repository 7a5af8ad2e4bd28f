"""Compiled statistics against the array code for other types and layouts: equal to the last bit."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fastseg.arrays import Device, namespace_for
from fastseg.operators.intensity import NormalizeParams, _bounded, _minmax, _stretched, stretch
from fastseg.tiling import quantiles
from fastseg.tiling import statistics as stats
from fastseg.tiling.block import Block, Place
from fastseg.tiling.voxels import voxels_of
from fastseg.types import Box

NS = namespace_for(Device("cpu"))

KINDS = ["unit", "ties", "huge", "tiny", "offset", "constant", "zeros", "wide"]


def values_of(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return {
        "unit": lambda: rng.random(shape),
        "ties": lambda: rng.integers(-3, 4, shape),
        "huge": lambda: rng.uniform(-3e38, 3e38, shape),
        "tiny": lambda: rng.integers(-9, 10, shape) * 1.4e-45,
        "offset": lambda: 4000 + rng.random(shape),
        "constant": lambda: np.full(shape, rng.choice([0.3, -0.0, 1e9, 3e38])),
        "zeros": lambda: rng.choice([0.0, -0.0], shape),
        "wide": lambda: rng.choice([1e-30, -1e30, 1.0, 3e38], shape),
    }[kind]().astype(np.float32)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """A block with a halo, of odd shape."""
    shape = tuple(draw(st.integers(1, n)) for n in (4, 5, 70)[-draw(st.integers(2, 3)) :])
    start = tuple(draw(st.integers(0, n - 1)) for n in shape)
    stop = tuple(draw(st.integers(a + 1, n)) for a, n in zip(start, shape, strict=True))
    image = values_of(draw(st.sampled_from(KINDS)), shape, draw(st.integers(0, 99)))
    return Block((image,), (), None, Place(Box((0,) * len(shape), shape), Box(start, stop), shape), NS)


def spread_out(block: Block) -> Block:
    """The same voxels, not next to each other: the array code's."""
    return replace(block, arrays=tuple(np.repeat(a, 2, axis=-1)[..., ::2] for a in block.arrays))


def both(block: Block, chunk: Any, *values: Any, params: Any = None) -> tuple[Any, Any]:
    block = replace(block, values=values, params=params)
    return chunk(block), chunk(spread_out(block))


def extremes_of(block: Block) -> stats.Extrema:
    return stats.Extrema(float(block.arrays[0].min()), float(block.arrays[0].max()))


@given(blocks())
def test_extremes(block: Block) -> None:
    found, expected = both(block, stats.EXTREMA.chunk)
    assert found == expected


@given(blocks(), st.sampled_from([np.nan, np.inf, -np.inf, -np.nan]))
def test_extremes_that_are_not_finite(block: Block, value: float) -> None:
    block.arrays[0][block.place.core.start] = value
    found, expected = both(block, stats.EXTREMA.chunk)
    np.testing.assert_array_equal([found.low, found.high], [expected.low, expected.high])


@given(blocks(), st.floats(-4, 4100, width=32))
def test_extremes_with_bright_voxels_replaced(block: Block, bound: float) -> None:
    low = extremes_of(block).low
    found, expected = (stats.extrema_of(b, bound, low) for b in (block, spread_out(block)))
    assert found == expected


@given(blocks(), st.one_of(st.none(), st.tuples(st.floats(-4, 5000), st.floats(-4, 5000))))
def test_fixed_point_sums(block: Block, limits: tuple[float, float] | None) -> None:
    extrema = extremes_of(block)
    between = (extrema.low, extrema.high, limits or (-np.inf, np.inf))
    found, expected = (stats.sums_between(b, *between) for b in (block, spread_out(block)))
    assert found == expected


@given(blocks(), st.integers(1, 400))
def test_slabs_cover_a_box(block: Block, voxels: int) -> None:
    found = voxels_of(block)
    assert found is not None
    parts = list(found.slabs(voxels))
    assert [p.start[0] for p in parts] == [found.start[0], *(p.stop[0] for p in parts[:-1])]
    assert parts[-1].stop == found.stop
    for part in parts:
        assert (part.start[1:], part.stop[1:]) == (found.start[1:], found.stop[1:])
        plane = prod(b - a for a, b in zip(part.start[1:], part.stop[1:], strict=True))
        assert (part.stop[0] - part.start[0]) * plane <= max(voxels, plane)


def test_fixed_point_sums_of_the_ends_of_the_range() -> None:
    image = np.array([[[0, 1, 1, 1, 0.5, 2.0**-31]]], np.float32)
    box = Box((0, 0, 0), image.shape)
    block = Block((image,), (), None, Place(box, box, image.shape), NS)
    units = [0, 2**31, 2**31, 2**31, 2**30, 1]
    expected = (6, sum(units), sum(u * u for u in units))
    assert stats.sums_between(block, 0.0, 1.0, (-np.inf, np.inf)) == expected


@given(blocks())
def test_histogram(block: Block) -> None:
    found, expected = both(block, stats.HISTOGRAM.chunk, extremes_of(block))
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == block.place.core.size


@given(st.floats(-1e6, 1e6, width=32), st.floats(2.0**-10, 2.0**20, width=32), st.integers(-3, 3))
@example(1e6, 100.0, 0)  # edges that are rounded by an eighth of a bin
@example(1e6, 100.0, -1)
@example(-1e6, 50.0, 0)
def test_a_histogram_of_values_at_its_edges(low: float, span: float, ulps: int) -> None:
    edges = stats.bin_edges(low, float(np.float32(low) + np.float32(span)))
    assume((np.diff(edges) > 0).all())
    values = edges.copy()
    for _ in range(abs(ulps)):
        values = np.nextafter(values, np.float32(np.copysign(np.inf, ulps)))
    # one to a row, so that none is corrected for the sake of another
    image = np.stack([values, np.full_like(values, edges[:2].mean())], axis=1).clip(edges[0], edges[-1])[None]
    image[0, [0, -1], 0] = edges[[0, -1]]
    box = Box((0, 0, 0), image.shape)
    block = Block((image,), (extremes_of_image(image),), None, Place(box, box, image.shape), NS)
    np.testing.assert_array_equal(stats.HISTOGRAM.chunk(block), np.histogram(image, bins=edges)[0])


def test_a_histogram_of_the_whole_range_of_float32_is_that_of_numpy() -> None:
    image = values_of("huge", (3, 9, 40), 1)
    box = Box((0, 0, 0), image.shape)
    block = Block((image,), (extremes_of_image(image),), None, Place(box, box, image.shape), NS)
    edges = stats.bin_edges(float(image.min()), float(image.max()))
    expected = np.histogram(image.astype(np.float64), bins=edges.astype(np.float64))[0]
    np.testing.assert_array_equal(stats.HISTOGRAM.chunk(block), expected)
    assert np.isfinite(stats.Histogram(expected, edges).centres).all()


def extremes_of_image(image: np.ndarray) -> stats.Extrema:
    return stats.Extrema(float(image.min()), float(image.max()))


@given(blocks(), st.sampled_from([0.0, 0.5, 0.9999, 1.0]))
def test_radix_counts(block: Block, fraction: float) -> None:
    found, expected = both(block, quantiles.UPPER_HALVES.chunk)
    np.testing.assert_array_equal(found, expected)
    found, expected = both(block, quantiles.quantile(fraction).chunk, expected)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -np.nan])
def test_radix_counts_of_values_that_are_not_finite(value: float) -> None:
    image = np.array([[0, value, -0.0]], np.float32)
    box = Box((0, 0), image.shape)
    found, expected = both(
        Block((image,), (), None, Place(box, box, image.shape), NS), quantiles.UPPER_HALVES.chunk
    )
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=60)
@given(blocks(), st.floats(0.1, 3), st.floats(0.1, 3), st.floats(1, 4100, width=32))
def test_stretch(block: Block, a: float, b: float, bound: float) -> None:
    image = block.arrays[0]
    extrema = extremes_of(block)
    if extrema.high - extrema.low > float(np.finfo(np.float32).max):
        return
    found, expected = both(block, _minmax, extrema)
    np.testing.assert_array_equal(found, expected)
    spread = stats.Moments(
        image.size, extrema.low + (extrema.high - extrema.low) / 2, (extrema.high - extrema.low) / 3
    )
    found, expected = both(block, _stretched, extrema, spread, params=NormalizeParams(scaling=(a, b)))
    low, high = (
        max(spread.mean - a * spread.std, extrema.low),
        min(spread.mean + b * spread.std, extrema.high),
    )
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(
        found, stretch(np.clip(image, np.float32(low), np.float32(high)), low, high)
    )
    below = extremes_of_image(np.where(image > np.float32(bound), np.float32(extrema.low), image))
    found, expected = both(block, _bounded, extrema, below, params=NormalizeParams(scaling=(bound,)))
    np.testing.assert_array_equal(found, expected)
