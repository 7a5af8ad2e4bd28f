"""Exactly mergeable statistics: the same value for any tiles, any order, any number of threads.

Floating-point sums depend on their order. Here voxels are mapped to integers first (fixed point over the known range),
and sums of integers do not. Medians come from exact counting on the bits of the values, histograms from counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any, NoReturn

import numpy as np

from fastseg.arrays import to_host
from fastseg.errors import InputError
from fastseg.tiling.block import Block
from fastseg.tiling.parts import assemble_parts
from fastseg.tiling.rules import Reduce
from fastseg.types import Array, Box

_PIECE = 1 << 21
"""Voxels handled at a time, so that temporaries stay in cache (16 MB of float64)."""

BINS = 256


@dataclass(frozen=True, slots=True)
class Extrema:
    """Smallest and largest value, as float32 values in Python floats."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean and population standard deviation."""

    count: int
    mean: float
    std: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of 256 equal bins; `edges` (257,) float32, `counts` (256,) int64."""

    counts: np.ndarray
    edges: np.ndarray

    @property
    def centres(self) -> np.ndarray:
        return (self.edges[1:] + self.edges[:-1]) / np.float32(2)


def kept(block: Block, index: int = 0) -> Array:
    """The core of an input."""
    return block.arrays[index][block.place.keep]


def pieces(array: Array) -> Iterator[Array]:
    """`array` in flat pieces of bounded size."""
    rows = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
    step = max(1, _PIECE // max(1, rows.shape[1]))
    for start in range(0, rows.shape[0], step):
        yield rows[start : start + step].ravel()


def pair(partial: Any, values: tuple[Any, ...], params: Any) -> Any:
    """Finalise by returning the partial result itself."""
    return partial


def _extrema_chunk(block: Block) -> Extrema:
    array = kept(block)
    return Extrema(float(array.min()), float(array.max()))


def _extrema_combine(a: Extrema, b: Extrema) -> Extrema:
    # numpy's minimum and maximum hand on NaN, whatever the order of the tiles
    return Extrema(float(np.minimum(a.low, b.low)), float(np.maximum(a.high, b.high)))


def _refuse_not_finite() -> NoReturn:
    raise InputError("the image holds NaN or infinite voxels; all of them must be finite numbers")


def _extrema_finalize(merged: Extrema, values: tuple[Any, ...], params: Any) -> Extrema:
    if not (isfinite(merged.low) and isfinite(merged.high)):
        _refuse_not_finite()
    return merged


EXTREMA = Reduce(_extrema_chunk, _extrema_combine, _extrema_finalize)
"""Minimum and maximum of an image."""


def fixed_point_sums(array: Array, low: float, high: float, xp: Any) -> tuple[int, int, int]:
    """Count, sum and sum of squares of ``rint((x - low) / (high - low) * 2**31)``, exact integers of any size."""
    scale = 2.0**31 / (high - low) if high > low else 0.0
    count = total = squares = 0
    for piece in pieces(array):
        units = xp.rint((piece.astype(np.float64) - low) * scale).astype(np.int64)
        upper, lower = units >> 16, units & 0xFFFF
        count += int(units.size)
        total += int(units.sum())
        squares += (int((upper * upper).sum()) << 32) + (int((upper * lower).sum()) << 17)
        squares += int((lower * lower).sum())
    return count, total, squares


def moments(sums: tuple[int, int, int], low: float, high: float) -> Moments:
    """Mean and standard deviation from the sums of `fixed_point_sums`; exact up to the rounding to fixed point."""
    count, total, squares = sums
    if count == 0:
        return Moments(0, float("nan"), float("nan"))
    unit = (high - low) / 2.0**31 if high > low else 0.0
    variance = (count * squares - total * total) / (count * count)
    return Moments(count, low + unit * (total / count), unit * float(np.sqrt(variance)))


def add_sums(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _moments_chunk(block: Block) -> tuple[int, int, int]:
    extrema: Extrema = block.values[0]
    return fixed_point_sums(kept(block), extrema.low, extrema.high, block.ns.xp)


def _moments_finalize(partial: tuple[int, int, int], values: tuple[Any, ...], params: Any) -> Moments:
    return moments(partial, values[0].low, values[0].high)


MOMENTS = Reduce(_moments_chunk, add_sums, _moments_finalize)
"""Mean and standard deviation of an image; its second input is the image's `Extrema`."""


def bin_edges(low: float, high: float) -> np.ndarray:
    """257 edges between the extremes, equally spaced in float64 and rounded to float32.

    A single value v is given the range v - 0.5 .. v + 0.5.
    """
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1).astype(np.float32)


def bin_numbers(values: Array, edges: Array, xp: Any) -> Array:
    """Bin of every value: left-closed bins by `edges`, the last one closed on both sides.

    The bin is estimated by one multiplication and corrected by comparison with the edges, as `numpy.histogram` does.
    """
    low = float(edges[0])
    span = float(edges[-1]) - low
    scale = BINS / span if span > 0 else 0.0  # edges around a large single value can round to that value
    beyond = scale > float(np.finfo(np.float32).max)  # values of 1e-37 and less would become infinite
    place = (values - low) / span * BINS if beyond else (values - low) * scale
    bins = xp.clip(place.astype(np.int32), 0, BINS - 1)
    bins -= values < edges[bins]
    bins += (values >= edges[bins + 1]) & (bins < BINS - 1)
    return bins


