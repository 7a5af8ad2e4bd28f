"""Exactly mergeable statistics: the same value for any tiles, any order, any number of threads.

Floating-point sums depend on their order. Here voxels are mapped to integers first (fixed point over the known range),
and sums of integers do not. Histograms come from counts; quantiles are in `fastseg.tiling.quantiles`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn

import numpy as np

from fastseg.arrays import to_host
from fastseg.errors import InputError
from fastseg.tiling.block import Block
from fastseg.tiling.parts import Parts, assemble_parts, highest_parts, part_of
from fastseg.tiling.rules import Reduce
from fastseg.tiling.voxels import kept as kept
from fastseg.tiling.voxels import voxels_of
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


def centres_of(edges: np.ndarray) -> np.ndarray:
    """Centres of the bins between edges, (..., n) float32 from (..., n + 1)."""
    below, above, two = edges[..., :-1], edges[..., 1:], np.float32(2)
    with np.errstate(over="ignore"):
        total = above + below
    return np.where(np.isfinite(total), total / two, above / two + below / two)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of 256 equal bins; `edges` (257,) float32, `counts` (256,) int64."""

    counts: np.ndarray
    edges: np.ndarray

    @property
    def centres(self) -> np.ndarray:
        return centres_of(self.edges)


def pieces(array: Array) -> Iterator[Array]:
    """`array` in flat pieces of bounded size."""
    rows = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
    step = max(1, _PIECE // max(1, rows.shape[1]))
    for start in range(0, rows.shape[0], step):
        yield rows[start : start + step].ravel()


def pair(partial: Any, values: tuple[Any, ...], params: Any) -> Any:
    """Finalise by returning the partial result itself."""
    return partial


_INFINITE = 0x7F800000
"""The ordered integer of infinity."""


def _ordered_integer(value: float) -> int:
    """The bits of a float32 as an int32 of the same order."""
    bits = int((np.array([value], np.float32) + np.float32(0)).view(np.int32)[0])  # -0.0 becomes 0.0
    return bits if bits >= 0 else bits ^ 0x7FFFFFFF


def _from_ordered_integer(key: int) -> float:
    bits = key if key >= 0 else key ^ 0x7FFFFFFF
    return float(np.array([bits], np.int32).view(np.float32)[0]) + 0.0  # not -0.0


def extrema_of(block: Block, bound: float | None = None, instead: float = 0.0) -> Extrema:
    """Extremes of the core of a block's image, values above `bound` replaced; NaN if any voxel is."""
    voxels = voxels_of(block)
    if voxels is None:
        array = kept(block)
        if bound is not None:
            array = block.ns.xp.where(array > np.float32(bound), np.float32(instead), array)
        return Extrema(float(array.min()), float(array.max()))
    replaced = () if bound is None else (_ordered_integer(bound), _ordered_integer(instead))
    found = voxels.ns.xp.empty(2, np.int32)
    voxels.kernel("statistics").extremes(voxels.bits, *voxels.box, found, *replaced)
    low, high = map(int, to_host(found))
    if high > _INFINITE or low < ~_INFINITE:
        return Extrema(float("nan"), float("nan"))
    return Extrema(_from_ordered_integer(low), _from_ordered_integer(high))


def _extrema_chunk(block: Block) -> Extrema:
    return extrema_of(block)


def _extrema_combine(a: Extrema, b: Extrema) -> Extrema:
    # numpy's minimum and maximum hand on NaN, whatever the order of the tiles
    return Extrema(float(np.minimum(a.low, b.low)), float(np.maximum(a.high, b.high)))


def refuse_not_finite() -> NoReturn:
    raise InputError("the image holds NaN or infinite voxels; all of them must be finite numbers")


def _extrema_finalize(merged: Extrema, values: tuple[Any, ...], params: Any) -> Extrema:
    if not (isfinite(merged.low) and isfinite(merged.high)):
        refuse_not_finite()
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


def sums_between(block: Block, low: float, high: float, limits: tuple[float, float]) -> tuple[int, int, int]:
    """`fixed_point_sums` of the voxels of a block's image that lie between two limits, themselves left out.

    Parameters
    ----------
    block : Block
    low, high : float
        Extremes of the whole image.
    limits : (float, float)
        Rounded to float32.
    """
    above, below = (np.float32(limit) for limit in limits)
    voxels = voxels_of(block)
    if voxels is None:
        array = kept(block)
        if not np.isinf(limits).all():
            array = array[(array > above) & (array < below)]
        return fixed_point_sums(array, low, high, block.ns.xp)
    scale = 2.0**31 / (high - low) if high > low else 0.0
    kernel = voxels.kernel("statistics")
    total = (0, 0, 0)
    for part in voxels.slabs(1 << 32):
        sums = voxels.ns.xp.empty(5, np.int64)
        kernel.fixed_point(part.image, *part.box, (above, below), low, scale, sums)
        total = add_sums(total, kernel.whole_sums(to_host(sums)))
    return total


def moments(sums: tuple[int, int, int], low: float, high: float) -> Moments:
    """Mean and standard deviation from the sums of `fixed_point_sums`; exact up to the rounding to fixed point."""
    count, total, squares = sums
    if count == 0:
        return Moments(0, float("nan"), float("nan"))
    unit = (high - low) / 2.0**31 if high > low else 0.0
    variance = (count * squares - total * total) / (count * count)
    return Moments(count, low + unit * (total / count), unit * float(np.sqrt(variance)))


def add_sums(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int, int]:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def _moments_chunk(block: Block) -> tuple[int, int, int]:
    extrema: Extrema = block.values[0]
    return sums_between(block, extrema.low, extrema.high, (-np.inf, np.inf))


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


_LARGEST = float(np.finfo(np.float32).max)


def _bin_scale(edges: Array) -> tuple[float, float, bool]:
    """A factor and a divisor that take distances from the first edge to bins, and whether these need float64."""
    span = float(edges[-1]) - float(edges[0])
    scale = BINS / span if span > 0 else 0.0  # edges around a large single value can round to that value
    if scale > _LARGEST:  # values of 1e-37 and less would become infinite
        return float(BINS), span, False
    return scale, 1.0, span > _LARGEST


def bin_numbers(values: Array, edges: Array, xp: Any) -> Array:
    """Bin of every value: left-closed bins by `edges`, the last one closed on both sides.

    The bin is estimated by one multiplication and corrected by comparison with the edges, as `numpy.histogram` does.
    """
    low = float(edges[0])
    factor, divisor, wide = _bin_scale(edges)
    place = (values.astype(np.float64) - low) * factor if wide else (values - low) / divisor * factor
    bins = xp.clip(place.astype(np.int32), 0, BINS - 1)
    bins -= values < edges[bins]
    bins += (values >= edges[bins + 1]) & (bins < BINS - 1)
    return bins


def _histogram_chunk(block: Block) -> np.ndarray:
    xp = block.ns.xp
    edges = bin_edges(block.values[0].low, block.values[0].high)
    voxels = voxels_of(block)
    if voxels is not None:
        found = xp.empty(BINS, np.int64)
        on_device = voxels.ns.put(edges)
        scale = _bin_scale(edges)
        voxels.kernel("counting").histogram(voxels.image, *voxels.box, on_device, *scale, found)
        return to_host(found)
    edges = block.ns.put(edges)
    counts = np.zeros(BINS, np.int64)
    for piece in pieces(kept(block)):
        counts += to_host(xp.bincount(bin_numbers(piece, edges, xp), minlength=BINS)).astype(np.int64)
    return counts


def add_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b


def _histogram_finalize(partial: np.ndarray, values: tuple[Any, ...], params: Any) -> Histogram:
    return Histogram(partial, bin_edges(values[0].low, values[0].high))


HISTOGRAM = Reduce(_histogram_chunk, add_counts, _histogram_finalize)
"""Histogram of 256 bins of an image; its second input is the image's `Extrema`."""


def _projection_chunk(block: Block) -> Parts:
    core = block.place.core
    return part_of(block, Box(core.start[1:], core.stop[1:]), kept(block).max(axis=0))


PROJECTION = Reduce(_projection_chunk, highest_parts, assemble_parts)
"""Maximum projection along z, (y, x); see `fastseg.arrays.deferred.held_array`."""


def per_plane(values: np.ndarray, core: Box, shape: tuple[int, ...], neutral: float) -> np.ndarray:
    """One value for every plane of the volume: `values` for the planes of `core`, `neutral` elsewhere."""
    whole = np.full(shape[0], neutral, values.dtype)
    whole[core.start[0] : core.stop[0]] = values
    return whole


def minimum_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.minimum(a, b)


def sum_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a + b
