"""The middle frame, single planes, and seeds placed in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from fastseg.arrays import to_host
from fastseg.errors import InputError
from fastseg.operators.objects import COUNT, keep_large, row_mask
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.operators.thresholds import otsu, otsu_of_counts
from fastseg.tiling import Block, Chain, Labels, Link, Local, Reduce, Table
from fastseg.tiling.parts import Parts, assemble_parts, join_parts, part_of
from fastseg.tiling.rules import full_connectivity
from fastseg.tiling.statistics import (
    EXTREMA,
    HISTOGRAM,
    kept,
    pair,
    per_plane,
    sum_of,
)
from fastseg.types import Array, Box


class MiddleFrameParams(Params):
    """Parameters of `middle_frame`."""

    method: Literal["z", "intensity"] = Field(
        default="z",
        description="z: half the number of planes; intensity: Otsu split of the foreground per plane",
    )


class SeedsParams(Params):
    """Parameters of `seeds_from_slice`."""

    min_size: int = Field(default=1, ge=0, description="smallest object that gives a seed, in pixels")
    background_seed: bool = Field(
        default=True, description="make plane 0 the seed of the background (label 1)"
    )


def profile_split(profile: np.ndarray) -> float:
    """Otsu's split of a profile along z: relative position of the last bin of the lower part."""
    counts = profile.astype(np.float64) + 1e-5
    return float(otsu_of_counts(counts, np.arange(counts.size) / (counts.size - 1)))


def _foreground_per_plane(block: Block) -> np.ndarray:
    histogram, extrema = block.values
    threshold = otsu(histogram, extrema.low if extrema.low == extrema.high else None)
    counts = (kept(block) > np.float32(threshold)).sum(axis=(1, 2))
    return per_plane(to_host(counts).astype(np.int64), block.place.core, block.place.shape, 0)


def _middle_of_profile(partial: np.ndarray, values: tuple[Any, ...], params: Any) -> int:
    if partial.size < 2:
        raise InputError(
            "middle_frame: method 'intensity' needs at least 2 planes, the image has 1; use method 'z'"
        )
    return round(profile_split(partial) * partial.size)


def _depth(block: Block) -> int:
    return block.place.shape[0]


def _half(partial: int, values: tuple[Any, ...], params: Any) -> int:
    return partial // 2


