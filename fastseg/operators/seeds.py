"""Seeds from the objects of the middle plane of a mask."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, model_validator

from fastseg.operators.frames import PLANE, SeedsParams, middle_links, seed_links
from fastseg.operators.objects import FILL_HOLES, HoleParams
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Chain, Labels, Link


class ObjectSeedsParams(Params):
    """Parameters of `seeds_for_objects`."""

    area_min: int = Field(
        default=1, ge=0, description="smallest hole that is filled and object kept, in pixels"
    )
    area_max: int = Field(default=10_000, ge=0, description="largest hole that is filled, in pixels")
    background_seed: bool = Field(
        default=True, description="make plane 0 the seed of the background (label 1)"
    )

    @model_validator(mode="after")
    def _ordered(self) -> ObjectSeedsParams:
        if self.area_max < self.area_min:
            raise ValueError(f"area_max ({self.area_max}) must be at least area_min ({self.area_min})")
        return self


def _links(params: ObjectSeedsParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    image, mask = inputs
    holes = HoleParams(hole_min=params.area_min, hole_max=params.area_max)
    seeds = SeedsParams(min_size=params.area_min, background_seed=params.background_seed)
    assert isinstance(FILL_HOLES.rule, Labels)
    placed = seed_links("filled", image, "middle")
    return [
        *middle_links(image),
        Link("plane", PLANE, (mask, "middle")),
        Link("filled", FILL_HOLES.rule, ("plane",), holes),
        *(Link(link.name, link.rule, link.inputs, seeds) for link in placed),
    ]


SEEDS_FOR_OBJECTS = OpSpec(
    name="seeds_for_objects",
    summary="Seeds for a 3-D watershed at the centroids of the filled objects of a mask's middle plane",
    description="The middle plane is found by intensity (see middle_frame); its holes of the given sizes are filled, "
    "objects below area_min are left out, and the others are numbered (8-connected) in scan order.",
    inputs=(
        Input("image", ("image",), (3,), "image that tells the middle plane"),
        Input("mask", ("mask",), (3,), "objects"),
    ),
    output=Output("labels", 3, "int32, (Z, Y, X)"),
    rule=Chain(_links, kind="Labels"),
    params=ObjectSeedsParams,
    category="frames",
    reference="get_seed_for_objects",
)

SPECS = (SEEDS_FOR_OBJECTS,)
