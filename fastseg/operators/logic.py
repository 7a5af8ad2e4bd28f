"""Pointwise operators: comparison with a value, set operations, inversion."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Local
from fastseg.types import Array


class GreaterParams(Params):
    """Parameters of `greater_than`."""

    value: float = Field(description="voxels strictly above it are foreground")


def _greater(block: Block) -> Array:
    value = block.params.value
    image = block.arrays[0]
    return image > (np.float32(value) if image.dtype.kind == "f" else value)


def _or(block: Block) -> Array:
    found = block.arrays[0]
    for other in block.arrays[1:]:
        found = found | other
    return found


def _and(block: Block) -> Array:
    found = block.arrays[0]
    for other in block.arrays[1:]:
        found = found & other
    return found


def _xor(block: Block) -> Array:
    found = block.arrays[0]
    for other in block.arrays[1:]:
        found = found ^ other
    return found


def _and_not(block: Block) -> Array:
    return block.arrays[0] & ~block.arrays[1]


def _invert_image(block: Block) -> Array:
    return np.float32(1) - block.arrays[0]


def _invert_mask(block: Block) -> Array:
    return ~block.arrays[0]


_MASKS = (Input("mask", ("mask",), (2, 3), "masks of one shape", many=True),)
_SAME = Output("mask", summary="bool, same shape")

GREATER_THAN = OpSpec(
    name="greater_than",
    summary="Voxels strictly above a value",
    inputs=(Input("image", ("image", "labels"), (2, 3), "image or labels"),),
    output=_SAME,
    rule=Local(_greater),
    params=GreaterParams,
    category="logic",
)
LOGICAL_OR = OpSpec(
    name="logical_or",
    summary="Union of masks",
    inputs=_MASKS,
    output=_SAME,
    rule=Local(_or),
    category="logic",
    reference="segmentation_union",
)
LOGICAL_AND = OpSpec(
    name="logical_and",
    summary="Intersection of masks",
    inputs=_MASKS,
    output=_SAME,
    rule=Local(_and),
    category="logic",
    reference="segmentation_intersection",
)
LOGICAL_XOR = OpSpec(
    name="logical_xor",
    summary="Exclusive or of masks (parity of more than two)",
    inputs=_MASKS,
    output=_SAME,
    rule=Local(_xor),
    category="logic",
    reference="segmentation_xor",
)
AND_NOT = OpSpec(
    name="and_not",
    summary="Voxels of the first mask that are not in the second",
    inputs=(
        Input("mask", ("mask",), (2, 3), "mask"),
        Input("excluded", ("mask",), (2, 3), "voxels to leave out"),
    ),
    output=_SAME,
    rule=Local(_and_not),
    category="logic",
)
INVERT_IMAGE = OpSpec(
    name="invert_image",
    summary="1 - image",
    inputs=(Input("image", ("image",), (2, 3), "image of unit range"),),
    output=Output("image", summary="float32, same shape"),
    rule=Local(_invert_image),
    category="logic",
    reference="invert_mask (on a grey image)",
)
INVERT_MASK = OpSpec(
    name="invert_mask",
    summary="Logical not of a mask",
    inputs=(Input("mask", ("mask",), (2, 3), "mask"),),
    output=_SAME,
    rule=Local(_invert_mask),
    category="logic",
    reference="invert_mask",
)

SPECS = (GREATER_THAN, LOGICAL_OR, LOGICAL_AND, LOGICAL_XOR, AND_NOT, INVERT_IMAGE, INVERT_MASK)
