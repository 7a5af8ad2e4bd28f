"""Executors of this process: the same results in the same order, a bounded number in flight, clean ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastseg.errors import FastsegError, InputError, UsageError
from fastseg.kernels import threads as loops
from fastseg.operators.registry import registry
from fastseg.operators.run import apply
from fastseg.tiling import ArrayVolume, Engine, executors
from fastseg.tiling.executors import Serial, Threads
from fastseg.tiling.plan import PROCESS, fit
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.storage import Memory, Storage
from fastseg.types import Box
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import run_workflow
from fastseg.workflow.run_tiled import program_for, run_tiled
from tests.support import assert_identical, image, interrupts_heeded
from tests.tiling.cases import CASES
from tests.tiling.test_tiled_equals_whole import PHASES, draw_case


def slowly(number: int) -> int:
    time.sleep(0.004 * (3 - number % 4))  # later tasks are done first
    return number


# ---- one answer


def outcome(name: str, inputs: list[Any], parameters: dict[str, Any], engine: Engine) -> Any:
    try:
        return apply(registry()[name], *inputs, engine=engine, **parameters)
    except FastsegError as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    "name",
    [
        "masked_object_threshold",
        "watershed_split",
        "edge_preserving_smooth",
        "jerman_vesselness",
        "fill_holes",
    ],
)
def test_operators_give_the_same_with_any_number_of_threads(name: str) -> None:
    assert name in CASES

    @settings(max_examples=8, phases=PHASES)
    @given(st.data(), st.integers(1, 4))
    def run(data: st.DataObject, count: int) -> None:
        inputs, parameters, tile = draw_case(data, name)
        serial = outcome(name, inputs, parameters, Engine(tile=tile, executor=Serial()))
        threads = outcome(name, inputs, parameters, Engine(tile=tile, executor=Threads(count, cores=2)))
        assert_identical(threads, serial)

    run()


@pytest.mark.parametrize("name", ["tjp1", "cetn2", "npm1", "lmnb1_interphase"])
def test_workflows_give_the_same_with_any_number_of_threads(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stack = 1000 * image("blobs", (9, 30, 32), 3)
    expected = run_workflow(get_workflow(name), stack).result
    folder = tmp_path_factory.mktemp("scratch")

    @settings(max_examples=6, phases=PHASES)
    @given(
        count=st.integers(1, 4),
        tile=st.tuples(st.integers(2, 9), st.integers(9, 32), st.integers(9, 34)),
        on_disk=st.booleans(),
    )
    def run(count: int, tile: tuple[int, ...], on_disk: bool) -> None:
        storage: Storage = Scratch(folder) if on_disk else Memory()
        engine = Engine(tile, executor=Threads(count, cores=2), storage=storage)
        found = run_tiled(get_workflow(name), ArrayVolume(stack), engine).result
        assert_identical(found.read(Box.whole(stack.shape)), expected)

    run()


# ---- order, laziness, bounds


@pytest.mark.parametrize("count", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(count: int) -> None:
    executor = Threads(count)
    assert list(executor.map(slowly, range(30))) == list(range(30))
    assert list(executor.map(slowly, iter([7]))) == [7]
    assert list(executor.map(slowly, [])) == []


@pytest.mark.parametrize("count", [2, 4])
def test_few_items_are_drawn_ahead(count: int) -> None:
    lock = threading.Lock()
    running: set[int] = set()
    most: list[int] = []
    taken: list[int] = []

    def watched(number: int) -> int:
        with lock:
            running.add(number)
            most.append(len(running))
        time.sleep(0.01)
        with lock:
            running.remove(number)
        return number

    def items() -> Iterator[int]:
        for i in range(40):
            assert i - len(taken) <= count + executors._SPARE
            yield i

    for result in Threads(count).map(watched, items()):
        taken += [result]
    assert taken == list(range(40))
    assert max(most) == count


def test_tasks_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=5)

    def meet(number: int) -> int:
        if number:
            together.wait()
        return number

    assert list(Threads(3).map(meet, range(7))) == list(range(7))


def test_kernels_share_the_cores_and_numpy_errors_are_handled_as_here() -> None:
    most = loops.most()
    assert set(Threads(2, cores=2).map(lambda _: loops.count(), range(6))) == {1}
    assert set(Threads(2, cores=2 * most).map(lambda _: loops.count(), range(6))) == {most}
    with np.errstate(divide="raise"):
        assert {e["divide"] for e in Threads(2).map(lambda _: np.geterr(), range(6))} == {"raise"}


# ---- ends


def test_the_earliest_error_is_the_one_and_nothing_runs_after_it() -> None:
    ended: list[int] = []

    def fail(number: int) -> int:
        if number in (3, 4):
            time.sleep(0.05 if number == 3 else 0)
            raise InputError(f"{number} is not good")
        time.sleep(0.1)
        ended.append(number)
        return number

    results = Threads(3).map(fail, range(50))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="3 is not good"):
        next(results)
    before = list(ended)
    time.sleep(0.25)
    assert ended == before
    assert len(ended) < 10
    assert not [t for t in threading.enumerate() if t.name.startswith("fastseg")]


def test_a_caller_that_stops_cancels_the_rest() -> None:
    started: list[int] = []

    def task(number: int) -> int:
        started.append(number)
        time.sleep(0.02)
        return number

    results = Threads(2).map(task, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()  # type: ignore[attr-defined]
    count = len(started)
    assert count <= 3 + 2 + executors._SPARE
    time.sleep(0.1)
    assert len(started) == count
    assert not [t for t in threading.enumerate() if t.name.startswith("fastseg")]


INTERRUPTED = """
import sys, time
from pathlib import Path
from fastseg.tiling.executors import Threads
def task(number):
    Path(sys.argv[1], str(number)).touch()
    time.sleep(0.3)
    Path(sys.argv[1], f"{number}-done").touch()
