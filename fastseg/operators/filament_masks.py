"""Filaments of several widths as masks, and the filter of one plane of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from fastseg.arrays.deferred import held_array
from fastseg.operators.filaments import (
    EIGEN_2D,
    EIGEN_3D,
    EIGEN_JOINED,
    JERMAN_VESSELNESS_2D,
    PAPER,
    Scale,
    SlicesParams,
    links_of_scales,
    response,
    response_2d,
    response_slices,
)
from fastseg.operators.frames import PLANE
from fastseg.operators.smoothing import gaussian_reach
from fastseg.operators.spec import Input, OpSpec, Output, Pairs, Params
from fastseg.tiling import Block, Chain, Link, Local, Reduce
from fastseg.tiling.parts import Parts, assemble_parts, join_parts, part_of
from fastseg.tiling.rules import Halo
from fastseg.tiling.statistics import PROJECTION, kept
from fastseg.types import Array


class FilamentParams(Params):
    """Parameters of `multiscale_filaments_2d`."""

    scales: Pairs = Field(
        description="pairs [sigma, cutoff]: sigma in voxels; the response, 0 to 1, must exceed cutoff"
    )

    @field_validator("scales")
    @classmethod
    def _not_negative(cls, value: Pairs) -> Pairs:
        if any(sigma < 0 for sigma, _ in value):
            raise ValueError("must hold no negative sigma")
        return value


class OneSliceParams(SlicesParams):
    """Parameters of `jerman_vesselness_one_slice`."""

    z: int = Field(ge=0, description="number of the plane to filter, from 0")


def _reach(params: FilamentParams) -> Halo:
    reach = max((gaussian_reach(sigma, 3.0) for sigma, _ in params.scales), default=0) + 2
    return reach, reach, reach


def _first_only(block: Block) -> Block:
    return Block(block.arrays[:1], block.values, block.params, block.place, block.ns)


def _union(found: Array, block: Block) -> Array:
    mask = found > np.float32(block.params.cutoff)
    return mask | block.arrays[1] if len(block.arrays) > 1 else mask


def _above_2d(block: Block) -> Array:
    return _union(response_2d(_first_only(block)), block)


def _above_3d(block: Block) -> Array:
    return _union(response(_first_only(block)), block)


def _above_slices(block: Block) -> Array:
    return _union(response_slices(_first_only(block)), block)


def _nothing(block: Block) -> Array:
    return block.ns.xp.zeros(block.arrays[0].shape, bool)


def _scales(params: FilamentParams) -> list[Scale]:
    return [Scale(sigma=sigma, cutoff=cutoff) for sigma, cutoff in params.scales]


def _links_2d(params: FilamentParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    if not params.scales:
        return [Link("out", Local(_nothing), inputs)]
    return links_of_scales(inputs, _scales(params), EIGEN_2D, Local(_above_2d))


def _links_3d(params: FilamentParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    if not params.scales:
        return [Link("out", Local(_nothing), inputs)]
    return links_of_scales(inputs, _scales(params), EIGEN_3D, Local(_above_3d))


def _links_slices(params: FilamentParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    if not params.scales:
        return [Link("out", Local(_nothing), inputs)]
    links = links_of_scales((*inputs, "projection"), _scales(params), EIGEN_JOINED, Local(_above_slices))
    return [Link("projection", PROJECTION, inputs), *links]


def _number(block: Block) -> int:
    return int(block.params.z)


def _same(a: int, b: int) -> int:
    return a


def _given(partial: int, values: tuple[Any, ...], params: Any) -> int:
    return partial


def _piece(block: Block) -> Parts:
    return part_of(block, block.place.core, kept(block).copy())


def _in_place(block: Block) -> Array:
    core = block.place.core
    out = block.ns.xp.zeros(core.shape, np.float32)
    if core.start[0] <= block.params.z < core.stop[0]:
        part = held_array(block.values[0])[core.slices[1:]]
        out[block.params.z - core.start[0]] = block.ns.put(part)
    return out


def _links_one_slice(params: OneSliceParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    chain = JERMAN_VESSELNESS_2D.rule
    assert isinstance(chain, Chain)
    filtered = list(chain.links(params, ("plane",)))
    return [
        Link("z", Reduce(_number, _same, _given), (image,)),
        Link("plane", PLANE, (image, "z")),
        *filtered,
        Link("response", Reduce(_piece, join_parts, assemble_parts), (filtered[-1].name,)),
        Link("out", Local(_in_place), (image, "response")),
    ]


_MASK = Output("mask", summary="bool, same shape")

MULTISCALE_FILAMENTS = OpSpec(
    name="multiscale_filaments",
    summary="Tubes of several widths: union of thresholded 3-D vesselness responses",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=_MASK,
    rule=Chain(_links_3d),
    params=FilamentParams,
    halo=_reach,
    scratch=9.0,
    category="filaments",
    reference="filament_3d_wrapper",
    paper=PAPER,
)
MULTISCALE_FILAMENTS_2D = OpSpec(
    name="multiscale_filaments_2d",
    summary="Lines of several widths in a 2-D image: union of thresholded vesselness responses",
    inputs=(Input("image", ("image",), (2,), "smoothed image"),),
    output=_MASK,
    rule=Chain(_links_2d),
    params=FilamentParams,
    halo=_reach,
    scratch=9.0,
    category="filaments",
    reference="filament_2d_wrapper (2-D)",
    paper=PAPER,
)
MULTISCALE_FILAMENTS_SLICES = OpSpec(
    name="multiscale_filaments_slices",
    summary="Lines of several widths plane by plane: union of thresholded vesselness responses",
    description="As jerman_vesselness_slices, the last three columns being always empty.",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=_MASK,
    rule=Chain(_links_slices, kind="Planes"),
    params=FilamentParams,
    scratch=9.0,
    category="filaments",
    reference="filament_2d_wrapper (3-D)",
    paper=PAPER,
)
JERMAN_VESSELNESS_ONE_SLICE = OpSpec(
    name="jerman_vesselness_one_slice",
    summary="Filament filter of one plane of a stack; all other planes are 0",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=Output("image", summary="response, float32 in [0, 1], same shape"),
    rule=Chain(_links_one_slice),
    params=OneSliceParams,
    scratch=4.0,
    category="filaments",
    reference="vesselness2D_single_slice",
    paper=PAPER,
)

SPECS = (
    MULTISCALE_FILAMENTS,
    MULTISCALE_FILAMENTS_2D,
    MULTISCALE_FILAMENTS_SLICES,
    JERMAN_VESSELNESS_ONE_SLICE,
)
