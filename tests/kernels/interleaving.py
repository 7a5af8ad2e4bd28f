"""Threads of a simulated launch that take turns, at barriers or at every access to memory.

Only one of them runs at a time; who goes on is drawn by lot. Where turns are taken at every access, plain reads may be
out of date: a thread may be given what it read from a place before, as from the cache of a multiprocessor, until its
block meets at a barrier; atomic operations never are. A kernel that is right by the order in which a simulator happens
to run threads is found out here.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np


class TurnThread(threading.Thread):
    """Runs one simulated thread after another, each while it holds the turn."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.turn = threading.Lock()
        self.turn.acquire()
        self.turns: Turns | None = None
        self.start()

    def take(self, turns: Turns, body: Callable[[], None], block: Any, place: Any) -> None:
        """Be this simulated thread as soon as the turn comes."""
        self.turns, self.body, self.blockIdx, self.threadIdx = turns, body, block, place
        self.seen: dict[int, Any] = {}

    def run(self) -> None:
        while True:
            self.turn.acquire()
            turns = self.turns
            assert turns is not None
            error: BaseException | None = None
            try:
                self.body()
            except BaseException as found:  # handed on to who launched
                error = found
            turns.end(self, error)


class Turns:
    """Who goes on, of the threads of one launch or one block.

    Parameters
    ----------
    rng : random.Random
    cuda : object
        What the kernel knows as ``cuda``: it is told whose turn it is.
    """

    _spare: list[TurnThread] = []  # noqa: RUF012 - threads are kept for the next launch

    def __init__(self, rng: random.Random, cuda: Any) -> None:
        self.random, self.cuda = rng.random, cuda
        self.ready: list[TurnThread] = []
        self.waiting: dict[Any, list[TurnThread]] = {}
        self.live: Counter[Any] = Counter()
        self.votes: dict[Any, int] = {}
        self.given: Counter[Any] = Counter()
        self.done = threading.Lock()
        self.done.acquire()
        self.error: BaseException | None = None

    def run(self, body: Callable[[], None], places: list[tuple[Any, Any]]) -> None:
        """Run a body once for every (block, place in it).

        Raises
        ------
        BaseException
            What one of them raises; the others stay where they are.
        """
        for block, place in places:
            thread = self._spare.pop() if self._spare else TurnThread()
            thread.take(self, body, block, place)
            self.ready.append(thread)
            self.live[block] += 1
        self.waiting = {block: [] for block in self.live}
        self._next().turn.release()
        self.done.acquire()
        if self.error is not None:
            raise self.error

    def _next(self) -> TurnThread:
        thread = self.ready[int(self.random() * len(self.ready))]
        self.current = thread
        self.cuda.blockIdx, self.cuda.threadIdx = thread.blockIdx, thread.threadIdx
        return thread

    def pause(self) -> TurnThread:
        """Let others go on; gives the thread that called, when its turn has come."""
        own = self.current
        other = self._next()
        if other is not own:
            other.turn.release()
            own.turn.acquire()
        return own

    def meet(self, vote: bool) -> int:
        """Wait for the block; gives how many of it voted."""
        own = self.current
        block = own.blockIdx
        self.ready.remove(own)
        self.waiting[block].append(own)
        self.given[block] += vote
        self._release(block)
        self.pause().seen.clear()
        return self.votes[block]

    def _release(self, block: Any) -> None:
        """Let a block go on if all of it that is left has met."""
        waiting = self.waiting[block]
        if waiting and len(waiting) == self.live[block]:
            self.votes[block], self.given[block] = self.given[block], 0
            self.ready += waiting
            waiting.clear()

    def end(self, thread: TurnThread, error: BaseException | None) -> None:
        """A thread has come to its end."""
        if error is not None:
            self.error = error
            self.done.release()
            return
        self.ready.remove(thread)
        self._spare.append(thread)
        self.live[thread.blockIdx] -= 1
        self._release(thread.blockIdx)
        if self.ready:
            self._next().turn.release()
        else:
            self.done.release()


class Racy:
    """An array whose every access is a turn."""

    def __init__(self, array: np.ndarray, turns: Turns, rng: random.Random) -> None:
        self.array, self.turns, self.rng = array, turns, rng
        self.shape, self.size, self.dtype, self.ndim = array.shape, array.size, array.dtype, array.ndim
        self.start = int(array.__array_interface__["data"][0])

    def place_of(self, index: Any) -> int:
        """Address of an element; an index out of range is an error, also a negative one."""
        index = index if isinstance(index, tuple) else (index,)
        place = self.start
        for i, n, step in zip(index, self.shape, self.array.strides, strict=True):
            if not 0 <= i < n:
                raise IndexError(f"{index} of {self.shape}")
            place += int(i) * step
        return place

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) or (isinstance(index, tuple) and len(index) < self.ndim):
            return Racy(self.array[index], self.turns, self.rng)
        place = self.place_of(index)
        seen = self.turns.pause().seen
        if place not in seen or self.rng.random() < 0.5:
            seen[place] = self.array[index]
        return seen[place]

    def __setitem__(self, index: Any, value: Any) -> None:
        place = self.place_of(index)
        seen = self.turns.pause().seen
        self.array[index] = value
        seen[place] = self.array[index]

    def change(self, index: Any, changed: Callable[[Any], Any]) -> Any:
        """An atomic operation, in one turn: gives what was there."""
        place = self.place_of(index)
        seen = self.turns.pause().seen
        old = self.array[index]
        self.array[index] = changed(old)
        seen[place] = self.array[index]
        return old
