"""Setting voxels by masks and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from fastseg.operators.spec import Input, Listed, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Link, Local, Reduce
from fastseg.tiling.statistics import kept, pair
from fastseg.types import Array


class MaskImageParams(Params):
    """Parameters of `mask_image`."""

    value: float = Field(default=0.0, description="grey value of the masked voxels")


class SetWhereParams(Params):
    """Parameters of `set_where`."""

    value: bool = Field(default=False, description="what the voxels become")
    compat: bool = Field(
        default=False,
        description="take the mask's values 0 and 1 as numbers of planes and set those planes instead, as the "
        "reference does with the integers that its inversion of a mask returns",
    )


class RemoveLabelsParams(Params):
    """Parameters of `remove_labels`."""

    ids: Annotated[tuple[int, ...], Listed] = Field(default=(1,), description="labels that become 0")


def _mask_image(block: Block) -> Array:
    image, mask = block.arrays
    return block.ns.xp.where(mask, np.float32(block.params.value), image)


def _set_where(block: Block) -> Array:
    target, where = block.arrays
    return block.ns.xp.where(where, block.params.value, target)


def _occurring(block: Block) -> frozenset[int]:
    """Which of the values 0 and 1 occur in the mask."""
    mask = kept(block, 1)
    return frozenset(value for value in (0, 1) if bool((mask == bool(value)).any()))


def _union(a: frozenset[int], b: frozenset[int]) -> frozenset[int]:
    return a | b


def _set_planes(block: Block) -> Array:
    out = block.arrays[0].copy()
    start, stop = block.place.core.start[0], block.place.core.stop[0]
    for plane in block.values[0]:
        if start <= plane < stop:
            out[plane - start] = block.params.value
    return out


def _set_links(params: SetWhereParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    if not params.compat:
        return [Link("out", Local(_set_where), inputs)]
    return [
        Link("planes", Reduce(_occurring, _union, pair), inputs),
        Link("out", Local(_set_planes), (inputs[0], "planes")),
    ]


def _remove_labels(block: Block) -> Array:
    xp = block.ns.xp
    (labels,) = block.arrays
    low, high = (0, 1) if labels.dtype == bool else (np.iinfo(labels.dtype).min, np.iinfo(labels.dtype).max)
    # in the type of the labels: mixed integer types would be compared as float64
    ids = xp.asarray([i for i in block.params.ids if low <= i <= high], labels.dtype)
    return xp.where(xp.isin(labels, ids), labels.dtype.type(0), labels)


def _greater_than_value(block: Block) -> Array:
    return block.arrays[0] > np.float32(block.values[0])


MASK_IMAGE = OpSpec(
    name="mask_image",
    summary="Set an image's voxels to a value where a mask is true",
    inputs=(
        Input("image", ("image",), (2, 3), "image"),
        Input("mask", ("mask",), (2, 3), "voxels to set"),
    ),
    output=Output("image", summary="float32, same shape"),
    rule=Local(_mask_image),
    params=MaskImageParams,
    category="logic",
    reference="mask_image",
)
SET_WHERE = OpSpec(
    name="set_where",
    summary="Set a mask's voxels to a value where another mask is true",
    inputs=(
        Input("mask", ("mask",), (3,), "mask"),
        Input("where", ("mask",), (3,), "voxels to set"),
    ),
    output=Output("mask", summary="bool, same shape"),
    rule=Chain(_set_links, kind="Local"),
    params=SetWhereParams,
    category="logic",
    reference="mask_image (on a mask)",
)
REMOVE_LABELS = OpSpec(
    name="remove_labels",
    summary="Labels that become background",
    inputs=(Input("labels", ("labels",), (2, 3), "label image"),),
    output=Output("labels", summary="same dtype and shape"),
    rule=Local(_remove_labels),
    params=RemoveLabelsParams,
    category="objects",
    reference="remove_index_object",
)
GREATER_THAN_VALUE = OpSpec(
    name="greater_than_value",
    summary="Voxels strictly above a computed value",
    inputs=(
        Input("image", ("image",), (2, 3), "image"),
        Input("value", ("scalar",), (), "threshold, such as the result of otsu_threshold"),
    ),
    output=Output("mask", summary="bool, same shape"),
    rule=Local(_greater_than_value),
    category="logic",
)

SPECS = (MASK_IMAGE, SET_WHERE, REMOVE_LABELS, GREATER_THAN_VALUE)
