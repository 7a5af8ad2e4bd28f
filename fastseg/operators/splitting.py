"""Splitting touching objects: local maxima, and watersheds with a total order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import Field

from fastseg.arrays import Device, namespace_for, to_host, usable_cores
from fastseg.arrays.host_steps import declare_host_step
from fastseg.errors import UsageError
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Labels, Link, Local, Objects, Whole
from fastseg.tiling.packed import PackedObject
from fastseg.tiling.rules import Halo, full_connectivity
from fastseg.tiling.statistics import EXTREMA
from fastseg.types import Array

_BORDER = 2
"""Peaks closer than this to a face of the volume are not searched for, as in the reference."""


_DEVICE_VOXEL = 1e-6
"""Seconds that one thread of a GPU takes for a voxel of a flood: half a dozen reads that follow on each other."""
_DEVICE_RATE = 2e9
"""Voxels a second that all threads of a GPU flood together."""
_HOST_VOXEL = 60e-9
"""Seconds that one core takes for a voxel of a flood."""
_COPIED = 16.0
"""Bytes a voxel of the box that a flood on the host copies: labels, seeds, distances, and the result."""
_COPY_RATE = 8e9
"""Bytes a second of such a copy, from and to ordinary memory."""
_COPIES = 4e-4
"""Seconds that four copies take whatever their size: the device is waited for, and memory is taken on the host."""


def flood_on_device(sizes: np.ndarray, levels: int, voxels: int, cores: int) -> bool:
    """Whether objects are flooded on a GPU, rather than on the host where they give the same.

    A flood is a sequence, so the largest object takes one thread its voxels times a microsecond, 16 times what a core
    of the host takes; but the host must be sent the box first, at 2 ns a voxel. With c cores, the device wins while
    the largest object has less than about ``400 + box / 500 + all objects / (16 c)`` voxels: nuclei do, one organelle
    that pervades a cell does not. The rates are those of common hardware, in round numbers.

    Parameters
    ----------
    sizes : ndarray of int, shape (n,)
        Voxels of the objects that are flooded.
    levels : int
        Distances, over all objects, each of which takes 8 to 16 bytes of the device.
    voxels : int
        Of the box.
    cores : int
        Of the host.
    """
    if not len(sizes):
        return True
    if levels > 4 * voxels:  # thin boxes without background are deeper than they hold voxels
        return False
    largest, total = float(sizes.max()), float(sizes.sum())
    device = max(_DEVICE_VOXEL * largest, total / _DEVICE_RATE)
    host = _HOST_VOXEL * max(largest, total / cores) + _COPIED * voxels / _COPY_RATE + _COPIES
    return device <= host


class WatershedParams(Params):
    """Parameters of `watershed`."""

    lines: bool = Field(default=False, description="leave a line of background between touching regions")


class PeakParams(Params):
    """Parameters of `local_maxima`."""

    compat: bool = Field(
        default=False,
        description="take equal peaks in the order of numpy's unstable default sort, as the reference does; it "
        "depends on the processor",
    )


class SplitParams(Params):
    """Parameters of `watershed_split`."""

    compat: bool = Field(
        default=False,
        description="order equal seeds by the layout of a binary heap, as the reference does; needs the whole volume",
    )


def _mask(block: Block) -> Array:
    return block.arrays[-1]


def _first(block: Block) -> Array:
    return block.arrays[0]


def _bool(dtypes: Sequence[np.dtype[Any]], params: Any) -> np.dtype[Any]:
    return np.dtype(bool)


def _seeds_dtype(dtypes: Sequence[np.dtype[Any]], params: Any) -> np.dtype[Any]:
    return dtypes[1]


def _searched(block: Block) -> tuple[slice, ...]:
    """The part of a block that is far enough from every face of the volume; may be empty."""
    found = []
    for n, (start, stop) in zip(block.place.shape, block.place.box, strict=True):
        first = min(max(_BORDER - start, 0), stop - start)
        found.append(slice(first, max(min(n - _BORDER, stop) - start, first)))
    return tuple(found)


def _peaks(block: Block, labels: Array, count: int) -> Array:
    found = block.ns.xp.zeros(labels.shape, bool)
    start, stop = zip(*((s.start, s.stop) for s in _searched(block)), strict=True)
    kernel = block.ns.kernel("peaks")
    kernel.peaks_of_objects(block.arrays[0], labels, count, start, stop, block.values[0].low, found)
    return found


def _peaks_compat(block: Block, inside: np.ndarray) -> np.ndarray:
    found = np.zeros(inside.shape, bool)
    part = _searched(block)
    if inside[part].any():
        # numpy's order of equal values depends on how many there are, not on where they lie: any box will do
        values = np.ascontiguousarray(block.arrays[0][part])
        found[part] = _peaks_in_sorted_order(values, np.ascontiguousarray(inside[part]), block.values[0].low)
    return found


def _peaks_in_sorted_order(values: np.ndarray, inside: np.ndarray, floor: float) -> np.ndarray:
    kernel = namespace_for(Device("cpu")).kernel("peaks")
    candidates = np.argwhere(kernel.object_candidates(values, inside, floor))
    order = np.argsort(-values[tuple(candidates.T)])  # numpy's default sort is the behaviour to restore
    candidates = candidates[order]
    kept = candidates[kernel.keep_in_order(candidates)]
    found = np.zeros(values.shape, bool)
    found[tuple(kept.T)] = True
    return found


def _peaks_packed(item: PackedObject, values: tuple[Any, ...], params: Any, limit: int) -> np.ndarray:
    if params.compat:
        raise UsageError(
            f"an object of {len(item.positions):,} voxels is too large for the memory budget with compat, which sorts "
            "its peaks together: give a larger --memory or leave out --compat"
        )
    index = np.unravel_index(item.positions, item.shape)
    far = np.ones(len(item.positions), bool)
    for axis, n in enumerate(item.shape):
        far &= (index[axis] >= _BORDER) & (index[axis] < n - _BORDER)
    found = np.zeros(len(far), bool)
    find = namespace_for(Device("cpu")).kernel("packed").peaks_packed
    found[far] = find(item.arrays[0][far], item.positions[far], item.shape, values[0].low)
    return found


_PEAKS = Objects(
    mask=_mask,
    compute_many=_peaks,
    dtype=_bool,
    connectivity=full_connectivity,
    margin=0,
    on_device=True,
    packed=_peaks_packed,
)

_PEAKS_COMPAT = replace(_PEAKS, compute_many=None, on_device=False, compute=_peaks_compat)


def _peak_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    image, mask = inputs
    peaks = _PEAKS_COMPAT if params.compat else _PEAKS
    return [Link("extrema", EXTREMA, (image,)), Link("out", peaks, (image, mask, "extrema"))]


def _grown(block: Block) -> Array:
    out = block.ns.xp.empty(block.arrays[0].shape, bool)
    block.ns.kernel("peaks").dilate_by_faces(block.arrays[0], out)
    return out


def _one_voxel(params: Any) -> Halo:
    return (1, 1, 1)


def _numbers(block: Block, rows: Array) -> Array:
    return rows


def _flood_objects(block: Block, labels: Array, count: int) -> Array:
    """Watershed of minus the distance to the background, inside every object.

    The nearest background voxel of a voxel is a face neighbour of its own component, so the distance is exact in the
    bounding box plus one voxel, and the voxels of other objects may count as background.
    """
    ns, seeds = block.ns, block.arrays[1]
    distance, split = ns.kernel("distance"), ns.kernel("split")
    wide = np.promote_types(distance.dtype_for(labels.shape), seeds.dtype)
    squared = ns.xp.empty(labels.shape, wide)
    distance.squared_distances(labels, distance.FAR, squared)
    distance.from_before_the_first(squared)
    if not ns.on_gpu and labels.dtype == seeds.dtype:
        split.cut_objects(labels, count, seeds, squared, labels)
        return labels
    out = ns.xp.empty(labels.shape, seeds.dtype)
    if not ns.on_gpu:
        split.cut_objects(labels, count, seeds, squared, out)
        return out
    known = split.survey(labels, count, seeds, squared, out)
    if flood_on_device(known.sizes[known.flooded], int(known.levels.sum()), labels.size, usable_cores()):
        split.cut_objects(labels, count, seeds, squared, out, known)
        return out
    declare_host_step(ns, "flood of objects", "one thread would take longer for the largest object")
    host = namespace_for(Device("cpu")).kernel("split")
    flooded = np.empty(labels.shape, np.dtype(seeds.dtype))
    host.cut_objects(to_host(labels), count, to_host(seeds), to_host(squared), flooded)
    return ns.xp.asarray(flooded)


def _flood_packed(item: PackedObject, values: tuple[Any, ...], params: Any, limit: int) -> np.ndarray:
    seeds = item.arrays[1]
    if not seeds.any():
        return seeds
    flood = namespace_for(Device("cpu")).kernel("packed").flood_packed
    return np.asarray(flood(item.squared_distances(limit), seeds, item.positions, item.shape))


_FLOOD_OBJECTS = Objects(
    mask=_first,
    compute_many=_flood_objects,
    dtype=_seeds_dtype,
    margin=1,
    on_device=True,
    packed=_flood_packed,
)


def _flood_in_heap_order(block: Block) -> np.ndarray:
    mask, seeds = block.arrays
    cost = -block.ns.ndi.distance_transform_edt(mask)
    return block.ns.kernel("watershed_compat").flood_in_heap_order(cost, seeds, mask)


_FLOOD_IN_HEAP_ORDER = Whole(_flood_in_heap_order, host_only=True)


def _split_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    mask, peaks = inputs
    seeds = Labels(mask=_first, apply=_numbers, connectivity=full_connectivity)
    flood = _FLOOD_IN_HEAP_ORDER if params.compat else _FLOOD_OBJECTS
    return [
        Link("grown", Local(_grown, _one_voxel), (peaks,)),
        Link("seeds", seeds, ("grown",)),
        Link("out", flood, (mask, "seeds")),
    ]


def _flood_whole(block: Block) -> Array:
    image, seeds = block.arrays
    return block.ns.kernel("watershed").flood(image, seeds, None, block.params.lines)


_PAPER = "Meyer, Signal Processing 38(1), 1994 (priority flood)"

LOCAL_MAXIMA = OpSpec(
    name="local_maxima",
    summary="Peaks of an image within each object of a mask, at least 2 voxels apart",
    description="No peak lies within 2 voxels of a face of the volume, z included, and solid objects of one value have "
    "none. Equal peaks are taken in scan order. With compat it runs on the CPU.",
    inputs=(
        Input("image", ("image",), (3,), "image whose peaks are sought"),
        Input("mask", ("mask",), (3,), "objects"),
    ),
    output=Output("mask", summary="bool, true at peaks"),
    rule=Chain(_peak_links, kind="Objects"),
    params=PeakParams,
    scratch=4.0,
    category="splitting",
    reference="peak_local_max_wrapper",
)

WATERSHED_SPLIT = OpSpec(
    name="watershed_split",
    summary="Cut objects between their peaks by a watershed of the distance to the background",
    description="Seeds are the peaks dilated by one voxel. Objects without a peak vanish. The flood is ordered by "
    "value, age and position, so the result does not depend on tiles. On a GPU, objects so large that one thread would "
    "take longer than the host and the way there are flooded on the host, to the same result.",
    inputs=(
        Input("mask", ("mask",), (3,), "objects"),
        Input("peaks", ("mask",), (3,), "peaks"),
    ),
    output=Output("labels", summary="int32, 0 on background and watershed lines"),
    rule=Chain(_split_links, kind="Objects"),
    params=SplitParams,
    scratch=20.0,
    category="splitting",
    reference="watershed_wrapper",
    paper=_PAPER,
)

WATERSHED = OpSpec(
    name="watershed",
    summary="Seeded watershed of a whole image",
    description="The flood is ordered by value, age and position. Runs on the CPU.",
    inputs=(
        Input("image", ("image",), (3,), "cost: low values are flooded first"),
        Input("seeds", ("labels",), (3,), "seed labels, 0 where there is none"),
    ),
    output=Output("labels", summary="dtype of the seeds, 0 on watershed lines"),
    rule=Whole(_flood_whole, host_only=True),
    params=WatershedParams,
    scratch=25.0,
    category="splitting",
    reference="watershed",
    paper=_PAPER,
)

SPECS = (LOCAL_MAXIMA, WATERSHED_SPLIT, WATERSHED)
