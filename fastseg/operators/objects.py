"""Objects of a mask: filtering by size, filling holes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from fastseg.arrays.labels import Runs
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Labels, Link, Local, Reduce, Table
from fastseg.tiling.rules import in_planes
from fastseg.tiling.statistics import kept
from fastseg.types import Array


class SizeParams(Params):
    """Parameters of `remove_small_objects`."""

    min_size: int = Field(ge=0, description="smallest object that is kept, in voxels")
    connectivity: int = Field(default=1, ge=1, le=3, description="1: faces, 2: edges, 3: corners")


class SliceSizeParams(Params):
    """Parameters of `remove_small_objects_slices`."""

    min_size: int = Field(ge=0, description="smallest object that is kept, in pixels of its plane")
    connectivity: int = Field(default=1, ge=1, le=2, description="1: edges of pixels, 2: corners as well")


class LabelSizeParams(Params):
    """Parameters of `remove_small_labels`."""

    min_size: int = Field(ge=0, description="smallest label that is kept, in voxels")


class HoleParams(Params):
    """Parameters of `fill_holes`."""

    hole_min: int = Field(ge=0, description="smallest hole that is filled, in voxels (pixels with slices)")
    hole_max: int = Field(ge=0, description="largest hole that is filled, in voxels (pixels with slices)")
    slices: bool = Field(default=True, description="holes of each plane instead of holes of the volume")
    fill_border: bool = Field(
        default=True,
        description="background that touches the border counts as a hole too, as in the reference",
    )

    @model_validator(mode="after")
    def _ordered(self) -> HoleParams:
        if self.hole_max < self.hole_min:
            raise ValueError(f"hole_max ({self.hole_max}) must be at least hole_min ({self.hole_min})")
        return self


def _count(block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]) -> Array:
    return block.ns.xp.bincount(ids.ravel(), minlength=count + 1).astype(np.int64)


def _sizes_of_runs(block: Block, runs: Runs) -> np.ndarray:
    return runs.sizes


COUNT = Table(_count, "add", 0, runs=_sizes_of_runs)
"""Voxels of every object."""


def _sizes(params: Any) -> Mapping[str, Table]:
    return {"size": COUNT}


def keep_large(
    tables: Mapping[str, np.ndarray], count: int, values: tuple[Any, ...], params: Any
) -> np.ndarray:
    """Objects of at least ``params.min_size`` voxels."""
    large = tables["size"] >= params.min_size
    large[0] = False
    return large


def row_mask(block: Block, rows: Array) -> Array:
    """The decision itself is the mask."""
    return rows


def _given(block: Block) -> Array:
    return block.arrays[0]


def _connectivity(params: Any, ndim: int) -> int:
    return min(int(params.connectivity), ndim)


def _border_sides(block: Block) -> list[tuple[bool, bool]]:
    """Which sides of a tile are at the border of the volume (of its plane when planes are separate), by axis."""
    place = block.place
    planar = getattr(block.params, "slices", False)
    sides = [(a == 0, b == n) for (a, b), n in zip(place.core, place.shape, strict=True)]
    return [(False, False) if planar and axis < len(sides) - 2 else s for axis, s in enumerate(sides)]


def _touches_border(block: Block, ids: Array, count: int, tables: Mapping[str, np.ndarray]) -> Array:
    """1 for every object with a voxel on the border of the volume (of its plane when planes are separate)."""
    found = block.ns.xp.zeros(count + 1, np.int8)
    for axis, sides in enumerate(_border_sides(block)):
        for position, counts in zip((0, -1), sides, strict=True):
            if counts:
                found[block.ns.xp.take(ids, position, axis=axis)] = 1
    return found


def _touches_border_by_runs(block: Block, runs: Runs) -> np.ndarray:
    return runs.touching(_border_sides(block))


_BORDER = Table(_touches_border, "maximum", 0, runs=_touches_border_by_runs)


def _hole_tables(params: HoleParams) -> Mapping[str, Table]:
    return {"size": COUNT} if params.fill_border else {"size": COUNT, "border": _BORDER}


def _is_foreground(
    tables: Mapping[str, np.ndarray], count: int, values: tuple[Any, ...], params: Any
) -> np.ndarray:
    """The mask itself and the holes in it."""
    size = tables["size"]
    hole = (size >= params.hole_min) & (size <= params.hole_max)
    if "border" in tables:
        hole &= tables["border"] == 0
    hole[0] = True
    return hole


def _all_hole_tables(params: Any) -> Mapping[str, Table]:
    return {"border": _BORDER}


def _is_not_outside(
    tables: Mapping[str, np.ndarray], count: int, values: tuple[Any, ...], params: Any
) -> np.ndarray:
    """The mask itself and all that it encloses."""
    inner = tables["border"] == 0
    inner[0] = True
    return inner


def _by_slices(params: HoleParams) -> bool:
    return params.slices


def _label_counts(block: Block) -> dict[int, int]:
    """Voxels of every label, counted by runs: there are far fewer of them to sort than voxels."""
    xp = block.ns.xp
    labels = xp.ascontiguousarray(kept(block))
    runs = block.ns.kernel("object_runs").runs_of_labels(labels.reshape(-1, labels.shape[-1]))
    _, edges, ids = runs
    found, place = xp.unique(ids, return_inverse=True)
    counts = xp.bincount(place, weights=edges[1::2] - edges[::2], minlength=len(found))  # exact below 2**53
    return {int(k): int(n) for k, n in zip(found.tolist(), counts.tolist(), strict=True)}


def _add_counts(a: dict[int, int], b: dict[int, int]) -> dict[int, int]:
    merged = dict(a)
    for label, count in b.items():
        merged[label] = merged.get(label, 0) + count
    return merged


def _small_labels(partial: dict[int, int], values: tuple[Any, ...], params: LabelSizeParams) -> np.ndarray:
    small = sorted(label for label, count in partial.items() if label != 0 and count < params.min_size)
    return np.asarray(small, np.int64)


def _without_small(block: Block) -> Array:
    xp = block.ns.xp
    labels = block.arrays[0]
    small = xp.asarray(block.values[0]).astype(labels.dtype)
    return xp.where(xp.isin(labels, small), labels.dtype.type(0), labels)


def _label_links(params: LabelSizeParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (labels,) = inputs
    small = Reduce(_label_counts, _add_counts, _small_labels)
    return [Link("small", small, (labels,)), Link("out", Local(_without_small), (labels, "small"))]


def _numbers(block: Block, rows: Array) -> Array:
    return rows


class ConnectivityParams(Params):
    """Parameters of `label_objects`."""

    connectivity: int = Field(default=1, ge=1, le=3, description="1: faces, 2: edges, 3: corners")


_MASK = Input("mask", ("mask",), (2, 3), "mask")
_MASK_3D = Input("mask", ("mask",), (3,), "mask")
_SAME = Output("mask", summary="bool, same shape")

REMOVE_SMALL_OBJECTS = OpSpec(
    name="remove_small_objects",
    summary="Remove connected objects below a size",
    inputs=(_MASK,),
    output=_SAME,
    rule=Labels(mask=_given, apply=row_mask, decide=keep_large, tables=_sizes, connectivity=_connectivity),
    params=SizeParams,
    scratch=4.0,
    category="objects",
    reference="size_filter (3D)",
)

REMOVE_SMALL_OBJECTS_SLICES = OpSpec(
    name="remove_small_objects_slices",
    summary="Remove connected objects of each plane below a size",
    inputs=(_MASK_3D,),
    output=_SAME,
    rule=Labels(
        mask=_given,
        apply=row_mask,
        decide=keep_large,
        tables=_sizes,
        connectivity=_connectivity,
        planar=in_planes,
    ),
    params=SliceSizeParams,
    scratch=4.0,
    category="objects",
    reference="size_filter (slice_by_slice)",
)

REMOVE_SMALL_LABELS = OpSpec(
    name="remove_small_labels",
    summary="Remove labels below a size, counted per label whatever its connectivity",
    inputs=(Input("labels", ("labels",), (2, 3), "label image"),),
    output=Output("labels", summary="same dtype and shape"),
    rule=Chain(_label_links),
    params=LabelSizeParams,
    scratch=8.0,
    category="objects",
    reference="remove_small_objects on labels",
)

FILL_HOLES = OpSpec(
    name="fill_holes",
    summary="Fill background components whose size lies in a range",
    inputs=(_MASK,),
    output=_SAME,
    rule=Labels(
        mask=_given,
        apply=row_mask,
        decide=_is_foreground,
        tables=_hole_tables,
        planar=_by_slices,
        background=True,
    ),
    params=HoleParams,
    scratch=4.0,
    category="objects",
    reference="hole_filling",
)

FILL_ALL_HOLES = OpSpec(
    name="fill_all_holes",
    summary="Fill background that is not connected by faces to the border of the image",
    inputs=(_MASK,),
    output=_SAME,
    rule=Labels(
        mask=_given, apply=row_mask, decide=_is_not_outside, tables=_all_hole_tables, background=True
    ),
    scratch=4.0,
    category="objects",
    reference="binary_fill_holes",
)

LABEL_OBJECTS = OpSpec(
    name="label_objects",
    summary="Number connected objects in scan order of their first voxel",
    inputs=(_MASK,),
    output=Output("labels", summary="int32, 0 on background, same shape"),
    rule=Labels(mask=_given, apply=_numbers, connectivity=_connectivity),
    params=ConnectivityParams,
    scratch=4.0,
    category="objects",
    reference="simple_builder",
)

SPECS = (
    LABEL_OBJECTS,
    REMOVE_SMALL_OBJECTS,
    REMOVE_SMALL_OBJECTS_SLICES,
    REMOVE_SMALL_LABELS,
    FILL_HOLES,
    FILL_ALL_HOLES,
)
