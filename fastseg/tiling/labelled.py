"""Labelling one tile: its components, where they begin, and which of them other tiles may continue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.arrays import Namespace
from fastseg.arrays.labels import Runs, find_runs
from fastseg.tiling.block import Block, Place
from fastseg.tiling.passes import load
from fastseg.tiling.rules import Labels, Objects, Table
from fastseg.tiling.run_volume import RunVolume
from fastseg.tiling.volume import Volume
from fastseg.types import Box


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
    local: Volume,
    shape: tuple[int, ...],
    ns: Namespace,
    core: Box,
) -> LabelledTile:
    """Label one tile."""
    arrays = tuple(load(v, core, ns) for v in volumes)
    block = Block(arrays, values, params, Place(core, core, shape), ns)
    mask = rule.mask(block)
    planar = isinstance(rule, Labels) and rule.planar(params)
    inside = not (isinstance(rule, Labels) and rule.background)
    runs = find_runs(mask, rule.connectivity(params, mask.ndim), planar, inside, ns)
    tables = {
        name: table.runs(block, runs)
        for name, table in tables_of(rule, params).items()
        if table.runs is not None
    }
    if isinstance(local, RunVolume):
        local.keep(core, runs)
    else:
        local.write(core, runs.labels())
    first = runs.first
    if core.shape != shape:
        index = np.unravel_index(first, core.shape)
        moved = tuple(i + a for i, a in zip(index, core.start, strict=True))
        first = np.ravel_multi_index(moved, shape).astype(np.int64)
    return LabelledTile(len(first), first, _touching(rule, runs, core, shape), tables)


def tables_of(rule: Labels | Objects, params: Any) -> Mapping[str, Table]:
    """The tables of a rule; one of `Objects` has none."""
    return rule.tables(params) if isinstance(rule, Labels) else {}


def _touching(rule: Labels | Objects, runs: Runs, core: Box, shape: tuple[int, ...]) -> Touching:
    """Labels of a tile at its borders with other tiles; what is decided by tables alone needs none of them."""
    sides = [(a > 0, b < n) for a, b, n in zip(core.start, core.stop, shape, strict=True)]
    if not isinstance(rule, Objects) or not any(map(any, sides)):
        return Touching(np.zeros(0, np.int64), *(np.zeros((0, len(shape)), np.int64),) * 2)
    found = runs.touching(sides)
    starts, stops = runs.boxes(found)
    corner = np.array(core.start)
    return Touching(np.flatnonzero(found), starts + corner, stops + corner)
