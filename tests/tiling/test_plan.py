"""The planner: tiles that fit, refusals that help, sums that add up, and memory that is not exceeded."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

from fastseg.errors import UsageError
from fastseg.tiling import ArrayVolume, Block, Engine, Labels, Local, Reduce
from fastseg.tiling.grid import Grid
from fastseg.tiling.plan import PROCESS, Plan, StagePlan, fit, make_plan, readable
from fastseg.tiling.program import Node
from fastseg.tiling.scratch import Scratch
from fastseg.workflow.load import get_workflow, library_names
from fastseg.workflow.run_tiled import StageEvent, plan_workflow, program_for, run_tiled
from tests import support

MIB, GIB = 2**20, 2**30


def _unused(*_: Any) -> Any:
    raise AssertionError("planning does not compute")


def _one_plane(params: Any) -> tuple[int, int, int]:
    return (1, 0, 0)


def _half_width(shape: tuple[int, ...], params: Any) -> tuple[int, ...]:
    return (*shape[:-1], shape[-1] // 2)


def _mask(block: Block) -> np.ndarray:
    raise AssertionError


NODES = [
    Node("a", Local(_unused, _one_plane), ("image",), None, "first"),
    Node("top", Reduce(_unused, _unused, _unused), ("a",), None, "second"),
    Node("b", Local(_unused, _one_plane), ("a", "top"), None, "third"),
    Node("l", Labels(_mask, _unused), ("b",), None, "fourth"),
    Node("half", Local(_unused, planes=True, output_shape=_half_width), ("l",), None, "fifth"),
]


def test_what_is_read_and_written_adds_up() -> None:
    plan = make_plan(NODES, (8, 6, 4), ["half"], (4, 6, 2))
    volume = 8 * 6 * 4 * 4
    grown = 10 / 8 * volume  # two layers of tiles of 4 planes, each with one plane of the other
    fused, waiting, labels, planes = plan.stages
    assert [stage.steps for stage in plan.stages] == [
        ("first", "second"),
        ("third",),
        ("fourth",),
        ("fifth",),
    ]
    assert [stage.kind for stage in plan.stages] == ["Local", "Local", "Labels", "Planes"]
    assert [stage.halo for stage in plan.stages] == [(1, 0, 0), (1, 0, 0), (0, 0, 0), (0, 0, 0)]
    assert [stage.tile for stage in plan.stages] == [(4, 6, 2)] * 3 + [(2, 6, 4)]
    assert [stage.tasks for stage in plan.stages] == [4, 4, 4, 4]
    assert [stage.passes for stage in plan.stages] == [1, 1, 2, 1]
    # the labelling reads its input twice, and writes and reads labels of the tiles
    assert [stage.read_bytes for stage in plan.stages] == [grown, grown, 3 * volume, volume]
    assert [stage.written_bytes for stage in plan.stages] == [volume, volume, 2 * volume, volume // 2]
    assert [stage.held_bytes for stage in plan.stages] == [volume, 2 * volume, 3 * volume, 1.5 * volume]
    assert plan.scratch_bytes == 3 * volume
    assert plan.task_bytes == max(stage.task_bytes for stage in (fused, waiting, labels, planes))
    assert (plan.tile, plan.shape, plan.whole) == ((4, 6, 2), (8, 6, 4), False)


def test_the_plan_of_one_tile_is_whole() -> None:
    plan = make_plan(NODES, (8, 6, 4), ["half"])
    assert plan.whole
    assert [stage.tasks for stage in plan.stages] == [1, 1, 1, 1]
    assert plan.stages[0].read_bytes == 8 * 6 * 4 * 4


def _longer(tile: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The tile twice as long along its longest axis that is not the whole volume's."""
    axes = [a for a in range(3) if tile[a] < shape[a]]
    if not axes:
        return None
    axis = max(axes, key=lambda a: tile[a])
    return tuple(min(2 * t, shape[a]) if a == axis else t for a, t in enumerate(tile))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("budget", [GIB, 3 * GIB, 12 * GIB])
