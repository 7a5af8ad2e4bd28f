"""Intensity normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from fastseg.errors import InputError
from fastseg.operators.spec import Input, Listed, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Link, Local, Reduce
from fastseg.tiling.statistics import (
    EXTREMA,
    MOMENTS,
    Extrema,
    Moments,
    add_sums,
    extrema_of,
    moments,
    pair,
    sums_between,
)
from fastseg.types import Array

_EPSILON = 1e-8

_ALL = (-np.inf, np.inf)


class NormalizeParams(Params):
    """Parameters of `intensity_normalize`."""

    scaling: Annotated[tuple[float, ...], Listed] = Field(
        description="[v] with v < 1: minimum to maximum; [v] with v >= 1: the same, voxels above v become the minimum "
        "first; [a, b]: mean - a std to mean + b std; [a, b, c, d]: c - a std to d + b std, std of the voxels "
        "between c and d. v, c and d are grey values of the image, a and b numbers of standard deviations"
    )

    @field_validator("scaling")
    @classmethod
    def _length(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) not in (1, 2, 4):
            raise ValueError(f"must hold 1, 2 or 4 numbers, not {len(value)}")
        if not all(np.isfinite(value)):
            raise ValueError("must hold finite numbers")
        return value


def stretch(image: Array, low: float, high: float) -> Array:
    """``(image - low + 1e-8) / (high - low + 1e-8)`` in float32."""
    return (image - np.float32(low) + np.float32(_EPSILON)) / np.float32(high - low + _EPSILON)


def _stretched_once(
    block: Block, low: float, high: float, limits: tuple[float, float] = _ALL, bound: float = np.inf
) -> Array:
    """`stretch` of the image whose voxels above `bound` became `low`, then clipped to `limits`, in one pass."""
    image, ns = block.arrays[0], block.ns
    if image.dtype != np.float32 or not image.flags.c_contiguous or image.size == 0:
        if np.isfinite(bound):
            image = _replaced(image, bound, low, ns.xp)
        if limits is not _ALL:
            image = ns.xp.clip(image, *map(np.float32, limits))
        return stretch(image, low, high)
    out = ns.xp.empty_like(image)
    rows, written = (a.reshape(-1, image.shape[-1]) for a in (image, out))
    lowest, highest = map(np.float32, limits)
    scale = np.float32(bound), np.float32(low), np.float32(_EPSILON), np.float32(high - low + _EPSILON)
    ns.kernel("statistics").stretch(rows, (lowest, highest), *scale, written)
    return out


def _limits(values: tuple[Any, ...], params: NormalizeParams, operator: str) -> tuple[float, float]:
    """Lower and upper limit of two or four values; `operator` is named in errors."""
    extrema, spread = values
    if len(params.scaling) == 4:
        return _limits_of_four(extrema, spread, params, operator)
    a, b = params.scaling
    return max(spread.mean - a * spread.std, extrema.low), min(spread.mean + b * spread.std, extrema.high)


def _limits_of_four(
    extrema: Extrema, spread: Moments, params: NormalizeParams, operator: str
) -> tuple[float, float]:
    a, b, c, d = params.scaling
    if spread.count == 0:
        raise InputError(
            f"{operator}: no voxel lies between {c:g} and {d:g} (scaling = {list(params.scaling)}); the image spans "
            f"{extrema.low:g} to {extrema.high:g}"
        )
    return max(c - a * spread.std, extrema.low), min(d + b * spread.std, extrema.high)


def _minmax(block: Block) -> Array:
    (extrema,) = block.values
    return _stretched_once(block, extrema.low, extrema.high)


def _checked_limits(block: Block, operator: str) -> tuple[float, float]:
    low, high = _limits(block.values, block.params, operator)
    if low > high:
        raise InputError(
            f"{operator}: scaling = {list(block.params.scaling)} puts the lower limit {low:g} above the upper limit "
            f"{high:g} on this image; use larger values"
        )
    return low, high


def _clipped(block: Block) -> Array:
    low, high = _checked_limits(block, "intensity_clip")
    return block.ns.xp.clip(block.arrays[0], np.float32(low), np.float32(high))


def _stretched(block: Block) -> Array:
    low, high = _checked_limits(block, "intensity_normalize")
    return _stretched_once(block, low, high, (low, high))


def _replaced(image: Array, bound: float, low: float, xp: Any) -> Array:
    return xp.where(image > np.float32(bound), np.float32(low), image)


def _extrema_below(block: Block) -> Extrema:
    return extrema_of(block, block.params.scaling[0], block.values[0].low)


def _merge_extrema(a: Extrema, b: Extrema) -> Extrema:
    return Extrema(min(a.low, b.low), max(a.high, b.high))


def _bound(block: Block) -> Array:
    return _replaced(block.arrays[0], block.params.scaling[0], block.values[0].low, block.ns.xp)


def _bounded(block: Block) -> Array:
    whole, below = block.values  # the voxels above the bound became the minimum of both
    return _stretched_once(block, whole.low, below.high, bound=block.params.scaling[0])


def _unchanged(block: Block) -> Array:
    return block.arrays[0]


def _sums_between(block: Block) -> tuple[int, int, int]:
    (extrema,) = block.values
    return sums_between(block, extrema.low, extrema.high, block.params.scaling[2:])


def _moments_between(partial: Any, values: tuple[Any, ...], params: Any) -> Any:
    return moments(partial, values[0].low, values[0].high)


_BELOW = Reduce(_extrema_below, _merge_extrema, pair)
_BETWEEN = Reduce(_sums_between, add_sums, _moments_between)


def _limit_links(params: NormalizeParams, image: str) -> list[Link]:
    """The statistics that the limits of two or four values need."""
    moments_of = MOMENTS if len(params.scaling) == 2 else _BETWEEN
    return [Link("extrema", EXTREMA, (image,)), Link("moments", moments_of, (image, "extrema"))]


def _links(params: NormalizeParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    extrema = Link("extrema", EXTREMA, (image,))
    if len(params.scaling) > 1:
        out = Link("out", Local(_stretched), (image, "extrema", "moments"))
        return [*_limit_links(params, image), out]
    if params.scaling[0] < 1:
        return [extrema, Link("out", MINMAX, (image, "extrema"))]
    below = Link("below", _BELOW, (image, "extrema"))
    return [extrema, below, Link("out", Local(_bounded), (image, "extrema", "below"))]


def _clip_links(params: NormalizeParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    if len(params.scaling) > 1:
        return [*_limit_links(params, image), Link("out", Local(_clipped), (image, "extrema", "moments"))]
    if params.scaling[0] < 1:
        return [Link("out", Local(_unchanged), (image,))]
    return [Link("extrema", EXTREMA, (image,)), Link("out", Local(_bound), (image, "extrema"))]


MINMAX = Local(_minmax)
"""Stretch to the unit range; its second input is the image's `Extrema`."""

