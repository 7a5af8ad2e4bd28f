"""What a stage's tasks take: memory, and how often they read their inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from fastseg.tiling.chunked import chunks_of
from fastseg.tiling.grid import Grid
from fastseg.tiling.passes import on_axes
from fastseg.tiling.program import Node, Stage, summed
from fastseg.tiling.rules import Halo, Labels, Local, Objects, Reduce
from fastseg.types import Box

VOXEL = 4.0
"""Bytes of a voxel of an intermediate image; masks take less."""

_LABEL_BYTES = 24.0
"""Bytes a voxel of a labelling task: mask, its runs or local labels, and what is painted."""

_OBJECT_BYTES = 20.0
"""Bytes a voxel of an object-wise task beside its own scratch: labels, what is read, the output."""

_STATISTIC_BYTES = 32.0
"""Bytes a voxel of a statistic: float64 values, int64 units and their products."""

_STATISTIC_VOXELS = 1 << 21
"""Statistics go through a block in pieces of this size."""

_TASK = 2**20
"""Bytes of a task whatever its size: tables of counts, and Python's own objects."""


_CHUNK_COPIES = 2
"""What reading or writing a chunk of a scratch volume takes: its mapped file, or the chunk in one piece."""


def passes_of(node: Node) -> tuple[int, int]:
    """How often a stage reads its inputs, and how often the labels that it keeps on the side."""
    if isinstance(node.rule, Labels):  # label the tiles, fill every table, apply the decision
        tables = len(node.rule.tables(node.params))
        return 2 + tables, 1 + tables
    if isinstance(node.rule, Objects):  # label the tiles, compute
        return 2, 1
    return 1, 0


def object_voxel_bytes(node: Node, volumes: int) -> float:
    """Bytes a voxel of the box of an object-wise task."""
    return float(_OBJECT_BYTES + node.scratch + VOXEL * volumes)


def voxels_read(grid: Grid, halo: Sequence[int]) -> int:
    """Voxels of all tiles with their halos."""
    total = 1
    for length, side, reach in zip(grid.shape, grid.tile, halo, strict=True):
        starts = range(0, length, side)
        total *= sum(min(length, start + side + reach) - max(0, start - reach) for start in starts)
    return total


def _middle_tile(grid: Grid) -> Box:
    """A tile of full size with as many neighbours as any."""
    return grid.box(tuple(max(0, (c - 1) // 2) for c in grid.counts))


def task_bytes(
    stage: Stage, grid: Grid, volumes: Mapping[str, Halo], chunks: Mapping[str, tuple[int, ...]]
) -> float:
    """Memory of one task of a stage, at its peak.

    Parameters
    ----------
    stage : Stage
    grid : Grid
        The tiles of the stage.
    volumes : mapping of str to (z, y, x)
        Halos of the volumes among what it reads.
    chunks : mapping of str to tuple of int
        Chunks of the volumes that earlier stages wrote.
    """
    node = stage.nodes[0]
    core = _middle_tile(grid)
    if isinstance(node.rule, Local | Reduce):
        return _fused_bytes(stage, grid, volumes, chunks) + _TASK
    if isinstance(node.rule, Labels):
        needed = core.size * (_LABEL_BYTES + VOXEL * len(volumes))
    elif isinstance(node.rule, Objects):
        needed = core.size * object_voxel_bytes(node, len(volumes))
    else:
        needed = core.size * (node.scratch + VOXEL * (len(volumes) + 1))
    own = chunks_of(grid.tile, grid.shape)
    return (
        needed + _CHUNK_COPIES * VOXEL * max(prod(own), *(prod(chunks.get(n, own)) for n in volumes)) + _TASK
    )


def _fused_bytes(
    stage: Stage, grid: Grid, volumes: Mapping[str, Halo], chunks: Mapping[str, tuple[int, ...]]
) -> float:
    """Peak of what a fused task holds, following the life of every block."""
    ndim = len(grid.shape)
    core = _middle_tile(grid)
    own = chunks_of(grid.tile, grid.shape)

    def box(halo: Halo) -> Box:
        return core.grow(on_axes(halo, ndim), grid.shape)

    held: dict[str, tuple[Halo, float]] = {}
    peak = 0.0
    for name, halo in volumes.items():
        held[name] = (halo, box(halo).size * VOXEL)
        transfer = _CHUNK_COPIES * VOXEL * prod(chunks.get(name, own))
        peak = max(peak, sum(n for _, n in held.values()) + transfer)
    last = {name: i for i, node in enumerate(stage.nodes) for name in node.inputs}
    for i, node in enumerate(stage.nodes):
        growth = stage.growth[node.name]
        wide = summed(growth, node.rule.halo(node.params))
        voxels = box(wide).size
        working = sum(voxels * VOXEL for name in node.inputs if name in held and held[name][0] != wide)
        working += voxels * node.scratch
        result = voxels * VOXEL
        if isinstance(node.rule, Reduce):
            working += min(voxels, _STATISTIC_VOXELS) * _STATISTIC_BYTES
            result = 0.0
        now = sum(n for _, n in held.values()) + result
        peak = max(peak, now + working)
        if node.name in stage.writes:
            peak = max(peak, now + _CHUNK_COPIES * VOXEL * prod(own))
        if result:
            held[node.name] = (growth, result)
        held = {name: item for name, item in held.items() if last.get(name, -1) > i}
    return peak
