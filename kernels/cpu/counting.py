"""Counts of the voxels of a box by bin, or by the bits of their values, in parallel: integers, the same for any tiles.

Read as int32, with the bits below the sign flipped for negative values, float32 values are ordered as they are.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels.cpu.boxes import row_of, share_of, shares_of, size_of
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import fitting, spread
from fastseg.kernels.voxel.statistics import correction, ordered_with_one_zero, within_bins

__all__ = ["histogram", "lower_halves", "upper_halves"]

_HALF = np.int32(16)
_LOW_HALF = np.int32(0xFFFF)
_OFFSET = np.int32(0x8000)
_PIECE = 128
"""Values that are corrected together, if one of them needs it."""
_HALF_A_BIN = np.float32(0.5)
_LAST_MIDDLE = np.float32(255.5)
_ROUNDING = 256 * 5 * 2.0**-24
"""Of three operations on float32 and of the difference from 1/2, in bins, with room to spare."""

# Values whose counters lie apart, so that equal values in a row do not wait for each other's counts.
_WAYS = 4


@inner
def _estimate(
    values: np.ndarray,
    low: np.float32,
    factor: np.float32,
    divisor: np.float32,
    sure: np.float32,
    bins: np.ndarray,
) -> int:
    """The bin of each value before its correction, and how many are nearer to an edge than is `sure` from the middle.

    A factor or a divisor of 1 does nothing. Below the first and above the last edge but one nothing is to be corrected.
    """
    near = np.int32(0)
    for x in range(values.shape[0]):
        place = (values[x] - low) / divisor * factor
        bins[x] = within_bins(place)
        off = place - np.float32(np.int32(place)) - _HALF_A_BIN
        near += np.int32((abs(off) > sure) & (place > _HALF_A_BIN) & (place < _LAST_MIDDLE))
    return near


@inner
def _estimate_wide(values: np.ndarray, low: float, scale: float, bins: np.ndarray) -> None:
    """The same in float64, for a range that float32 cannot hold."""
    for x in range(values.shape[0]):
        bins[x] = within_bins((np.float64(values[x]) - low) * scale)


@inner
def _correct(values: np.ndarray, edges: np.ndarray, bins: np.ndarray) -> None:
    """Move each value by one bin if the edges say so."""
    for x in range(values.shape[0]):
        bins[x] += correction(values[x], edges, bins[x])


@inner
def _count(bins: np.ndarray, counts: np.ndarray) -> None:
    whole = bins.shape[0] // _WAYS * _WAYS
    for x in range(0, whole, _WAYS):
        counts[0, bins[x]] += 1
        counts[1, bins[x + 1]] += 1
        counts[2, bins[x + 2]] += 1
        counts[3, bins[x + 3]] += 1
    for x in range(whole, bins.shape[0]):
        counts[0, bins[x]] += 1


@compiled
def _histogram(
    begin: int,
    end: int,
    image: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    edges: np.ndarray,
    factor: np.float32,
    divisor: np.float32,
    sure: np.float32,
    wide_scale: float,
    counts: np.ndarray,
) -> None:
    shares = counts.shape[0]
    width = stop[2] - start[2]
    for part in range(begin, end):
        first, last = share_of(start, stop, part, shares)
        bins = np.empty(width, np.int32)
        for row in range(first, last):
            z, y = row_of(start, stop, row)
            values = image[z, y, start[2] : stop[2]]
            if wide_scale > 0:
                _estimate_wide(values, np.float64(edges[0]), wide_scale, bins)
                _correct(values, edges, bins)
            else:
                for x in range(0, width, _PIECE):
                    some, places = values[x : x + _PIECE], bins[x : x + _PIECE]
                    near = _estimate(some, edges[0], factor, divisor, sure, places)
                    if near > 0 or sure < 0:
                        _correct(some, edges, places)
            _count(bins, counts[part])


@inner
def _ordered(bits: np.ndarray, keys: np.ndarray) -> None:
    """Ordered integers of a row; those of -0.0 and 0.0 are the same."""
    for x in range(bits.shape[0]):
        keys[x] = ordered_with_one_zero(bits[x])


@compiled
def _upper_halves(
    begin: int,
    end: int,
    bits: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    counts: np.ndarray,
) -> None:
    shares = counts.shape[0]
    width = stop[2] - start[2]
    for part in range(begin, end):
        first, last = share_of(start, stop, part, shares)
        keys = np.empty(width, np.int32)
        own = counts[part]
        for row in range(first, last):
            z, y = row_of(start, stop, row)
            _ordered(bits[z, y, start[2] : stop[2]], keys)
            for x in range(width):
                own[(keys[x] >> _HALF) + _OFFSET] += 1


@compiled
def _lower_halves(
    begin: int,
    end: int,
    bits: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    uppers: tuple[int, int],
    counts: np.ndarray,
) -> None:
    shares = counts.shape[0]
    width = stop[2] - start[2]
    low, high = np.int32(uppers[0] - _OFFSET), np.int32(uppers[1] - _OFFSET)
    for part in range(begin, end):
        first, last = share_of(start, stop, part, shares)
        keys = np.empty(width, np.int32)
        own = counts[part]
        for row in range(first, last):
            z, y = row_of(start, stop, row)
            _ordered(bits[z, y, start[2] : stop[2]], keys)
            for x in range(width):
                upper = keys[x] >> _HALF
                if upper == low:
                    own[0, keys[x] & _LOW_HALF] += 1
                if upper == high:
                    own[1, keys[x] & _LOW_HALF] += 1


def _sure(edges: np.ndarray, factor: float, divisor: float) -> np.float32:
    """Distance from the middle of a bin, in bins, up to which its estimate is right; negative where it may never be."""
    with np.errstate(over="ignore", invalid="ignore"):
        places = (edges.astype(np.float64) - edges[0]) / np.float32(divisor) * np.float32(factor)
        off = np.abs(places - np.arange(len(edges))).max()
    return np.float32(0.5 - off - _ROUNDING) if off < 0.25 else np.float32(-1)


def histogram(
    image: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    edges: np.ndarray,
    factor: float,
    divisor: float,
    wide: bool,
    counts: np.ndarray,
) -> None:
    """Count the values of a box in 256 bins, left-closed, the last one closed on both sides.

    Parameters
    ----------
    image : ndarray of float32, shape (Z, Y, X), C-contiguous
    start, stop : (z, y, x)
        The box, not empty.
    edges : ndarray of float32, shape (257,)
    factor, divisor : float
        The bin is about ``(x - edges[0]) / divisor * factor``; the edges decide between it and its neighbours.
    wide : bool
        Take the bin from ``(x - edges[0]) * factor`` in float64, not in float32.
    counts : ndarray of int64, shape (256,)
        Written.
    """
    with fitting(size_of(start, stop)):
        parts = np.zeros((shares_of(start, stop), _WAYS, 256), np.int64)
        scales = (
            np.float32(factor),
            np.float32(divisor),
            _sure(edges, factor, divisor),
            factor if wide else 0.0,
        )
        spread(_histogram, len(parts), image, start, stop, edges, *scales, parts)
    counts[:] = parts.sum(axis=(0, 1))


def upper_halves(
    bits: np.ndarray, start: tuple[int, int, int], stop: tuple[int, int, int], counts: np.ndarray
) -> None:
    """Count the values of a box by the upper 16 bits of their ordered integers, from the lowest to the highest.

    Parameters
    ----------
    bits : ndarray of int32, shape (Z, Y, X), C-contiguous
        Of a float32 image; -0.0 counts as 0.0.
    start, stop : (z, y, x)
        The box, not empty.
    counts : ndarray of int64, shape (65536,)
        Written.
    """
    with fitting(size_of(start, stop)):
        parts = np.zeros((shares_of(start, stop), 1 << 16), np.int64)
        spread(_upper_halves, len(parts), bits, start, stop, parts)
    counts[:] = parts.sum(axis=0)


def lower_halves(
    bits: np.ndarray,
    start: tuple[int, int, int],
    stop: tuple[int, int, int],
    uppers: tuple[int, int],
    counts: np.ndarray,
) -> None:
    """Count the values of a box that have one of two upper halves by the lower 16 bits of their ordered integers.

    Parameters
    ----------
    bits, start, stop
        As those of `upper_halves`.
    uppers : 2 ints
        Positions in the counts of `upper_halves`.
    counts : ndarray of int64, shape (2, 65536)
        Written.
    """
    with fitting(size_of(start, stop)):
        parts = np.zeros((shares_of(start, stop), 2, 1 << 16), np.int64)
        spread(_lower_halves, len(parts), bits, start, stop, uppers, parts)
    counts[:] = parts.sum(axis=0)
