"""Connected components over a grid: labelled tile by tile, joined across tile borders.

Every tile is labelled on its own; where two tiles meet, the labels of neighbouring voxels are joined by union-find.
Objects are then numbered by the scan order of their first voxel, so numbers do not depend on the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from fastseg.arrays import Namespace, to_host
from fastseg.tiling.block import Block, Place
from fastseg.tiling.executors import Executor
from fastseg.tiling.grid import Grid
from fastseg.tiling.passes import load
from fastseg.tiling.rules import Labels, Objects
from fastseg.tiling.volume import Volume
from fastseg.types import Array, Box


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
    """

    local: Volume
    grid: Grid
    offsets: np.ndarray
    numbers: np.ndarray
    count: int

    def of_tile(self, tile: int) -> np.ndarray:
        """Final numbers of the local labels 0..n of a tile."""
        a, b = int(self.offsets[tile]), int(self.offsets[tile + 1])
        return np.concatenate([np.zeros(1, np.int64), self.numbers[a + 1 : b + 1]])

    def read(self, box: Box) -> np.ndarray:
        """Final numbers in a box, on the host; int64."""
        return self.numbers[_provisional(self.local, self.grid, self.offsets, box)]


def _provisional(local: Volume, grid: Grid, offsets: np.ndarray, box: Box) -> np.ndarray:
    ids = to_host(local.read(box)).astype(np.int64)
    if len(grid) > 1:
        for number, tile in grid.overlapping(box):
            shared = tile.intersect(box)
            part = ids[shared.within(box)]
            part[part > 0] += offsets[number]
    return ids


def _label_tile(
    rule: Labels | Objects,
    params: Any,
    volumes: Sequence[Volume],
    values: tuple[Any, ...],
    structure: np.ndarray,
    local: Volume,
    shape: tuple[int, ...],
    ns: Namespace,
    core: Box,
) -> tuple[int, np.ndarray]:
    """Label one tile; give its number of labels and the flat position in the volume of the first voxel of each."""
    arrays = tuple(load(v, core, ns) for v in volumes)
    block = Block(arrays, values, params, Place(core, core, shape), ns)
    labels, count = ns.ndi.label(rule.mask(block), structure=ns.xp.asarray(structure))
    count = int(count)
    local.write(core, labels)
    flat = labels.ravel()
    inside = ns.xp.flatnonzero(flat)
    first = ns.xp.full(count + 1, flat.size, dtype=np.uint64)  # CuPy has no atomic minimum of int64
    ns.xp.minimum.at(first, flat[inside], inside.astype(np.uint64))
    index = np.unravel_index(to_host(first[1:]).astype(np.int64), core.shape)
    moved = tuple(i + a for i, a in zip(index, core.start, strict=True))
    return count, np.ravel_multi_index(moved, shape).astype(np.int64)


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
        Where the labels of the tiles are kept, int32.

    Returns
    -------
    Components
        Numbered in scan order of their first voxels.
    """
    ndim = len(grid.shape)
    planar = isinstance(rule, Labels) and rule.planar(params)
    structure = structure_of(ndim, rule.connectivity(params, ndim), planar)
    task = partial(_label_tile, rule, params, volumes, values, structure, local, grid.shape, ns)
    tiles = list(executor.map(task, grid))
    offsets = np.concatenate([[0], np.cumsum([count for count, _ in tiles])]).astype(np.int64)
    total = int(offsets[-1])
    first = np.concatenate([f for _, f in tiles])
    borders = [(axis, core) for axis in range(ndim) for core in grid if core.stop[axis] < grid.shape[axis]]
    joins = list(executor.map(partial(_joined_pairs, local, grid, offsets, structure), borders))
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *joins])
    return Components(local, grid, offsets, *_number(total, first, pairs))


def _number(total: int, first: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, int]:
    """Final numbers of the provisional ones 0..total, by the scan order of the components' first voxels."""
    if len(pairs):
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        edges = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0] - 1, pairs[:, 1] - 1)), (total, total))
        count, member = connected_components(edges, directed=False)
    else:
        count, member = total, np.arange(total)
    earliest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(earliest, member, first)
    rank = np.empty(count, np.int64)
    rank[np.argsort(earliest, kind="stable")] = np.arange(1, count + 1)
    numbers = np.zeros(total + 1, np.int64)
    numbers[1:] = rank[member]
    return numbers, int(count)


def bounding_boxes(components: Components, executor: Executor) -> list[Box]:
    """The bounding box of every component, in the order of their numbers."""
    ndim = len(components.grid.shape)
    low = np.full((components.count + 1, ndim), np.iinfo(np.int64).max)
    high = np.zeros((components.count + 1, ndim), np.int64)
    found = executor.map(partial(_boxes_of_tile, components.local), components.grid)
    for tile, (starts, stops) in enumerate(found):
        numbers = components.of_tile(tile)[1:]
        np.minimum.at(low, numbers, starts)
        np.maximum.at(high, numbers, stops)
    return [Box(tuple(map(int, a)), tuple(map(int, b))) for a, b in zip(low[1:], high[1:], strict=True)]


def _boxes_of_tile(local: Volume, core: Box) -> tuple[np.ndarray, np.ndarray]:
    from scipy.ndimage import find_objects

    found = find_objects(to_host(local.read(core)))
    starts = np.array([[s.start for s in box] for box in found], np.int64).reshape(-1, len(core.start))
    stops = np.array([[s.stop for s in box] for box in found], np.int64).reshape(-1, len(core.start))
    return starts + np.array(core.start), stops + np.array(core.start)


def gather(rows: np.ndarray, ids: Array, ns: Namespace) -> Array:
    """``rows[ids]`` on the device of `ids`."""
    return ns.xp.asarray(rows)[ids]