@pytest.mark.parametrize("shape", [(1024, 1024, 1024), (60, 3000, 5000), (2000, 300, 300)])
@pytest.mark.parametrize("name", ["tuba1b", "tjp1", "tomm20", "st6gal1", "cetn2", "PCNA_earlyS_midS"])
def test_the_largest_tiles_that_fit(
    name: str, shape: tuple[int, int, int], budget: int, workers: int
) -> None:
    nodes, wanted = program_for(get_workflow(name))
    room = budget // workers - PROCESS
    planes = [s for s in make_plan(nodes, shape, wanted, (1, 1, 1)).stages if s.kind == "Planes"]
    if any(stage.task_bytes > room for stage in planes):
        assert all(stage.tile[0] == 1 for stage in planes)
        with pytest.raises(UsageError, match=r"\(it needs whole planes\)"):
            fit(nodes, shape, wanted, budget, workers)
        return
    plan = fit(nodes, shape, wanted, budget, workers)
    assert plan.task_bytes <= room
    longer = _longer(plan.tile, shape)
    several = (
        workers == 1 or len(Grid.over(shape, longer)) >= 4 * workers
    )  # or it is cut so that all have work
    if longer is not None and several:
        assert make_plan(nodes, shape, wanted, longer).task_bytes > room


@pytest.mark.parametrize(("side", "tasks", "tiles"), [(256, 1, 1), (256, 2, 8), (256, 8, 16), (64, 8, 1)])
def test_tiles_are_shared_out_while_they_stay_of_a_good_size(side: int, tasks: int, tiles: int) -> None:
    plan = plan_workflow(get_workflow("cetn2"), (side,) * 3, memory=64 * GIB, tasks=tasks, processes=tasks)
    assert len(Grid.over(plan.shape, plan.tile)) == tiles
    assert plan.tasks == tasks


def test_threads_become_fewer_rather_than_tiles_small() -> None:
    workflow, shape = get_workflow("cetn2"), (512, 512, 512)
    for memory, tasks in ((64 * GIB, 16), (2 * GIB, 16), (PROCESS + 400 * MIB, 4), (PROCESS + 60 * MIB, 1)):
        plan = plan_workflow(workflow, shape, memory=memory, tasks=16)
        assert plan.tasks == tasks
        assert plan.room is not None
        assert plan.task_bytes <= plan.room
        assert plan.tasks * plan.room + PROCESS <= memory


@pytest.mark.parametrize("name", library_names())
def test_every_workflow_fits_or_says_what_would_help(name: str) -> None:
    workflow = get_workflow(name)
    shape = (400, 2048, 2048)
    try:
        plan = plan_workflow(workflow, shape, memory=8 * GIB)
    except UsageError as error:
        assert name in {"lmnb1_interphase"}
        found = re.search(r"at least ([0-9.]+) GiB", str(error))
        assert found is not None
        plan = plan_workflow(workflow, shape, memory=round(float(found[1]) * GIB))
        assert plan.whole
        return
    assert plan.task_bytes <= 8 * GIB - PROCESS
    assert len(plan.stages) == len(plan_workflow(workflow, (8, 8, 8)).stages)


