"""Erosion, dilation and contours. Positions outside the image are ignored."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fastseg.arrays.morphology import binary_dilation, binary_erosion, inner_border, least_of_faces
from fastseg.operators.boundary import ball
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Local
from fastseg.tiling.components import structure_of
from fastseg.tiling.rules import Halo
from fastseg.types import Array


class FootprintParams(Params):
    """Parameters of `erode` and `dilate`."""

    radius: int = Field(ge=0, le=100, description="radius of the footprint in voxels")
    shape: Literal["ball", "disk"] = Field(
        default="ball", description="ball: all axes; disk: within each plane"
    )

    def footprint(self, ndim: int) -> np.ndarray:
        """Bool array of `ndim` axes."""
        if self.shape == "ball" or ndim == 2:
            return ball(self.radius, ndim)
        return ball(self.radius, 2)[None]


def _footprint_halo(params: FootprintParams) -> Halo:
    return (params.radius if params.shape == "ball" else 0), params.radius, params.radius


def _one_voxel(params: Any) -> Halo:
    return (1, 1, 1)


def _erode(block: Block) -> Array:
    (mask,) = block.arrays
    return binary_erosion(block.ns, mask, block.params.footprint(mask.ndim))


def _dilate(block: Block) -> Array:
    (mask,) = block.arrays
    return binary_dilation(block.ns, mask, block.params.footprint(mask.ndim))


def _erode_image(block: Block) -> Array:
    (image,) = block.arrays
    return least_of_faces(block.ns, image, structure_of(image.ndim, 1, False))


def _contour(block: Block) -> Array:
    (mask,) = block.arrays
    return inner_border(block.ns, mask, structure_of(mask.ndim, 1, False))


_MASK = (Input("mask", ("mask",), (2, 3), "mask"),)
_SAME = Output("mask", summary="bool, same shape")

ERODE = OpSpec(
    name="erode",
    summary="Binary erosion by a ball or disk",
    inputs=_MASK,
    output=_SAME,
    rule=Local(_erode, _footprint_halo),
    params=FootprintParams,
    scratch=1.0,
    category="morphology",
)
DILATE = OpSpec(
    name="dilate",
    summary="Binary dilation by a ball or disk",
    inputs=_MASK,
    output=_SAME,
    rule=Local(_dilate, _footprint_halo),
    params=FootprintParams,
    scratch=1.0,
    category="morphology",
)
ERODE_IMAGE = OpSpec(
    name="erode_image",
    summary="Grey erosion: the minimum over a voxel and its face neighbours",
    inputs=(Input("image", ("image",), (2, 3), "image"),),
    output=Output("image", summary="float32, same shape"),
    rule=Local(_erode_image, _one_voxel),
    scratch=4.0,
    category="morphology",
    reference="erosion",
)
CONTOUR = OpSpec(
    name="contour",
    summary="Innermost layer of foreground that touches background by a face",
    description="The border of the image is not background.",
    inputs=_MASK,
    output=_SAME,
    rule=Local(_contour, _one_voxel),
    scratch=1.0,
    category="morphology",
    reference="generate_segmentation_contour",
)

SPECS = (ERODE, DILATE, ERODE_IMAGE, CONTOUR)
