"""Executors on Dask: the same answer as in one process, also when workers die, and errors that arrive as they are."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed", reason="workers need dask and distributed")

import fastseg
from fastseg.errors import FastsegError, InputError, UsageError, WriteError
from fastseg.tiling import ArrayVolume, Engine, cluster, cluster_checks
from fastseg.tiling.cluster import ClusterExecutor, existing_cluster, local_workers
from fastseg.tiling.scratch import Scratch
from fastseg.tiling.storage import Memory
from fastseg.types import Box
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import run_workflow
from fastseg.workflow.run_tiled import run_tiled
from tests.support import assert_identical, image

WORKERS = 2


@pytest.fixture(scope="module")
def executor() -> Iterator[ClusterExecutor]:
    with local_workers(WORKERS, cores=2) as found:
        yield found


def twice(number: int) -> int:
    return 2 * number


def slowly(number: int) -> int:
    time.sleep(0.01 * (number % 4))  # later tasks are done first
    return number


def nap(number: int) -> int:
    time.sleep(0.11)
    return number


def who(_: int) -> tuple[int, dict[str, str | None]]:
    time.sleep(0.05)
    names = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return os.getpid(), {name: os.environ.get(name) for name in names}


def numba_threads(_: int) -> int:
    import numba

    return int(numba.config.NUMBA_NUM_THREADS)


def refuse(folder: Path, number: int) -> int:
    (folder / f"{number}-{time.monotonic_ns()}").touch()
    if number == 2:
        raise InputError("the second is not good")
    return number


def disk_full(number: int) -> int:
    raise WriteError("no space left")


def die_once(folder: Path, number: int) -> int:
    """Kills its own worker the first time that it is called with 5."""
    if number == 5:
        try:
            (folder / "died").touch(exist_ok=False)
        except FileExistsError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def linger(folder: Path, number: int) -> None:
    if number == 1:
        raise InputError("stop")
    time.sleep(0.3)
    (folder / str(number)).touch()


# ---- the same answer


@pytest.mark.parametrize("name", ["tjp1", "cetn2", "lmnb1_interphase", "lmnb1_mitotic"])
def test_masks_are_those_of_one_process(name: str, executor: ClusterExecutor, tmp_path: Path) -> None:
    stack = 1000 * image("blobs", (9, 34, 40), 3)
    expected = run_workflow(get_workflow(name), stack, compat=True).result
    with Scratch(tmp_path) as scratch:
        engine = Engine((5, 18, 23), executor=executor, storage=scratch)
        found = run_tiled(get_workflow(name), ArrayVolume(stack), engine, compat=True).result
        assert_identical(found.read(Box.whole(stack.shape)), expected)


def test_results_come_in_the_order_of_the_items(executor: ClusterExecutor) -> None:
    assert list(executor.map(slowly, range(30))) == list(range(30))
    assert list(executor.map(twice, iter([7]))) == [14]
    assert list(executor.map(twice, [])) == []


def test_items_and_results_may_be_large_and_are_not_changed(executor: ClusterExecutor) -> None:
    large = np.random.default_rng(0).integers(0, 255, 12 * 2**20, dtype=np.uint8)  # Dask warns about 10 MiB
    for found in executor.map(partial(np.add, large[:5]), [large[:5], (1, 2, 3, 4, 5), large[5:10]]):
        assert found.shape == (5,)
    (same,) = executor.map(np.ascontiguousarray, [large])
    np.testing.assert_array_equal(same, large)
    (text,) = executor.map(str, [("a", Box((0,), (2,)))])
    assert text == str(("a", Box((0,), (2,))))


# ---- many short tasks


def test_short_tasks_travel_together_and_long_ones_alone(executor: ClusterExecutor) -> None:
    sent: list[int] = []
    submitted = executor._submit

    def counted(*arguments: Any) -> Any:
        sent.append(1)
        return submitted(*arguments)

    executor._submit = counted  # type: ignore[method-assign, assignment]
    try:
        assert list(executor.map(twice, range(2000))) == [2 * n for n in range(2000)]
        assert len(sent) < 100
        sent.clear()
        assert [n for n, _ in zip(executor.map(nap, range(8)), range(8), strict=True)] == list(range(8))
        assert len(sent) == 1 + 8
    finally:
        executor._submit = submitted  # type: ignore[method-assign]


def test_volumes_in_the_memory_of_this_process_are_refused(executor: ClusterExecutor) -> None:
    with pytest.raises(UsageError) as caught:
        Engine((3, 20, 9), executor=executor, storage=Memory())
    assert str(caught.value).partition(":")[0] == (
        "a volume in the memory of this process cannot be written by workers"
    )


# ---- workers that die


def test_a_task_that_loses_its_worker_runs_again(tmp_path: Path) -> None:
    with local_workers(WORKERS, cores=2) as executor:
        assert list(executor.map(partial(die_once, tmp_path), range(20))) == list(range(20))
        assert (tmp_path / "died").exists()


def test_masks_are_the_same_when_a_worker_is_killed(tmp_path: Path) -> None:
    stack = 1000 * image("blobs", (9, 34, 40), 3)
    expected = run_workflow(get_workflow("tjp1"), stack).result
    killed: list[int] = []
    with local_workers(WORKERS, cores=2) as executor, Scratch(tmp_path) as scratch:
        executor.most = 1  # enough messages to die between two of them
        workers = sorted({pid for pid, _ in executor.map(who, range(12))})
        assert len(workers) == WORKERS
        submitted = executor._submit

        def kill_in_the_middle(*arguments: Any) -> Any:
            found = submitted(*arguments)
            sent.append(1)
            if (
                len(sent) in (20, 45) and len(killed) < WORKERS
            ):  # each that was there at the start, one by one
                pid = workers[len(killed)]
                killed.append(pid)
                threading.Thread(target=os.kill, args=(pid, signal.SIGKILL)).start()
            return found

        sent: list[int] = []
        executor._submit = kill_in_the_middle  # type: ignore[method-assign, assignment]
        engine = Engine((3, 12, 14), executor=executor, storage=scratch)
        found = run_tiled(get_workflow("tjp1"), ArrayVolume(stack), engine).result
        assert_identical(found.read(Box.whole(stack.shape)), expected)
        assert killed == workers
        executor._submit = submitted  # type: ignore[method-assign]
        assert not {pid for pid, _ in executor.map(who, range(12))} & set(killed)


def test_a_task_that_kills_every_worker_is_given_up_in_one_sentence() -> None:
    with local_workers(1, cores=2) as executor, pytest.raises(FastsegError) as caught:
        list(executor.map(die, range(3)))
    # a worker that dies at once may take along the nanny that would have started another one
    assert str(caught.value) in {
        f"{what}; workers that run out of memory are killed, so give smaller tiles or fewer workers"
        for what in (
            "a task was given up after 4 workers were lost while they ran it",
            "all workers were lost, and none took their place",
        )
    }


def test_a_cluster_without_workers_is_given_up() -> None:
    with local_workers(1, cores=2) as executor:
        executor.client.cluster.scale(0)
        executor.client.sync(executor.client.cluster._correct_state)
        with pytest.raises(FastsegError, match="all workers were lost, and none took their place"):
            list(executor.map(twice, range(3)))


# ---- errors


def test_an_error_reaches_the_caller_as_it_is_and_is_not_tried_again(
    executor: ClusterExecutor, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        list(executor.map(partial(refuse, tmp_path), range(9)))
    assert str(caught.value) == "the second is not good"
    assert len(list(tmp_path.glob("2-*"))) == 1
    with pytest.raises(WriteError, match="no space left"):
        list(executor.map(disk_full, range(3)))
    assert list(executor.map(twice, range(3))) == [0, 2, 4]


def test_an_error_of_a_step_is_that_of_one_process(executor: ClusterExecutor, tmp_path: Path) -> None:
    stack = image("blobs", (6, 20, 20), 0) + 30000
    errors = []
    for engine in (Engine((3, 20, 9)), Engine((3, 20, 9), executor=executor, storage=Scratch(tmp_path))):
        with pytest.raises(InputError) as caught:
            run_tiled(get_workflow("cetn2"), ArrayVolume(stack), engine)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert errors[0].startswith("step 'im_norm': ")


def test_nothing_is_written_after_the_error(executor: ClusterExecutor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stop"):
        list(executor.map(partial(linger, tmp_path), range(8)))
    before = sorted(tmp_path.iterdir())
    time.sleep(0.7)
    assert sorted(tmp_path.iterdir()) == before


# ---- starting


def test_cores_are_shared_out(executor: ClusterExecutor) -> None:
    for _, environment in executor.map(who, range(4)):
        assert set(environment.values()) == {"1"}, environment
    assert set(executor.map(numba_threads, range(2))) == {1}


def test_a_single_worker_has_all_cores_and_this_process_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")  # for this process; workers have a share of their own
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with local_workers(1, cores=2) as executor:
        assert list(executor.map(numba_threads, range(1))) == [2]
        assert os.environ["NUMBA_NUM_THREADS"] == "1"
    assert dict(os.environ) == before


@pytest.mark.parametrize("count", [0, -3])
def test_at_least_one_worker_is_needed(count: int) -> None:
    with pytest.raises(UsageError) as caught, local_workers(count, cores=2):
        pass
    assert str(caught.value) == f"{count} workers were asked for: at least 1 is needed"


def test_dask_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    for start in (partial(local_workers, 2, 2), partial(existing_cluster, "tcp://127.0.0.1:8786")):
        with (
            pytest.raises(UsageError, match=r"^workers need Dask, which is not installed: pip install"),
            start(),
        ):
            pass


def test_an_existing_cluster_is_used(executor: ClusterExecutor) -> None:
    with existing_cluster(executor.client.scheduler.address) as other:
        assert list(other.map(twice, range(5))) == [0, 2, 4, 6, 8]
    assert list(executor.map(twice, range(2))) == [0, 2]


def test_a_scheduler_that_takes_the_call_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(UsageError) as caught, existing_cluster(address):
            pass
        assert time.monotonic() - started < 3  # the scheduler has 8 s of the 10 that a user is made to wait
    assert str(caught.value).startswith(f"scheduler {address} cannot be reached: ")


def test_a_scheduler_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    for given in (address, "nonsense", "tcp://nowhere.invalid:8786"):
        with pytest.raises(UsageError) as caught, existing_cluster(given):
            pass
        assert str(caught.value).startswith(f"scheduler {given} cannot be reached: ")
        assert "\n" not in str(caught.value)
        assert ". " not in str(caught.value)


def test_a_cluster_of_another_version_is_refused_when_it_is_joined(
    executor: ClusterExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_checks, "__version__", "99.0")
    joined = existing_cluster(executor.client.scheduler.address)
    with (
        pytest.raises(UsageError, match=f"runs fastseg {fastseg.__version__}, this is 99.0: install"),
        joined,
    ):
        pass


def _interrupt_is_ignored(_: object) -> bool:
    import signal

    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_workers_leave_an_interrupt_to_the_process_that_started_them() -> None:
    import signal

    before = signal.getsignal(signal.SIGINT)
    with local_workers(1, 1) as executor:
        assert list(executor.map(_interrupt_is_ignored, [0])) == [True]
        assert signal.getsignal(signal.SIGINT) is before