INTENSITY_NORMALIZE = OpSpec(
    name="intensity_normalize",
    summary="Stretch intensities to the unit range between limits taken from the image",
    description="A constant image becomes 1 everywhere, and the minimum maps to a tiny positive number. With one "
    "value of 1 or more, brighter voxels become the image's minimum, not the bound. With four values the limits start "
    "from c and d themselves, not from the mean between them. Mean and deviation are summed in fixed point, so they "
    "do not depend on the tiles.",
    inputs=(Input("image", ("image",), (2, 3), "fluorescence image"),),
    output=Output("image", summary="float32; 0 to 1, never exactly 0"),
    rule=Chain(_links),
    params=NormalizeParams,
    scratch=4.0,
    category="intensity",
    reference="intensity_normalization",
)

INTENSITY_CLIP = OpSpec(
    name="intensity_clip",
    summary="Clip intensities to the limits of intensity_normalize, without stretching",
    description="What intensity_normalize stretches: with two or four values the clipped image, with one value of 1 or "
    "more the image whose brighter voxels became its minimum, otherwise the image itself.",
    inputs=(Input("image", ("image",), (2, 3), "fluorescence image"),),
    output=Output("image", summary="float32, same shape"),
    rule=Chain(_clip_links),
    params=NormalizeParams,
    scratch=4.0,
    category="intensity",
    reference="side effect of intensity_normalization",
)

SPECS = (INTENSITY_NORMALIZE, INTENSITY_CLIP)
