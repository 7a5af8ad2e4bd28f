"""The two stretches of the normalisation recipes that the operators do not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field

from fastseg.errors import InputError
from fastseg.operators.intensity import stretch
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Link, Local, Reduce
from fastseg.tiling.statistics import EXTREMA, MOMENTS, add_sums, fixed_point_sums, kept, moments
from fastseg.types import Array

_EPSILON = 1e-8


class ContrastParams(Params):
    """Parameters of `contrast`.

    The limits are mean - low_std deviations and mean + high_std deviations, within the image's own range. Mean and
    deviation are of the voxels below `below` and above `above`, where these are over 0.
    """

    low_std: float
    high_std: float
    below: float = 0.0
    above: float = 0.0


class MinMaxParams(Params):
    """Parameters of `unit_range`."""

    epsilon: float = Field(default=1e-7, gt=0)


def _selected(block: Block) -> Array:
    image, params = kept(block), block.params
    chosen = block.ns.xp.ones(image.shape, bool)
    if params.below > 0:
        chosen &= image < params.below
    if params.above > 0:
        chosen &= image > params.above
    return image[chosen]


def _selected_sums(block: Block) -> tuple[int, int, int]:
    extrema = block.values[0]
    return fixed_point_sums(_selected(block), extrema.low, extrema.high, block.ns.xp)


def _selected_moments(partial: Any, values: tuple[Any, ...], params: ContrastParams) -> Any:
    found = moments(partial, values[0].low, values[0].high)
    if found.count == 0:
        raise InputError(
            f"contrast: no voxel lies below {params.below:g} and above {params.above:g}; the image spans "
            f"{values[0].low:g} to {values[0].high:g}"
        )
    return found


_SELECTED = Reduce(_selected_sums, add_sums, _selected_moments)


def _contrast(block: Block) -> Array:
    extrema, spread = block.values
    params = block.params
    low = max(spread.mean - params.low_std * spread.std, extrema.low)
    high = min(spread.mean + params.high_std * spread.std, extrema.high)
    if low > high:
        raise InputError(
            f"contrast: the limits {params.low_std:g} and {params.high_std:g} put {low:g} above {high:g} on this image"
        )
    return stretch(block.ns.xp.clip(block.arrays[0], np.float32(low), np.float32(high)), low, high)


def _contrast_links(params: ContrastParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    everything = params.below <= 0 and params.above <= 0
    return [
        Link("extrema", EXTREMA, (image,)),
        Link("moments", MOMENTS if everything else _SELECTED, (image, "extrema")),
        Link("out", Local(_contrast), (image, "extrema", "moments")),
    ]


def _unit_range(block: Block) -> Array:
    image, extrema = block.arrays[0], block.values[0]
    above = image - np.float32(extrema.low) + np.float32(_EPSILON)
    return above / np.float32(extrema.high - extrema.low + block.params.epsilon)


def _unit_range_links(params: MinMaxParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    return [Link("extrema", EXTREMA, (image,)), Link("out", Local(_unit_range), (image, "extrema"))]


_INPUT = (Input("image", ("image",), (3,), "fluorescence image"),)

CONTRAST = OpSpec(
    name="contrast",
    summary="Stretch between limits at a number of deviations from the mean",
    inputs=_INPUT,
    output=Output("image", summary="float32, same shape"),
    rule=Chain(_contrast_links),
    params=ContrastParams,
    scratch=4.0,
)

UNIT_RANGE = OpSpec(
    name="unit_range",
    summary="Stretch from minimum to maximum",
    inputs=_INPUT,
    output=Output("image", summary="float32, same shape"),
    rule=Chain(_unit_range_links),
    params=MinMaxParams,
    scratch=4.0,
)