@pytest.mark.parametrize(
    ("name", "shape", "memory", "workers", "message"),
    [
        (
            "tuba1b",
            (64, 64, 64),
            100 * MIB,
            1,
            "a memory budget of 100.0 MiB for 1 process is too small: one takes 250.0 MiB before it has read "
            "anything",
        ),
        (
            "tuba1b",
            (64, 64, 64),
            400 * MIB,
            2,
            "a memory budget of 400.0 MiB for 2 processes is too small: one takes 250.0 MiB before it has read "
            "anything",
        ),
        (
            "lmnb1_interphase",
            (1024, 1024, 1024),
            2 * GIB,
            1,
            "step 'ws' needs 37.0 GiB a task (it needs the whole volume at once) and 1.8 GiB of the budget of 2.0 GiB "
            "are left for it: give --memory at least 37.3 GiB",
        ),
        (
            "tomm20",
            (10, 40000, 40000),
            4 * GIB,
            2,
            "step 'r' needs 29.8 GiB a task (it needs whole planes) and 1.8 GiB of the budget of 4.0 GiB are left "
            "for it: give --memory at least 60.1 GiB, or fewer workers",
        ),
        (
            "tuba1b",
            (1024, 1024, 1024),
            PROCESS + MIB,
            1,
            r"step '.*' needs .* MiB a task \(with the smallest tile \(16, 16, 16\) and a halo of \(.*\)\) and "
            r"1.0 MiB of the budget of 251.0 MiB are left for it: give --memory at least 25..* MiB",
        ),
    ],
)
def test_refusals_say_what_is_needed_and_what_would_help(
    name: str, shape: tuple[int, int, int], memory: int, workers: int, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        plan_workflow(get_workflow(name), shape, memory=memory, tasks=workers, processes=workers)
    assert str(caught.value) == message or re.fullmatch(message, str(caught.value))


def test_a_forced_tile_is_planned_as_it_is() -> None:
    plan = plan_workflow(get_workflow("tuba1b"), (64, 80, 100), tile=(10, 200, 33), memory=1)
    assert plan.tile == (10, 80, 33)


def test_bytes_are_readable() -> None:
    assert [readable(n) for n in (0, 1023, 1024, 1536 * MIB, 3000 * 1024 * GIB)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 GiB",
        "3000.0 TiB",
    ]
    assert (readable(1.01 * GIB), readable(1.01 * GIB, up=True)) == ("1.0 GiB", "1.1 GiB")


# ---- predicted and measured


class Watching:
    """Runs one task after another and notes the largest peak of the memory that one takes."""

    peak = 0

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            result = task(item)
            self.peak = max(self.peak, tracemalloc.get_traced_memory()[1] - before)
            yield result


@pytest.fixture(scope="module")
def alone() -> Iterator[ProcessPoolExecutor]:
    """A process without what tests before left behind: their threads and garbage would be measured, too."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process


def measure(name: str, image: np.ndarray, tile: tuple[int, int, int], ratio: float | None) -> list[int]:
    """Peak of the largest task of every stage, over scratch on disk."""
    workflow = get_workflow(name)
    watching = Watching()
    found: list[int] = []
    before = 0

    def finish() -> None:  # a whole volume is not a task: it is seen by what the stage takes
        found.append(max(watching.peak, 0 if watching.peak else tracemalloc.get_traced_memory()[1] - before))

    def on_stage(event: StageEvent) -> None:
        nonlocal before
        if event.number:
            finish()
        watching.peak = 0
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()

    small = ArrayVolume(image[:8, :40, :40].copy())
    with Scratch() as scratch:  # imports and compiled code are the process's, not a task's
        run_tiled(workflow, small, Engine((8, 20, 20), storage=scratch), rescale=ratio)
    with Scratch() as scratch:
        tracemalloc.start()
        try:
            engine = Engine(tile, executor=watching, storage=scratch)
            run_tiled(workflow, ArrayVolume(image), engine, rescale=ratio, on_stage=on_stage)
            finish()
        finally:
            tracemalloc.stop()
    return found


@pytest.mark.parametrize(
    ("name", "shape", "tile", "ratio"),
    [
        ("tjp1", (48, 192, 192), (24, 64, 64), None),  # slice-wise spots, components
        ("tjp1", (48, 192, 192), (7, 192, 50), 0.7),  # rescaling, sides that chunks do not divide
        ("tjp1", (32, 160, 160), (32, 160, 160), None),  # one tile
        ("tomm20", (48, 192, 192), (24, 64, 64), None),  # filaments of planes
        ("lmnb1_mitotic", (48, 192, 192), (24, 96, 96), None),  # holes
        ("lmnb1_interphase", (48, 192, 192), (24, 64, 64), None),  # a watershed of the whole volume
        ("ubtf", (24, 192, 192), (24, 96, 96), None),  # a threshold for every object
        ("atp2a2", (24, 128, 128), (24, 64, 64), None),  # diffusion
        ("st6gal1", (24, 192, 192), (24, 96, 96), None),  # thinning
        ("dsp", (24, 96, 96), (24, 48, 48), None),  # object by object
        ("actb", (24, 128, 128), (24, 64, 64), None),  # filaments in 3-D
    ],
)
def test_tasks_take_no_more_than_predicted_and_not_much_less(
    name: str,
    shape: tuple[int, int, int],
    tile: tuple[int, int, int],
    ratio: float | None,
    alone: ProcessPoolExecutor,
) -> None:
    image = 1000 * support.image("blobs", shape, 1)
    plan: Plan = plan_workflow(get_workflow(name), shape, tile=tile, rescale=ratio)
    measured = alone.submit(measure, name, image, tile, ratio).result()
    assert len(measured) == len(plan.stages)
    too_low: list[tuple[StagePlan, int]] = [
        (stage, peak)
        for stage, peak in zip(plan.stages, measured, strict=True)
        if peak > 1.2 * stage.task_bytes
    ]
    assert too_low == []
    assert plan.task_bytes <= 4 * max(measured)
