"""Labelling one tile: its components, where they begin, and which of them other tiles may continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.arrays import Namespace, to_host
from fastseg.arrays.labels import find_runs, has_runs
from fastseg.tiling.block import Block, Place
from fastseg.tiling.passes import load
from fastseg.tiling.rules import Labels, Objects, Table
from fastseg.tiling.run_volume import RunVolume
from fastseg.tiling.volume import Volume
from fastseg.types import Array, Box


@dataclass(frozen=True)
class Touching:
    """Labels that touch a border between tiles, and their bounding boxes in the volume.

    Attributes
    ----------
    numbers : ndarray of int64, shape (n,)
    starts, stops : ndarray of int64, shape (n, ndim)
    """

    numbers: np.ndarray
    starts: np.ndarray
    stops: np.ndarray


@dataclass(frozen=True)
class LabelledTile:
    """A labelled tile: number of labels, flat position in the volume of the first voxel of each, and which touch.

    `tables` are those that come with the labelling.
    """

    count: int
    first: np.ndarray
    touching: Touching
    tables: Mapping[str, np.ndarray]


def label_tile(
    rule: Labels | Objects,
    params: Any,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    structure: np.ndarray,
    local: Volume,
    shape: tuple[int, ...],
    ns: Namespace,
    core: Box,
) -> LabelledTile:
    """Label one tile."""
    arrays = tuple(load(v, core, ns) for v in volumes)
    block = Block(arrays, values, params, Place(core, core, shape), ns)
    mask = rule.mask(block)
    inside = not (isinstance(rule, Labels) and rule.background)
    tables: dict[str, np.ndarray] = {}
    labels: Array = None
    if has_runs(ns, mask.shape):
        planar = isinstance(rule, Labels) and rule.planar(params)
        runs = find_runs(mask, rule.connectivity(params, mask.ndim), planar, inside)
        first = runs.first
        for name, table in tables_of(rule, params).items():
            if table.runs is not None:
                tables[name] = table.runs(block, runs)
        if isinstance(local, RunVolume):
            local.keep(core, runs)
        else:
            labels = runs.labels()
    else:
        labels, count = ns.ndi.label(mask if inside else ~mask, structure=ns.xp.asarray(structure))
        first = _first(labels, int(count), ns)
    if labels is not None:
        local.write(core, labels)
    if core.shape != shape:
        index = np.unravel_index(first, core.shape)
        moved = tuple(i + a for i, a in zip(index, core.start, strict=True))
        first = np.ravel_multi_index(moved, shape).astype(np.int64)
    return LabelledTile(len(first), first, _touching(rule, labels, core, shape), tables)


def tables_of(rule: Labels | Objects, params: Any) -> Mapping[str, Table]:
    """The tables of a rule; one of `Objects` has none."""
    return rule.tables(params) if isinstance(rule, Labels) else {}


def _first(labels: Array, count: int, ns: Namespace) -> np.ndarray:
    """Flat position of the first voxel of each label."""
    flat = labels.ravel()
    inside = ns.xp.flatnonzero(flat)
    first = ns.xp.full(count + 1, flat.size, dtype=np.uint64)  # CuPy has no atomic minimum of int64
    ns.xp.minimum.at(first, flat[inside], inside.astype(np.uint64))
    return to_host(first[1:]).astype(np.int64)


def _touching(rule: Labels | Objects, labels: Array, core: Box, shape: tuple[int, ...]) -> Touching:
    """Labels of a tile at its borders with other tiles; what is decided by tables alone needs none of them."""
    from scipy.ndimage import find_objects

    ndim = len(shape)
    found: list[np.ndarray] = [np.zeros(0, np.int64)]
    if isinstance(rule, Objects):
        for axis in range(ndim):
            for inner, plane in ((core.start[axis] > 0, 0), (core.stop[axis] < shape[axis], -1)):
                if inner:
                    found.append(
                        np.unique(to_host(labels[(slice(None),) * axis + (plane,)])).astype(np.int64)
                    )
    numbers = np.unique(np.concatenate(found))
    numbers = numbers[numbers > 0]
    if not len(numbers):
        return Touching(numbers, *(np.zeros((0, ndim), np.int64),) * 2)
    boxes = find_objects(to_host(labels))
    corner = np.array(core.start)
    starts = np.array([[s.start for s in boxes[n - 1]] for n in numbers]) + corner
    stops = np.array([[s.stop for s in boxes[n - 1]] for n in numbers]) + corner
    return Touching(numbers, starts, stops)
