"""Connected components over a grid: labelled tile by tile, joined across tile borders.

Every tile is labelled on its own, as runs (`fastseg.arrays.labels`); where two tiles meet, the labels of
neighbouring voxels are joined by union-find. Objects are then numbered by the scan order of their first voxel, so
numbers do not depend on the grid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from fastseg.arrays import Namespace, to_host
from fastseg.tiling.executors import Executor
from fastseg.tiling.grid import Grid
from fastseg.tiling.labelled import Touching, label_tile, tables_of
from fastseg.tiling.rules import Labels, Objects, Table
from fastseg.tiling.volume import Volume
from fastseg.types import Box


def structure_of(ndim: int, connectivity: int, planar: bool) -> np.ndarray:
    """Neighbourhood as a (3,)*ndim bool array; with `planar` no neighbour lies in another plane."""
    steps = np.abs(np.indices((3,) * ndim) - 1)
    near = steps.sum(0) <= connectivity
    if planar and ndim > 2:
        near &= steps[:-2].sum(0) == 0
    return near


@dataclass(frozen=True)
class Components:
    """Stitched components of a volume.

    Attributes
    ----------
    local : Volume
        Labels 1..n of every tile on its own, int32.
    grid : Grid
        The tiles.
    offsets : ndarray of int64, shape (tiles + 1,)
        Provisional numbers of tile t are ``local + offsets[t]``.
    numbers : ndarray of int64
        Final number of every provisional one; ``numbers[0]`` is 0.
    count : int
        Number of components.
    touching : Touching
        What touches a border between tiles, by provisional number.
    tables : mapping of str to ndarray, shape (count + 1, ...)
        Tables of the rule that came with the labelling, by final number.
    """

    local: Volume
    grid: Grid
    offsets: np.ndarray
    numbers: np.ndarray
    count: int
    touching: Touching
    tables: Mapping[str, np.ndarray] = field(default_factory=dict)

    def of_tile(self, tile: int) -> np.ndarray:
        """Final numbers of the local labels 0..n of a tile."""
        a, b = int(self.offsets[tile]), int(self.offsets[tile + 1])
        return np.concatenate([np.zeros(1, np.int64), self.numbers[a + 1 : b + 1]])

    def alone(self) -> np.ndarray:
        """Whether the object of every provisional number lies in one tile, bool; entry 0 is meaningless."""
        labels = np.bincount(self.numbers[1:], minlength=self.count + 1)
        return np.asarray(labels[self.numbers] == 1)

    def crossing(self) -> Touching:
        """The objects that cross a border between tiles, by their final numbers in increasing order."""
        final = self.numbers[self.touching.numbers]
        several = np.bincount(self.numbers[1:], minlength=self.count + 1)[final] > 1
        numbers, place = np.unique(final[several], return_inverse=True)
        ndim = len(self.grid.shape)
        starts = np.full((len(numbers), ndim), np.iinfo(np.int64).max)
        stops = np.zeros((len(numbers), ndim), np.int64)
        np.minimum.at(starts, place, self.touching.starts[several])
        np.maximum.at(stops, place, self.touching.stops[several])
        return Touching(numbers, starts, stops)

    def which(self, box: Box, numbers: np.ndarray) -> np.ndarray:
        """Which of some objects every voxel of a box belongs to, on the host.

        Parameters
        ----------
        box : Box
        numbers : ndarray of int64, shape (n,)
            Final numbers, increasing.

        Returns
        -------
        ndarray of int32
            k at voxels of ``numbers[k - 1]``, 0 elsewhere.
        """
        found = np.zeros(box.shape, np.int32)
        for tile, whole in self.grid.overlapping(box):
            shared = whole.intersect(box)
            final = self.of_tile(tile)
            place = np.searchsorted(numbers, final)
            known = numbers[np.minimum(place, len(numbers) - 1)] == final
            if known.any():
                rows = np.where(known, place + 1, 0).astype(np.int32)
                found[shared.within(box)] = rows[to_host(self.local.read(shared))]
        return found


def _provisional(local: Volume, grid: Grid, offsets: np.ndarray, box: Box) -> np.ndarray:
    ids = to_host(local.read(box)).astype(np.int64)
    if len(grid) > 1:
        for number, tile in grid.overlapping(box):
            shared = tile.intersect(box)
            part = ids[shared.within(box)]
            part[part > 0] += offsets[number]
    return ids


def _joined_pairs(
    local: Volume, grid: Grid, offsets: np.ndarray, structure: np.ndarray, task: tuple[int, Box]
) -> np.ndarray:
    """Pairs of provisional numbers that touch across the upper border of one tile along one axis, shape (n, 2)."""
    axis, core = task
    border = core.stop[axis]
    halo = [0 if a == axis else 1 for a in range(len(grid.shape))]
    wide = core.grow(halo, grid.shape)
    start, stop = list(wide.start), list(wide.stop)
    start[axis], stop[axis] = border - 1, border + 1
    slab = np.moveaxis(_provisional(local, grid, offsets, Box(tuple(start), tuple(stop))), axis, 0)
    below, above = slab[0], slab[1]
    near = np.moveaxis(structure, axis, 0)[2]
    pairs = []
    for step in product((-1, 0, 1), repeat=below.ndim):
        if not near[tuple(s + 1 for s in step)]:
            continue
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(step, below.shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(step, below.shape, strict=True))
        a, b = below[here].ravel(), above[there].ravel()
        both = (a > 0) & (b > 0)
        pairs.append(np.unique(np.stack([a[both], b[both]], axis=1), axis=0))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)


def find_components(
    rule: Labels | Objects,
    params: Any,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    grid: Grid,
    local: Volume,
    executor: Executor,
    ns: Namespace,
) -> Components:
    """Label the mask that `rule` takes from `volumes`, over a grid.

    Parameters
    ----------
    local : Volume
        Where the labels of the tiles are kept.

    Returns
    -------
    Components
        Numbered in scan order of their first voxels.
    """
    ndim = len(grid.shape)
    planar = isinstance(rule, Labels) and rule.planar(params)
    structure = structure_of(ndim, rule.connectivity(params, ndim), planar)
    task = partial(label_tile, rule, params, volumes, values, local, grid.shape, ns)
    tiles = list(executor.map(task, grid))
    offsets = np.concatenate([[0], np.cumsum([tile.count for tile in tiles])]).astype(np.int64)
    total = int(offsets[-1])
    first = np.concatenate([tile.first for tile in tiles])
    parts = [tile.touching for tile in tiles]
    touching = Touching(
        np.concatenate([t.numbers + offset for t, offset in zip(parts, offsets, strict=False)]),
        np.concatenate([t.starts for t in parts]),
        np.concatenate([t.stops for t in parts]),
    )
    measured = [tile.tables for tile in tiles]
    del tiles, parts
    borders = [(axis, core) for axis in range(ndim) for core in grid if core.stop[axis] < grid.shape[axis]]
    joins = list(executor.map(partial(_joined_pairs, local, grid, offsets, structure), borders))
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *joins])
    found = Components(local, grid, offsets, *_number(total, first, pairs), touching)
    tables = {}
    for name, table in tables_of(rule, params).items():
        if name in measured[0]:
            rows = ((found.of_tile(number), part[name]) for number, part in enumerate(measured))
            tables[name] = merge_rows(table, found.count, rows)
    return replace(found, tables=tables)


def merge_rows(table: Table, count: int, parts: Iterable[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The rows of all tiles as those of all objects.

    Parameters
    ----------
    table : Table
    count : int
        Objects.
    parts : iterable of (ndarray of int64, ndarray)
        Final numbers of the rows of a tile, and the rows; the first ones may be changed.

    Returns
    -------
    ndarray, shape (count + 1, ...)
    """
    combine = getattr(np, table.combine)
    merged: np.ndarray | None = None
    for numbers, rows in parts:
        everything = len(rows) == count + 1 and bool((np.diff(numbers) == 1).all())
        if everything and merged is None:
            merged = rows
            continue
        if merged is None:
            merged = np.full((count + 1, *rows.shape[1:]), table.initial, rows.dtype)
        combine.at(merged, numbers, rows)
    assert merged is not None  # a grid has at least one tile
    return merged


def _number(total: int, first: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, int]:
    """Final numbers of the provisional ones 0..total, by the scan order of the components' first voxels."""
    if len(pairs):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        edges = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0] - 1, pairs[:, 1] - 1)), (total, total))
        count, member = connected_components(edges, directed=False)
    else:
        if (np.diff(first) > 0).all():  # as one tile is numbered
            return np.arange(total + 1), total
        count, member = total, np.arange(total)
    earliest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(earliest, member, first)
    rank = np.empty(count, np.int64)
    rank[np.argsort(earliest, kind="stable")] = np.arange(1, count + 1)
    numbers = np.zeros(total + 1, np.int64)
    numbers[1:] = rank[member]
    return numbers, int(count)
