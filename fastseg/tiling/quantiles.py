"""Exact quantiles of float32 images, mergeable: counts by the upper 16 bits of the values, then by the lower ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.tiling.block import Block
from fastseg.tiling.rules import Reduce
from fastseg.tiling.statistics import add_counts, pieces, refuse_not_finite
from fastseg.tiling.voxels import kept, voxels_of
from fastseg.types import Array


def _ordered_bits(values: Array, xp: Any) -> Array:
    """float32 values as uint32 keys of the same order."""
    bits = (values + np.float32(0)).view(np.uint32)  # + 0 turns -0.0 into 0.0
    return xp.where(bits >> 31 == 1, ~bits, bits | np.uint32(0x80000000))


def _from_ordered_bits(key: int) -> float:
    bits = key & 0x7FFFFFFF if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])


def _upper_chunk(block: Block) -> np.ndarray:
    xp = block.ns.xp
    voxels = voxels_of(block)
    if voxels is not None:
        found = xp.empty(1 << 16, np.int64)
        voxels.kernel("counting").upper_halves(voxels.bits, *voxels.box, found)
        return to_host(found)
    counts = np.zeros(1 << 16, np.int64)
    for piece in pieces(kept(block)):
        upper = (_ordered_bits(piece, xp) >> 16).astype(np.int32)
        counts += to_host(xp.bincount(upper, minlength=1 << 16)).astype(np.int64)
    return counts


_LOWEST, _HIGHEST = 0x0080, 0xFF7F
"""Upper halves of the keys of the float32 range; beyond lie the infinite values and NaN of either sign."""


def _upper_finalize(counts: np.ndarray, values: tuple[Any, ...], params: Any) -> np.ndarray:
    if counts[:_LOWEST].any() or counts[_HIGHEST + 1 :].any():
        refuse_not_finite()
    return counts


UPPER_HALVES = Reduce(_upper_chunk, add_counts, _upper_finalize)
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
    voxels = voxels_of(block)
    if voxels is not None:
        found = xp.empty((2, 1 << 16), np.int64)
        voxels.kernel("counting").lower_halves(voxels.bits, *voxels.box, (uppers[0], uppers[1]), found)
        return to_host(found)
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
    return Reduce(partial(_lower_chunk, fraction), add_counts, partial(_quantile_finalize, fraction))


MEDIAN = quantile(0.5)
"""Exact median (mean of the two middle values); its second input is the result of `UPPER_HALVES`."""