def _middle_links(params: MiddleFrameParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    if params.method == "z":
        return [Link("out", Reduce(_depth, max, _half), (image,))]
    return middle_links(image)


def middle_links(image: str) -> list[Link]:
    """The middle plane by intensity; the last link, "middle", gives its number."""
    middle = Reduce(_foreground_per_plane, sum_of, _middle_of_profile)
    return [
        Link("extrema", EXTREMA, (image,)),
        Link("histogram", HISTOGRAM, (image, "extrema")),
        Link("middle", middle, (image, "histogram", "extrema")),
    ]


def _plane_chunk(block: Block) -> Parts:
    z, core = int(block.values[0]), block.place.core
    if not 0 <= z < block.place.shape[0]:
        raise InputError(
            f"take_slice: there is no plane {z}; the image has planes 0 to {block.place.shape[0] - 1}"
        )
    if not core.start[0] <= z < core.stop[0]:
        return {}
    return part_of(block, Box(core.start[1:], core.stop[1:]), kept(block)[z - core.start[0]].copy())


PLANE = Reduce(_plane_chunk, join_parts, assemble_parts, volume=True)
"""One plane of a volume as a 2-D volume; its second input is the plane's number."""


def _given(block: Block) -> Array:
    return block.arrays[0]


def _sizes(params: Any) -> Mapping[str, Table]:
    return {"size": COUNT}


def _numbers(block: Block, rows: Array) -> Array:
    return rows


def _position_sums(block: Block) -> dict[int, tuple[int, ...]]:
    """Count and coordinate sums of every label of the core."""
    xp = block.ns.xp
    labels = kept(block)
    where = xp.nonzero(labels)
    if not where[0].size:
        return {}
    found, rank = xp.unique(labels[where], return_inverse=True)
    sums = [xp.bincount(rank)]
    for axis, start in enumerate(block.place.core.start):
        sums.append(xp.bincount(rank, weights=where[axis] + start))  # exact below 2**53
    rows = zip(*(to_host(column).tolist() for column in (found, *sums)), strict=True)
    return {int(label): tuple(int(n) for n in row) for label, *row in rows}


def _add_positions(
    a: dict[int, tuple[int, ...]], b: dict[int, tuple[int, ...]]
) -> dict[int, tuple[int, ...]]:
    merged = dict(a)
    for label, sums in b.items():
        before = merged.get(label, (0,) * len(sums))
        merged[label] = tuple(x + y for x, y in zip(before, sums, strict=True))
    return merged


def _centroids(
    partial: dict[int, tuple[int, ...]], values: tuple[Any, ...], params: Any
) -> list[tuple[int, ...]]:
    """Rounded centroids in the order of the labels."""
    return [tuple(round(s / count) for s in sums) for _, (count, *sums) in sorted(partial.items())]


def _shape(block: Block) -> tuple[int, ...]:
    return block.place.shape


def _place_seeds(block: Block) -> Array:
    """Seeds at the centroids of one plane, numbered in the order of the objects."""
    z, centroids, plane = block.values
    core, shape = block.place.core, block.place.shape
    z = int(z)
    if plane != shape[1:]:
        raise InputError(
            f"seeds_from_slice: 'mask' has shape {plane}, the planes of 'like' have {shape[1:]}; they must be equal"
        )
    if not 0 <= z < shape[0]:
        raise InputError(f"seeds_from_slice: there is no plane {z}; the image has planes 0 to {shape[0] - 1}")
    seeds = block.ns.xp.zeros(core.shape, np.int32)
    background = block.params.background_seed
    if background and core.start[0] == 0:
        seeds[0] = 1
    if core.start[0] <= z < core.stop[0]:
        plane = Box(core.start[1:], core.stop[1:])
        placed = {}  # of several seeds of one voxel the last one stays
        for number, centre in enumerate(centroids, start=2 if background else 1):
            if all(a <= n < b for n, (a, b) in zip(centre, plane, strict=True)):
                placed[tuple(n - a for n, (a, _) in zip(centre, plane, strict=True))] = number
        if placed:
            rows, columns, numbers = np.array([(*at, n) for at, n in placed.items()], np.int32).T
            index = z - core.start[0], block.ns.put(rows.copy()), block.ns.put(columns.copy())
            seeds[index] = block.ns.put(numbers.copy())
    return seeds


def seed_links(mask: str, like: str, z: str) -> list[Link]:
    """From a plane's mask to seeds in a stack shaped `like`; the parameters need `min_size`, `background_seed`."""
    large = Labels(mask=_given, apply=row_mask, decide=keep_large, tables=_sizes)
    number = Labels(mask=_given, apply=_numbers, connectivity=full_connectivity)
    return [
        Link("large", large, (mask,)),
        Link("objects", number, ("large",)),
        Link("centroids", Reduce(_position_sums, _add_positions, _centroids), ("objects",)),
        Link("shape", Reduce(_shape, max, pair), (mask,)),
        Link("out", Local(_place_seeds), (like, z, "centroids", "shape")),
    ]


def _seed_links(params: SeedsParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    return seed_links(*inputs)


MIDDLE_FRAME = OpSpec(
    name="middle_frame",
    summary="Number of the middle plane of a stack",
    description="Method 'intensity': the image is split by Otsu's threshold, and the profile of foreground voxels per "
    "plane by Otsu's threshold again.",
    inputs=(Input("image", ("image",), (3,), "image"),),
    output=Output("scalar", summary="plane number, int"),
    rule=Chain(_middle_links),
    params=MiddleFrameParams,
    category="frames",
    reference="get_middle_frame",
)
TAKE_SLICE = OpSpec(
    name="take_slice",
    summary="One plane of a stack",
    inputs=(
        Input("image", ("image", "mask"), (3,), "image or mask"),
        Input("z", ("scalar",), (), "plane number"),
    ),
    output=Output("image", 2, "float32, bool for a mask, (Y, X)"),
    rule=PLANE,
    category="frames",
)
SEEDS_FROM_SLICE = OpSpec(
    name="seeds_from_slice",
    summary="Seeds for a 3-D watershed at the centroids of the objects of one plane",
    description="Objects smaller than min_size (4-connected) are left out, the others are numbered (8-connected) in "
    "scan order. Later seeds overwrite earlier ones at the same voxel.",
    inputs=(
        Input("mask", ("mask",), (2,), "objects of one plane"),
        Input("like", ("image", "mask", "labels"), (3,), "stack whose shape the seeds get", shape_only=True),
        Input("z", ("scalar",), (), "plane number"),
    ),
    output=Output("labels", 3, "int32, (Z, Y, X)"),
    rule=Chain(_seed_links, kind="Labels"),
    params=SeedsParams,
    category="frames",
    reference="get_3dseed_from_mid_frame",
)

SPECS = (MIDDLE_FRAME, TAKE_SLICE, SEEDS_FROM_SLICE)
