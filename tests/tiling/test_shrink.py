"""The next tile after one that did not fit into the memory of a GPU."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.arrays import Device
from fastseg.errors import GpuMemoryError
from fastseg.operators.registry import get_operator
from fastseg.operators.smoothing import GaussianParams
from fastseg.tiling.plan import half_tile
from fastseg.tiling.program import flatten
from fastseg.tiling.shrink import Descent, smaller_tile, task_bytes
from tests.gpu_double import gpu_double

_SPEC = get_operator("gaussian_smooth")
PROGRAM = flatten("out", _SPEC.rule, {"image": "image"}, GaussianParams(sigma=2.0), scratch=4.0), ["out"]
SHAPE = (40, 300, 200)
AMPLE = 1 << 50


@given(st.tuples(*(st.integers(1, 400) for _ in range(3))))
def test_tiles_become_smaller_and_come_to_an_end(tile: tuple[int, int, int]) -> None:
    before: tuple[int, ...] = tuple(map(min, tile, SHAPE))
    for _ in range(12):
        after = smaller_tile(*PROGRAM[:1], SHAPE, PROGRAM[1], before, AMPLE)
        if after is None:
            assert max(before) <= 16
            return
        assert all(a <= b for a, b in zip(after, before, strict=True))
        assert 4 * prod(after) <= prod(before) or max(after) <= 16
        before = after
    pytest.fail(f"{tile} does not come to an end")


def test_what_needs_the_whole_volume_takes_nothing_of_the_gpu() -> None:
    spec = get_operator("watershed")
    nodes = flatten("out", spec.rule, {"image": "image", "seeds": "seeds"}, spec.params(), scratch=25.0)
    assert task_bytes(nodes, SHAPE, ["out"], (16, 16, 16)) == 0


def test_it_takes_no_more_than_the_room() -> None:
    nodes, wanted = PROGRAM
    least = task_bytes(nodes, SHAPE, wanted, (16, 16, 16))
    sizes = []
    for room in (1 << 28, 1 << 23, 1 << 21):
        tile = smaller_tile(nodes, SHAPE, wanted, None, room)
        assert tile is not None
        assert task_bytes(nodes, SHAPE, wanted, tile) - least <= room
        sizes.append(prod(tile))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 4 * sizes[2]
    assert smaller_tile(nodes, SHAPE, wanted, None, 0) == (16, 16, 16)  # at least it is tried


def _candidates() -> list[tuple[int, ...]]:
    """All tiles that may follow on the whole volume, largest first."""
    sizes, size = [], half_tile(SHAPE)
    while size is not None:
        if 4 * prod(size) <= prod(SHAPE):
            sizes.append(size)
        size = half_tile(size)
    return sizes


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_largest_that_fits_is_taken(number: int) -> None:
    """What the smallest tile takes was available: room is what comes on top."""
    nodes, wanted = PROGRAM
    sizes = _candidates()
    more = task_bytes(nodes, SHAPE, wanted, sizes[number]) - task_bytes(nodes, SHAPE, wanted, sizes[-1])
    assert smaller_tile(nodes, SHAPE, wanted, None, more) == sizes[number]
    assert smaller_tile(nodes, SHAPE, wanted, None, more - 1) == sizes[number + 1]


def test_a_tile_beyond_the_volume_is_the_whole_volume() -> None:
    nodes, wanted = PROGRAM
    whole = smaller_tile(nodes, SHAPE, wanted, None, AMPLE)
    assert smaller_tile(nodes, SHAPE, wanted, (64, 5000, 5000), AMPLE) == whole


@pytest.mark.parametrize("tasks", [1, 3])
def test_tasks_share_six_tenths_of_what_is_free(tasks: int) -> None:
    nodes, wanted = PROGRAM
    sizes = _candidates()
    more = task_bytes(nodes, SHAPE, wanted, sizes[1]) - task_bytes(nodes, SHAPE, wanted, sizes[-1])
    for free, expected in ((more * tasks / 0.6 + 9, sizes[1]), (more * tasks / 0.6 - 9, sizes[2])):
        with gpu_double(int(free)):
            descent = Descent(Device("cuda"), or_cpu=False)
            assert descent.next("step 'x'", "no room.", PROGRAM, SHAPE, None, tasks) == expected


def test_no_more_than_five_sizes_are_tried() -> None:
    """However large the volume: the sixth time, there is no smaller one."""
    tile: tuple[int, ...] | None = None
    with gpu_double(AMPLE):
        descent = Descent(Device("cuda"), or_cpu=True)
        for _ in range(5):
            tile = descent.next("step 'x'", "no room.", PROGRAM, (400, 4000, 4000), tile)
            assert tile is not None
        assert prod(tile) > 4 * 16**3
        assert descent.next("step 'x'", "no room.", PROGRAM, (400, 4000, 4000), tile) is None


def test_the_cpu_comes_last_if_it_may() -> None:
    with gpu_double(1 << 24):
        descent = Descent(Device("cuda"), or_cpu=True)
        tiles: list[tuple[int, ...] | None] = [None]
        while len(tiles) < 20:
            tiles.append(descent.next("step 'x'", "no room.", PROGRAM, SHAPE, tiles[-1]))
            if tiles[-1] is None:
                break
    assert 3 <= len(tiles) <= 7
    names = [",".join(map(str, tile)) for tile in tiles if tile is not None]
    start = "step 'x' does not fit into the memory of cuda:0"
    assert descent.notes == [
        f"{start}; going on with tiles of {names[0]}",
        *(f"{start} in tiles of {a}; going on with tiles of {b}" for a, b in pairwise(names)),
        f"{start} in tiles of {names[-1]}; going on on the CPU",
    ]


def test_otherwise_one_sentence_says_what_was_needed_and_what_helps() -> None:
    with gpu_double(1 << 24):
        descent = Descent(Device("cuda"), or_cpu=False)
        with pytest.raises(GpuMemoryError) as caught:
            descent.next("step 'x'", "no room.", PROGRAM, SHAPE, (16, 16, 16))
    assert str(caught.value) == (
        "step 'x' does not fit into the memory of cuda:0 in tiles of 16,16,16: a task was planned to take 1.3 MiB and "
        "16.0 MiB of 16.0 MiB are free (no room); end other programs that use this GPU, or compute on the CPU "
        "(--device cpu; auto goes on there by itself)"
    )
    assert descent.notes == []