def _histogram_chunk(block: Block) -> np.ndarray:
    xp = block.ns.xp
    edges = xp.asarray(bin_edges(block.values[0].low, block.values[0].high))
    counts = np.zeros(BINS, np.int64)
    for piece in pieces(kept(block)):
        counts += to_host(xp.bincount(bin_numbers(piece, edges, xp), minlength=BINS)).astype(np.int64)
    return counts


def _add(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def _histogram_finalize(partial: np.ndarray, values: tuple[Any, ...], params: Any) -> Histogram:
    return Histogram(partial, bin_edges(values[0].low, values[0].high))


HISTOGRAM = Reduce(_histogram_chunk, _add, _histogram_finalize)
"""Histogram of 256 bins of an image; its second input is the image's `Extrema`."""


def _ordered_bits(values: Array, xp: Any) -> Array:
    """float32 values as uint32 keys of the same order."""
    bits = (values + np.float32(0)).view(np.uint32)  # + 0 turns -0.0 into 0.0
    return xp.where(bits >> 31 == 1, ~bits, bits | np.uint32(0x80000000))


def _from_ordered_bits(key: int) -> float:
    bits = key & 0x7FFFFFFF if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])


def _upper_chunk(block: Block) -> np.ndarray:
    xp = block.ns.xp
    counts = np.zeros(1 << 16, np.int64)
    for piece in pieces(kept(block)):
        upper = (_ordered_bits(piece, xp) >> 16).astype(np.int32)
        counts += to_host(xp.bincount(upper, minlength=1 << 16)).astype(np.int64)
    return counts


_LOWEST, _HIGHEST = 0x0080, 0xFF7F
"""Upper halves of the keys of the float32 range; beyond lie the infinite values and NaN of either sign."""


def _upper_finalize(counts: np.ndarray, values: tuple[Any, ...], params: Any) -> np.ndarray:
    if counts[:_LOWEST].any() or counts[_HIGHEST + 1 :].any():
        _refuse_not_finite()
    return counts


UPPER_HALVES = Reduce(_upper_chunk, _add, _upper_finalize)
"""First pass of an exact quantile: counts by the upper 16 bits."""


def _ranks(counts: np.ndarray, ranks: Sequence[int]) -> list[tuple[int, int]]:
    """(upper half, rank within it) of the values with these ranks among the sorted voxels."""
    ends = np.cumsum(counts)
    found = []
    for rank in ranks:
        upper = int(np.searchsorted(ends, rank, side="right"))
        found.append((upper, rank - int(ends[upper] - counts[upper])))
    return found


def _around(total: int, quantile: float) -> tuple[int, int, float]:
    """Ranks below and above a quantile of `total` sorted values, and the weight of the upper one."""
    position = quantile * (total - 1)
    below = int(position)
    return below, min(below + 1, total - 1), position - below


def _lower_chunk(quantile: float, block: Block) -> np.ndarray:
    xp = block.ns.xp
    upper_counts = block.values[0]
    below, above, _ = _around(int(upper_counts.sum()), quantile)
    uppers = [upper for upper, _ in _ranks(upper_counts, (below, above))]
    counts = np.zeros((2, 1 << 16), np.int64)
    for piece in pieces(kept(block)):
        keys = _ordered_bits(piece, xp)
        for row, upper in enumerate(uppers):
            lower = (keys[keys >> 16 == upper] & 0xFFFF).astype(np.int32)
            counts[row] += to_host(xp.bincount(lower, minlength=1 << 16)).astype(np.int64)
    return counts


def _quantile_finalize(quantile: float, merged: np.ndarray, values: tuple[Any, ...], params: Any) -> float:
    below, above, weight = _around(int(values[0].sum()), quantile)
    found = []
    for counts, (upper, rank) in zip(merged, _ranks(values[0], (below, above)), strict=True):
        lower = int(np.searchsorted(np.cumsum(counts), rank, side="right"))
        found.append(_from_ordered_bits(upper << 16 | lower))
    return found[0] + weight * (found[1] - found[0])


def quantile(fraction: float) -> Reduce:
    """The exact quantile with linear interpolation; its second input is the result of `UPPER_HALVES`."""
    return Reduce(partial(_lower_chunk, fraction), _add, partial(_quantile_finalize, fraction))


MEDIAN = quantile(0.5)
"""Exact median (mean of the two middle values); its second input is the result of `UPPER_HALVES`."""


def _projection_chunk(block: Block) -> dict[Box, np.ndarray]:
    core = block.place.core
    return {Box(core.start[1:], core.stop[1:]): to_host(kept(block).max(axis=0))}


def _projection_combine(a: dict[Box, np.ndarray], b: dict[Box, np.ndarray]) -> dict[Box, np.ndarray]:
    merged = dict(a)
    for box, part in b.items():
        merged[box] = np.maximum(merged[box], part) if box in merged else part
    return merged


PROJECTION = Reduce(_projection_chunk, _projection_combine, assemble_parts)
"""Maximum projection along z, (y, x)."""


def per_plane(values: np.ndarray, core: Box, shape: tuple[int, ...], neutral: float) -> np.ndarray:
    """One value for every plane of the volume: `values` for the planes of `core`, `neutral` elsewhere."""
    whole = np.full(shape[0], neutral, values.dtype)
    whole[core.start[0] : core.stop[0]] = values
    return whole


def minimum_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.minimum(a, b)


def sum_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b
