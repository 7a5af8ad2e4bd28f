"""Kernels run with their threads interleaved at every access to memory, as no simulator of CUDA does.

Needs NUMBA_ENABLE_CUDASIM=1 before Numba is imported. All threads of all blocks of a launch are alive at once; at every
access to an array, whoever goes on is drawn by lot. Plain reads may be out of date: a thread may be given what it read
from a place before, as from the cache of a multiprocessor, until its block meets at a barrier; atomic operations never
are. A kernel that is right by the order in which a simulator happens to run threads is found out here.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np


class TurnThread(threading.Thread):
    """One CUDA thread; it runs while it holds the turn."""

    def __init__(
        self, run: Callable[[], None], hub: Hub, block: tuple[int, ...], place: tuple[int, ...]
    ) -> None:
        super().__init__(daemon=True)
        from numba.cuda.simulator.kernel import Dim3

        self.body, self.hub, self.block = run, hub, block
        self.blockIdx, self.threadIdx = Dim3(*block), Dim3(*place)
        self.turn = threading.Semaphore(0)
        self.seen: dict[int, Any] = {}
        self.done, self.waits, self.vote = False, False, False
        self.error: BaseException | None = None

    def run(self) -> None:
        self.turn.acquire()
        try:
            self.body()
        except BaseException as error:  # handed on by the hub
            self.error = error
        self.done = True
        self.hub.idle.release()

    def pause(self) -> None:
        self.hub.idle.release()
        self.turn.acquire()

    def syncthreads(self) -> None:
        self.waits = True
        self.pause()
        self.seen.clear()

    def syncthreads_or(self, value: Any) -> int:
        self.vote = bool(value)
        self.syncthreads()
        return int(self.hub.votes[self.block] > 0)

    def syncthreads_count(self, value: Any) -> int:
        self.vote = bool(value)
        self.syncthreads()
        return self.hub.votes[self.block]


class Hub:
    """Hands out turns."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.idle = rng, threading.Semaphore(0)
        self.votes: dict[tuple[int, ...], int] = {}

    def run(self, threads: list[TurnThread]) -> None:
        for thread in threads:
            thread.start()
        live = list(threads)
        while live:
            ready = [t for t in live if not t.waits]
            if not ready:
                self._release(live)
                continue
            thread = self.rng.choice(ready)
            thread.turn.release()
            self.idle.acquire()
            if thread.error is not None:
                raise thread.error
            if thread.done:
                live.remove(thread)
            self._release_blocks(live)

    def _release_blocks(self, live: list[TurnThread]) -> None:
        waiting = {t.block for t in live if t.waits} - {t.block for t in live if not t.waits}
        for block in waiting:
            self._release([t for t in live if t.block == block])

    def _release(self, threads: list[TurnThread]) -> None:
        for block in {t.block for t in threads}:
            own = [t for t in threads if t.block == block]
            self.votes[block] = sum(t.vote for t in own)
            for thread in own:
                thread.waits = False


class Racy:
    """An array whose every access is a turn."""

    def __init__(self, array: np.ndarray, rng: random.Random) -> None:
        self.array, self.rng = array, rng

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def size(self) -> int:
        return self.array.size

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def place_of(self, index: Any) -> int:
        """Address of an element; an index out of range is an error, also a negative one."""
        index = index if isinstance(index, tuple) else (index,)
        for i, n in zip(index, self.array.shape, strict=True):
            if not 0 <= i < n:
                raise IndexError(f"{index} of {self.array.shape}")
        steps = sum(int(i) * s for i, s in zip(index, self.array.strides, strict=True))
        return int(self.array.__array_interface__["data"][0]) + steps

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice) or (isinstance(index, tuple) and len(index) < self.array.ndim):
            return Racy(self.array[index], self.rng)
        thread: Any = threading.current_thread()
        thread.pause()
        place = self.place_of(index)
        if place not in thread.seen or self.rng.random() < 0.5:
            thread.seen[place] = self.array[index]
        return thread.seen[place]

    def __setitem__(self, index: Any, value: Any) -> None:
        thread: Any = threading.current_thread()
        thread.pause()
        self.array[index] = value
        thread.seen[self.place_of(index)] = self.array[index]


class _Atomic:
    """Atomic operations on `Racy` arrays: one turn each."""

    def _change(self, array: Racy, index: Any, change: Callable[[Any], Any]) -> Any:
        thread: Any = threading.current_thread()
        thread.pause()
        place = array.place_of(index)
        old = array.array[index]
        array.array[index] = change(old)
        thread.seen[place] = array.array[index]
        return old

    def add(self, array: Racy, index: Any, value: Any) -> Any:
        return self._change(array, index, lambda old: old + value)

    def min(self, array: Racy, index: Any, value: Any) -> Any:
        return self._change(array, index, lambda old: min(old, value))

    def max(self, array: Racy, index: Any, value: Any) -> Any:
        return self._change(array, index, lambda old: max(old, value))

    def cas(self, array: Racy, index: Any, old: Any, value: Any) -> Any:
        return self._change(array, index, lambda found: value if found == old else found)


@contextmanager
def interleaved(seed: int, *names: str) -> Iterator[None]:
    """Context in which launches of the kernels of some names are interleaved."""
    from numba.cuda.simulator import kernel
    from numba.cuda.simulator.kernelapi import FakeCUDAModule, swapped_cuda_module

    rng = random.Random(seed)
    plain = kernel.FakeCUDAKernel.__call__

    def call(self: Any, *args: Any) -> Any:
        if self._device or kernel._get_kernel_context() or self.fn.__name__ not in names:
            return plain(self, *args)
        grid, block = (tuple(n) + (1,) * (3 - len(n)) for n in (self.grid_dim, self.block_dim))
        module = FakeCUDAModule(grid, block, 0)
        module._atomic = _Atomic()
        racy = [Racy(a, rng) if isinstance(a, np.ndarray) else a for a in args]
        hub = Hub(rng)
        with kernel._push_kernel_context(module), swapped_cuda_module(self.fn, module):
            threads = [
                TurnThread(lambda: self.fn(*racy), hub, at, place)
                for at in product(*map(range, grid))
                for place in product(*map(range, block))
            ]
            hub.run(threads)
        return None

    kernel.FakeCUDAKernel.__call__ = call
    try:
        yield
    finally:
        kernel.FakeCUDAKernel.__call__ = plain
