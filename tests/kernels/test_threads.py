"""Ranges shared out among threads: every place once, whatever the numbers; errors and ends."""

from __future__ import annotations

import multiprocessing
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.kernels import threads


@pytest.fixture(autouse=True)
def _count_kept():  # type: ignore[no-untyped-def]
    before = threads.count()
    yield
    threads.limit(before)


@given(st.integers(0, 300), st.integers(1, 9))
def test_every_place_is_visited_once(size: int, number: int) -> None:
    threads._own.count = number  # more than there are cores, too
    visits = np.zeros(size, np.int64)

    def loop(begin: int, end: int, out: np.ndarray) -> None:
        assert begin < end
        out[begin:end] += 1

    threads.spread(loop, size, visits)
    assert (visits == 1).all()


def test_several_threads_take_part_where_they_may() -> None:
    if threads.most() < 2:
        pytest.skip("this machine has one core")
    threads.limit(2)
    together = threading.Barrier(2, timeout=20)
    first = threading.local()

    def loop(begin: int, end: int) -> None:
        if not hasattr(first, "met"):
            first.met = True
            together.wait()

    threads.spread(loop, 2)


def test_one_thread_is_the_caller() -> None:
    threads.limit(1)
    found: list[tuple[int, int, int]] = []
    threads.spread(lambda a, b: found.append((a, b, threading.get_ident())), 100)
    assert found == [(0, 100, threading.get_ident())]


@pytest.mark.parametrize("bad", [0, 7, 15])
def test_an_error_reaches_the_caller_when_all_threads_have_ended(bad: int) -> None:
    threads._own.count = 4
    running: set[int] = set()

    def loop(begin: int, end: int) -> None:
        running.add(begin)
        try:
            if begin <= bad < end:
                raise ValueError("no good")
        finally:
            running.discard(begin)

    with pytest.raises(ValueError, match="no good"):
        threads.spread(loop, 16)
    assert not running


def _total_in_child(queue: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    threads.limit(2)
    found = np.zeros(64)
    threads.spread(lambda a, b: found[a:b].fill(1), 64)
    queue.put(float(found.sum()))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    threads.limit(2)
    threads.spread(lambda a, b: None, 64)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_total_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=30) == 64
    child.join()
