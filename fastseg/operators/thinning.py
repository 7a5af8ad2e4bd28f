"""Topology-preserving thinning."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Link, Local
from fastseg.tiling.rules import Halo
from fastseg.types import Array


class ThinningParams(Params):
    """Parameters of `thin_preserving_topology`."""

    min_thickness: float = Field(
        default=1.0,
        ge=0,
        description="voxels up to this distance (pixels) from the medial axis are never removed",
    )
    thin: int = Field(
        default=1, ge=0, le=100, description="thickness of the layer that may be removed, in voxels"
    )


def _removable(block: Block) -> Array:
    """Voxels of each plane that lie further from its medial axis than the thickness to keep."""
    return block.ns.kernel("thinning").far_from_axis(block.arrays[0], block.params.min_thickness + 1e-5)


def _thin_halo(params: ThinningParams) -> Halo:
    return (params.thin,) * 3


def _thinned(block: Block) -> Array:
    mask, removable = block.arrays
    return block.ns.kernel("thinning").peeled(mask, removable, block.params.thin)


def _links(params: ThinningParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (mask,) = inputs
    return [
        Link("removable", Local(_removable, planes=True), (mask,)),
        Link("out", Local(_thinned, _thin_halo), (mask, "removable")),
    ]


THIN_PRESERVING_TOPOLOGY = OpSpec(
    name="thin_preserving_topology",
    summary="Remove the outer layer of objects, but never what lies close to the medial axis of a plane",
    description="Ties in the medial axis are broken by scan order; the reference breaks them at random.",
    inputs=(Input("mask", ("mask",), (3,), "mask"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Chain(_links, kind="Planes"),
    params=ThinningParams,
    halo=_thin_halo,
    scratch=20.0,
    category="splitting",
    reference="topology_preserving_thinning",
    paper="Blum, A transformation for extracting new descriptors of shape, 1967 (medial axis)",
)

SPECS = (THIN_PRESERVING_TOPOLOGY,)
