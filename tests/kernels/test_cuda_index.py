"""Numbers of volumes with more than 2**31 voxels: the types of positions, and launches that cover them."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

pytest.importorskip("numba.cuda")

from fastseg.kernels.cuda import grids, launch, memory

GRID_X, GRID_YZ = 2**31 - 1, 65535


def test_positions_take_32_bits_only_below_2_to_the_31() -> None:
    assert memory.index_type(2**31 - 1) is np.int32
    assert memory.index_type(2**31) is np.int64
    assert all(type(n) is np.int64 for n in launch.as_int64(2**31, 1))


@pytest.mark.parametrize("count", [1, 127, 2**31, 5 * 10**9])
def test_lists_are_covered(count: int) -> None:
    blocks, threads = grids.over_list(count)
    assert count <= blocks * threads < count + threads
    assert blocks <= GRID_X


@pytest.mark.parametrize(("lines", "width"), [(1, 1), (10**8, 10_000), (2**31, 3), (7, 2_000_000)])
def test_lines_are_covered(lines: int, width: int) -> None:
    (across, along), block = grids.over_lines(lines, width)
    assert across * block[1] >= lines
    assert along * block[0] >= width
    assert across <= GRID_X
    assert along <= GRID_YZ


@pytest.mark.parametrize("shape", [(1, 1, 1), (3000, 1500, 1500), (65535, 300, 300)])
def test_planes_are_covered(shape: tuple[int, ...]) -> None:
    grid, block = grids.over_planes(shape)
    assert all(g * b >= n for g, b, n in zip(grid, block, reversed(shape), strict=True))
    assert prod(block) <= 1024
    assert max(grid[1:]) <= GRID_YZ