try:
    list(Threads(2).map(task, range(100)))
except KeyboardInterrupt:
    sys.exit(77)
"""


def test_an_interrupt_ends_the_run_after_the_running_tasks(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    process = subprocess.Popen(command, preexec_fn=interrupts_heeded)
    for _ in range(600):
        if (tmp_path / "3").exists():
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    started = time.monotonic()
    assert process.wait(timeout=20) == 77
    assert time.monotonic() - started < 5
    names = {path.name for path in tmp_path.iterdir()}
    assert {n for n in names if "-" not in n} == {n.removesuffix("-done") for n in names if "-" in n}
    assert len(names) < 20


def test_threads_share_what_a_process_takes() -> None:
    nodes, wanted = program_for(get_workflow("tjp1"))
    shape, budget = (512, 1024, 1024), 3 * 2**30
    alone = fit(nodes, shape, wanted, budget)
    assert fit(nodes, shape, wanted, budget, 1, 1) == alone
    assert fit(nodes, shape, wanted, budget, 4, 4) == fit(nodes, shape, wanted, budget, 4)
    threads = fit(nodes, shape, wanted, budget, 4, processes=1)
    assert alone.task_bytes > threads.task_bytes
    assert 4 * threads.task_bytes + PROCESS <= budget
    # What four processes leave for one task is too little here; what four threads leave is not.
    tight = 4 * PROCESS
    assert 4 * fit(nodes, shape, wanted, tight, 4, processes=1).task_bytes + PROCESS <= tight
    with pytest.raises(UsageError, match=r"for 4 processes is too small: one takes"):
        fit(nodes, shape, wanted, tight, 4)


@pytest.mark.parametrize("count", [0, -1])
def test_at_least_one_thread_is_needed(count: int) -> None:
    with pytest.raises(UsageError) as caught:
        Threads(count)
    assert str(caught.value) == f"{count} threads were asked for: at least 1 is needed"
