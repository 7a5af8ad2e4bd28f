"""Tables of the objects of a mask."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastseg.errors import InputError


class RegionObject(NamedTuple):
    """One object within a region.

    Attributes
    ----------
    region : int
        Label of the region.
    label : int
        Label of the object, running over all regions.
    voxels : int
    """

    region: int
    label: int
    voxels: int


def label_within_regions(mask: Any, regions: Any) -> tuple[np.ndarray, list[RegionObject]]:
    """Label the objects of a mask region by region; an object that crosses regions is cut.

    Parameters
    ----------
    mask : array (Z, Y, X) or (Y, X)
        Everything but 0 is foreground.
    regions : array of the same shape
        Region labels, 0 outside. Where the largest is 1 (a mask), its face-connected components are the regions,
        numbered in scan order.

    Returns
    -------
    labels : int32, same shape
        Face-connected objects, numbered region by region (ascending), in scan order within each.
    table : list of RegionObject
        In the order of the labels; empty when there is no object.

    Raises
    ------
    InputError
        If the shapes differ, the regions are no integers, or no voxel belongs to a region.

    Notes
    -----
    Reference function: masked_builder (which fails when there is no object).
    """
    from scipy import ndimage as ndi

    inside, areas = np.asarray(mask) != 0, np.asarray(regions)
    if inside.shape != areas.shape:
        raise InputError(
            f"label_within_regions: the mask has shape {inside.shape}, the regions {areas.shape}"
        )
    if areas.dtype.kind not in "bui":
        raise InputError(f"label_within_regions: regions have dtype {areas.dtype}; integer labels are needed")
    if not areas.any():
        raise InputError("label_within_regions: no voxel belongs to a region")
    if areas.max() == 1:
        areas = ndi.label(areas > 0)[0]
    labels = np.zeros(inside.shape, np.int32)
    table: list[RegionObject] = []
    names, dense = np.unique(areas, return_inverse=True)
    boxes = ndi.find_objects(dense.reshape(areas.shape) + 1)
    for name, box in zip(names.tolist(), boxes, strict=True):
        if name <= 0:
            continue
        found, count = ndi.label(inside[box] & (areas[box] == name))
        sizes = np.bincount(found.ravel(), minlength=count + 1)[1:]
        here = found > 0
        labels[box][here] = found[here] + len(table)
        first = len(table) + 1
        table.extend(RegionObject(name, first + i, int(size)) for i, size in enumerate(sizes))
    return labels, table
