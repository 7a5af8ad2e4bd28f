"""Boundaries of objects, and the footprints of morphology."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import Field

from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Local
from fastseg.tiling.components import structure_of
from fastseg.tiling.rules import Halo
from fastseg.types import Array


def ball(radius: int, ndim: int = 3) -> np.ndarray:
    """Offsets within a radius: a ball in 3-D, a disk in 2-D; bool, (2 radius + 1,) * ndim."""
    offsets = np.indices((2 * radius + 1,) * ndim) - radius
    return (offsets**2).sum(0) <= radius**2


class BoundaryParams(Params):
    """Parameters of `boundaries`."""

    connectivity: int = Field(
        default=1, ge=1, le=3, description="1: face neighbours, 2: edges too, 3: corners too"
    )
    mode: Literal["thick", "inner", "outer"] = Field(
        default="thick", description="both sides of an edge, only foreground voxels, or only voxels outside"
    )


def _one_voxel(params: Any) -> Halo:
    return (1, 1, 1)


def _boundaries(block: Block) -> Array:
    xp, ndi = block.ns.xp, block.ns.ndi
    labels = block.arrays[0]
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    near = xp.asarray(structure_of(labels.ndim, min(block.params.connectivity, labels.ndim), False))
    # half-mirror extension: for a symmetric footprint the same as ignoring positions outside the image
    highest = ndi.grey_dilation(labels, footprint=near, mode="reflect")
    lowest = ndi.grey_erosion(labels, footprint=near, mode="reflect")
    thick = highest != lowest
    if block.params.mode == "thick":
        return thick
    if block.params.mode == "inner":
        return thick & (labels != 0)
    everywhere = xp.asarray(structure_of(labels.ndim, labels.ndim, False))
    top = xp.asarray(np.iinfo(np.dtype(labels.dtype)).max, labels.dtype)
    above = ndi.grey_dilation(labels, footprint=everywhere, mode="reflect")
    below = ndi.grey_erosion(xp.where(labels == 0, top, labels), footprint=everywhere, mode="reflect")
    beside_another = (above != labels) | (below != labels)  # background left out of both
    return thick & ((labels == 0) | beside_another)


BOUNDARIES = OpSpec(
    name="boundaries",
    summary="Voxels at the edges between objects and background, or between objects",
    description="The border of the image is not an edge.",
    inputs=(Input("labels", ("mask", "labels"), (2, 3), "mask or label image"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Local(_boundaries, _one_voxel),
    params=BoundaryParams,
    scratch=4.0,
    category="boundaries",
    reference="find_boundaries",
)

SPECS = (BOUNDARIES,)
