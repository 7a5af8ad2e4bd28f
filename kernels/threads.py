"""The threads of the compiled loops: how many there are, and a loop's range shared out among them.

Loops are compiled for a part of their range and called by several threads without the interpreter lock. Numba's own
parallel loops would take two to five times as long to compile, end the process when two threads enter them where only
its simplest threading layer is there, and, with GCC's OpenMP, spin at their ends while other processes want the cores.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache

import numba

_SHARE = 1 << 17
"""Voxels that are worth a thread."""

_PIECES = 4
"""Pieces of a range for each thread, so that one that is held up does not hold up the rest."""

_own = threading.local()


def most():
    """Threads that there can be: ``NUMBA_NUM_THREADS``, or the cores of the affinity mask."""
    return int(numba.config.NUMBA_NUM_THREADS)


def count():
    """Threads that the loops called by this thread use."""
    return getattr(_own, "count", None) or most()


def limit(threads):
    """Let the loops that this thread calls use up to `threads` threads.

    Parameters
    ----------
    threads : int
        There are no more than `most`; at least 1 is used.

    Returns
    -------
    int
        The threads that are used.
    """
    _own.count = max(1, min(threads, most()))
    return _own.count


@contextmanager
def fitting(voxels):
    """Context in which loops use no more threads than their work is worth.

    Waking a thread and waiting for it takes tens of microseconds, and milliseconds where other processes keep the cores
    busy: more than a small array takes on one thread.

    Parameters
    ----------
    voxels : int
        That the loops go over, at a few nanoseconds each.
    """
    before = count()
    _own.count = max(1, min(before, voxels // _SHARE))
    try:
        yield
    finally:
        _own.count = before


@cache
def _pool():
    """Threads beside those that call."""
    return ThreadPoolExecutor(max(1, most() - 1), "loops")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a child


def spread(loop, size, *arguments):
    """Call a compiled loop for parts of its range on the threads of the caller.

    Parameters
    ----------
    loop : callable
        ``loop(begin, end, *arguments)``, without the interpreter lock; nothing may depend on which parts there are,
        and no two parts may write to the same place.
    size : int
        The range: 0 to `size`.
    """
    threads = min(count(), size)
    if threads <= 1:
        if size > 0:
            loop(0, size, *arguments)
        return
    step = -(-size // (threads * _PIECES))
    begins = iter(range(0, size, step))  # taken from by all threads: a step of it is atomic

    def work():
        for begin in begins:
            loop(begin, min(begin + step, size), *arguments)

    others = [_pool().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        wait(others)  # nothing is written any more once the caller goes on
    for other in others:
        other.result()
