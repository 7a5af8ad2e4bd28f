"""Law 1 for whole workflows: tile by tile, over memory or scratch on disk, the masks are those of one piece."""

from __future__ import annotations

from math import prod
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from fastseg.errors import FastsegError, InputError, UsageError
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.storage import Memory
from fastseg.types import Array, Box
from fastseg.workflow.load import get_workflow, library_names
from fastseg.workflow.run import run_workflow
from fastseg.workflow.run_tiled import StageEvent, plan_workflow, run_tiled
from tests.support import assert_identical, frozen, image

MOST_TILES = {"memory": 6, "scratch": 4}
LONGEST = (6, 20, 20)


def tiled(name: str, stack: np.ndarray, tile: tuple[int, ...] | None, **options: object) -> np.ndarray:
    """The result of `run_tiled`; `storage`, `rescale` and `compat` as options."""
    storage = options.pop("storage", None)
    engine = Engine(tile, storage=storage)  # type: ignore[arg-type]
    found = run_tiled(get_workflow(name), ArrayVolume(stack), engine, **options).result  # type: ignore[arg-type]
    return np.ascontiguousarray(found.read(Box.whole(found.shape)))


def whole(name: str, stack: np.ndarray, **options: object) -> Array:
    return run_workflow(get_workflow(name), stack, **options).result  # type: ignore[arg-type]


def drawn(name: str, most: int, number: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """A stack and a tile: one axis may be cut into single voxels, and tiles need not divide the shape."""
    rng = np.random.default_rng([crc32(name.encode()), most, number])
    shape = tuple(int(rng.integers(5, n + 1)) for n in LONGEST)
    tile = [int(rng.integers(1, n + 2)) for n in shape]
    if number % 2:
        tile[int(rng.integers(3))] = 1
    thin = tile.index(1) if number % 2 else -1
    while prod(-(-n // t) for n, t in zip(shape, tile, strict=True)) > most:
        axes = [a for a in range(3) if a != thin and tile[a] < shape[a]]
        if not axes:  # single voxels along a long axis alone are too many
            shape = tuple(min(n, most) if a == thin else n for a, n in enumerate(shape))
            break
        tile[max(axes, key=lambda a: shape[a] / tile[a])] += 1
    kind = ("blobs", "noise", "ties")[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
    return frozen(np.float32(1000) * image(kind, shape, number)), tuple(tile)


@pytest.mark.parametrize("name", library_names())
@pytest.mark.parametrize("number", range(2))
def test_tiles_in_memory_do_not_matter(name: str, number: int) -> None:
    stack, tile = drawn(name, MOST_TILES["memory"], number)
    options = {"rescale": (None, 0.7 + crc32(name.encode()) % 2 * 0.6)[number], "compat": number == 1}
    assert_identical(tiled(name, stack, tile, storage=Memory(), **options), whole(name, stack, **options))


@pytest.mark.parametrize("name", library_names())
def test_tiles_on_disk_do_not_matter(name: str, tmp_path: Path) -> None:
    stack, tile = drawn(name, MOST_TILES["scratch"], 3)
    with Scratch(tmp_path) as scratch:
        assert_identical(tiled(name, stack, tile, storage=scratch), whole(name, stack))
        assert len(list(scratch.folder.glob("*.zarr"))) == 1  # the result alone
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["tjp1", "son", "lmnb1_mitotic", "st6gal1", "cetn2", "ubtf"])
def test_objects_that_cross_many_tiles(name: str) -> None:
    stack = image("blobs", (10, 34, 36), 4)
    stack[4:8, ::6] += 1  # bars along x, joined at alternating ends
    stack[4:8, :, 2:5] += 1
    stack *= 1000
    expected = whole(name, stack)
    assert 0 < np.count_nonzero(expected) < expected.size
    assert_identical(tiled(name, stack, (5, 12, 13)), expected)


@pytest.mark.parametrize("name", library_names())
@pytest.mark.parametrize("tile", [None, (3, 5, 8)])
def test_what_cannot_be_segmented_gives_the_same_error(name: str, tile: tuple[int, ...] | None) -> None:
    good = image("blobs", (6, 9, 8), 0)
    holes = good.copy()
    holes[1, 2, 3] = holes[5, 8, 7] = np.nan
    holes[0, 0, 0] = -np.inf
    infinite = good.copy()
    infinite[5, 0, 7] = np.inf
    for bad in (holes, infinite, np.full_like(good, 7.5), np.zeros_like(good)):
        with pytest.raises(InputError) as expected:
            whole(name, bad)
        with pytest.raises(InputError) as caught:
            tiled(name, bad, tile)
        assert type(caught.value) is type(expected.value)
        assert str(caught.value) == str(expected.value)


def outcome(run: object, *arguments: object, **options: object) -> object:
    try:
        return run(*arguments, **options)  # type: ignore[operator]
    except FastsegError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("name", library_names())
@pytest.mark.parametrize("shape", [(1, 9, 8), (2, 1, 3)])
def test_thin_stacks_give_the_same_result_or_error(name: str, shape: tuple[int, ...]) -> None:
    stack = 1000 * image("noise", shape, 0)
    expected = outcome(whole, name, stack)
    found = outcome(tiled, name, stack, (1, 5, 4))
    assert isinstance(found, str) == isinstance(expected, str)
    if isinstance(expected, str):
        assert found == expected
    else:
        assert_identical(found, expected)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 101.0, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(UsageError, match=r"rescale ratio .* must be above 0 and at most 100"):
        tiled("tjp1", image("blobs", (6, 9, 8), 0), (3, 9, 8), rescale=ratio)


def test_a_ratio_without_effect_is_noted() -> None:
    name = next(n for n in library_names() if get_workflow(n).rescale == "ignored")
    stack = image("blobs", (6, 19, 18), 0)
    found = run_tiled(get_workflow(name), ArrayVolume(stack), Engine((3, 9, 8)), rescale=0.5)
    assert found.notes == run_workflow(get_workflow(name), stack, rescale=0.5).notes
    assert len(found.notes) == 1


def test_the_result_is_written_where_it_is_wanted() -> None:
    stack = 1000 * image("blobs", (6, 19, 18), 0)
    output = ArrayVolume(np.zeros(stack.shape, np.uint8))
    found = run_tiled(get_workflow("son"), ArrayVolume(frozen(stack)), Engine((3, 9, 8)), output=output)
    assert found.result is output
    assert_identical(output.array, whole("son", stack))
    assert output.array.any()


def test_stages_are_announced_and_timed_as_planned() -> None:
    workflow = get_workflow("tjp1")
    events: list[StageEvent] = []
    stack = image("blobs", (6, 19, 18), 0)
    found = run_tiled(workflow, ArrayVolume(stack), Engine((3, 9, 8)), on_stage=events.append)
    plan = plan_workflow(workflow, (6, 19, 18), tile=(3, 9, 8))
    assert [event.number for event in events] == list(range(len(plan.stages)))
    assert {event.total for event in events} == {len(plan.stages)}
    assert [event.steps for event in events] == [stage.steps for stage in plan.stages]
    assert [steps for steps, _ in found.seconds] == [stage.steps for stage in plan.stages]
    assert all(seconds >= 0 for _, seconds in found.seconds)
