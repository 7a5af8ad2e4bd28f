"""Many images in processes: order, failures, and processes that die."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fastseg.curation.workers import Failure, Success, each_image, worker_count
from fastseg.errors import ReadError, UsageError


def task(item: int) -> int:
    if item == 3:
        raise ReadError("item 3 cannot be read")
    if item == 5:
        raise ValueError("of no\nuse")
    if item == 7:
        raise MemoryError
    if item == 9:
        os._exit(1)
    return item * item


def kind(attempt: Success[int] | Failure) -> object:
    return attempt.value if isinstance(attempt, Success) else attempt.message


WORDS = {
    3: "item 3 cannot be read",
    5: "ValueError: of no use",
    7: "there is not enough memory for this image",
    9: "its process was ended from outside, as systems do when memory runs out: try fewer --workers",
}


def test_results_come_in_order_and_failures_stay_with_their_items() -> None:
    items = range(12)
    found = list(each_image(task, items, 2))
    assert [item for item, _ in found] == list(items)
    assert [kind(attempt) for _, attempt in found] == [WORDS.get(i, i * i) for i in items]
    failures = {item: a for item, a in found if isinstance(a, Failure)}
    assert {item for item, failure in failures.items() if failure.expected} == {3, 7, 9}
    assert "ValueError" in failures[5].traceback


def test_one_worker_is_this_process() -> None:
    found = dict(each_image(lambda item: (item, os.getpid()), [1, 2], 1))
    assert found == {i: Success((i, os.getpid())) for i in (1, 2)}
    assert kind(dict(each_image(task, [3], 1))[3]) == WORDS[3]


@pytest.mark.parametrize("workers", [1, 2])
def test_items_are_drawn_as_they_are_needed(workers: int) -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for i in range(100):
            drawn.append(i)
            yield i + 10

    results = each_image(task, items(), workers)
    next(results)
    assert len(drawn) <= 2 * workers + 2
    results.close()  # type: ignore[attr-defined]


def test_workers_are_no_more_than_images() -> None:
    assert worker_count(8, 3) == 3
    assert worker_count(2, 3) == 2
    assert worker_count(None, 1) == 1
    assert worker_count(5, 0) == 1
    with pytest.raises(UsageError, match="--workers 0: at least 1 is needed"):
        worker_count(0, 3)
