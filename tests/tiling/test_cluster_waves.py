"""How tasks are sent: few messages in flight, short tasks together, and remainders in their turn."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastseg.errors import InputError
from fastseg.tiling import waves
from fastseg.tiling.waves import WAVE, ClusterExecutor


class Watched:
    """A client that counts messages whose results were not taken yet, and runs them when it is asked to.

    Parameters
    ----------
    threads : list of int
        Of every worker.
    seconds : float
        What a task seems to take.
    done : int or None
        How many tasks of a message a worker does before it sends back what it has.
    """

    status = "running"

    def __init__(self, threads: list[int], seconds: float = 1.0, done: int | None = None) -> None:
        self.threads, self.seconds, self.done = threads, seconds, done
        self.flying = self.most = self.cancelled = 0
        self.order: list[str] = []
        self.sizes: list[int] = []

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        return {"workers": {str(i): {"nthreads": n} for i, n in enumerate(self.threads)}}

    def submit(self, function: Any, *arguments: Any, **options: Any) -> Any:
        given = [a.value if isinstance(a, Future) else a for a in arguments]
        if function is not waves._call:
            return Future(function(*given), None)
        items = pickle.loads(given[1])
        self.flying += 1
        self.most = max(self.most, self.flying)
        self.order.append("sent")
        self.sizes.append(len(items))
        _, results = function(given[0], pickle.dumps(items[: self.done]), 1e9)
        return Future((self.seconds * len(results), results), self)

    def cancel(self, futures: list[Any]) -> None:
        self.cancelled += len(futures)


class Future:
    def __init__(self, value: Any, watched: Watched | None) -> None:
        self.value, self.watched = value, watched

    def result(self, timeout: float | None = None) -> Any:
        assert self.watched is not None
        self.watched.flying -= 1
        self.watched.order.append("taken")
        return self.value

    def done(self) -> bool:
        return True

    def exception(self) -> None:
        pass


def twice(number: int) -> int:
    return 2 * number


def not_seven(number: int) -> int:
    if number == 7:
        raise InputError("seven")
    return number


@pytest.mark.parametrize("threads", [[1], [1, 1], [1] * 5, [4, 2]])
@pytest.mark.parametrize("seconds", [1.0, 0.04, 1e-6])
def test_few_messages_are_in_flight(threads: list[int], seconds: float) -> None:
    client = Watched(threads, seconds)
    room = WAVE * sum(threads)
    longest = min(waves._MOST, max(1, int(0.1 / seconds)))
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(300):  # items are drawn as they are sent, not all at once
            assert i - len(taken) <= room * longest
            yield i

    for result in ClusterExecutor(client).map(twice, items()):
        taken += [result]
    assert taken == [2 * i for i in range(300)]
    assert client.most <= room
    assert client.most == room or seconds < 0.01  # then there are too few messages to fill the wave
    assert client.sizes[0] == 1
    assert max(client.sizes) <= longest


def test_short_tasks_are_sent_together_up_to_the_most_allowed() -> None:
    for most, sizes in ((256, {1, 2, 4, 8, 16, 32, 64}), (5, {1, 2, 4, 5}), (1, {1})):
        client = Watched([1], 1e-6)
        found = list(ClusterExecutor(client, most).map(twice, range(most * 100 if most < 256 else 400)))
        assert found[-1] == 2 * (len(found) - 1)
        assert sizes <= set(client.sizes)
        assert max(client.sizes) <= most


@settings(max_examples=150)
@given(
    count=st.integers(0, 400),
    threads=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    done=st.integers(1, 6),
    seconds=st.sampled_from([1e-6, 0.03, 2.0]),
)
def test_what_a_worker_sends_back_undone_is_dealt_out_anew(
    count: int, threads: list[int], done: int, seconds: float
) -> None:
    client = Watched(threads, seconds, done)
    assert list(ClusterExecutor(client).map(twice, range(count))) == [2 * i for i in range(count)]
    assert client.flying == 0
    assert client.most <= 2 * WAVE * sum(threads)


def test_tasks_in_flight_are_cancelled_when_the_caller_stops() -> None:
    client = Watched([1, 1])
    results = ClusterExecutor(client).map(twice, range(50))
    assert [next(results) for _ in range(3)] == [0, 2, 4]
    results.close()  # type: ignore[attr-defined]
    assert client.cancelled == 1 + client.flying == 1 + WAVE * 2 - 1


def test_a_worker_stops_when_it_has_worked_long_enough() -> None:
    packed = pickle.dumps(list(range(5)))
    assert waves._call(twice, packed, 1e9)[1] == [0, 2, 4, 6, 8]
    assert waves._call(twice, packed, -1.0)[1] == [0]  # always one, or nothing would ever be done


def test_threads_of_workers_are_counted() -> None:
    executor = ClusterExecutor(Watched([4, 1, 2]))
    assert (executor.workers(), executor.tasks()) == (3, 7)


def test_an_error_in_the_middle_of_a_message_reaches_the_caller() -> None:
    with pytest.raises(InputError, match="seven"):
        list(ClusterExecutor(Watched([1], 1e-6)).map(not_seven, range(100)))
