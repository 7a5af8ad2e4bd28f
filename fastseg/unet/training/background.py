"""An iterator that is worked off ahead of use, on a thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class _Shelf(Generic[T]):
    """What the thread and the iterator share; the thread knows nothing else, so that a lost iterator is collected."""

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead
        self.changed = threading.Condition()
        self.ready: deque[T] = deque()
        self.error: BaseException | None = None
        self.finished = False
        self.stopped = False


class Background(Iterator[T]):
    """The items of a generator, made on a thread that keeps up to `ahead` of them ready.

    What the generator raises is raised here, after the items before it. The thread ends with the generator, with
    `close`, and when the iterator is lost.
    """

    def __init__(self, source: Generator[T, None, None], ahead: int) -> None:
        self._shelf: _Shelf[T] = _Shelf(ahead)
        self._thread = threading.Thread(
            target=_work, args=(source, self._shelf), name="fastseg-patches", daemon=True
        )
        self._thread.start()

    def __next__(self) -> T:
        shelf = self._shelf
        with shelf.changed:
            shelf.changed.wait_for(lambda: shelf.ready or shelf.finished or shelf.stopped)
            if shelf.ready and not shelf.stopped:
                item = shelf.ready.popleft()
                shelf.changed.notify_all()
                return item
            error, shelf.error = shelf.error, None
        if error is not None and not shelf.stopped:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop the thread, at the latest after the item it is making, and wait for it."""
        with self._shelf.changed:
            self._shelf.stopped = True
            self._shelf.ready.clear()
            self._shelf.changed.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __del__(self) -> None:
        if hasattr(self, "_thread"):
            self.close()


def _work(source: Generator[T, None, None], shelf: _Shelf[T]) -> None:
    try:
        while _has_room(shelf):
            item = next(source)
            with shelf.changed:
                if not shelf.stopped:
                    shelf.ready.append(item)
                shelf.changed.notify_all()
            del item  # the one that uses it decides how long it lives
    except StopIteration:
        pass
    except BaseException as error:
        shelf.error = error
    finally:
        source.close()
        with shelf.changed:
            shelf.finished = True
            shelf.changed.notify_all()


def _has_room(shelf: _Shelf[T]) -> bool:
    """Wait for room for one more; False once nobody wants more."""
    with shelf.changed:
        shelf.changed.wait_for(lambda: len(shelf.ready) < shelf.ahead or shelf.stopped)
        return not shelf.stopped
