"""How many threads the compiled loops use, and whether several threads may call them at one time."""

from contextlib import contextmanager
from functools import cache

import numba
import numpy as np
from numba import prange

from fastseg.kernels.jit import compiled

_SAFE = {"tbb", "omp"}
"""Threading layers that may be entered by several threads; "workqueue" ends the process when that happens."""

_SHARE = 1 << 17
"""Voxels that are worth a thread."""


def limit(count):
    """Let the parallel loops that this thread calls use up to `count` threads.

    Parameters
    ----------
    count : int
        Numba has no more than ``NUMBA_NUM_THREADS``, or the cores at its import; at least 1 is used.

    Returns
    -------
    int
        The threads that are used.
    """
    used = max(1, min(count, numba.config.NUMBA_NUM_THREADS))
    numba.set_num_threads(used)
    return used


@contextmanager
def fitting(voxels):
    """Context in which parallel loops use no more threads than their work is worth.

    At the end of a loop its threads wait for each other. Where other processes keep the cores busy that takes
    milliseconds, a hundred times what a small array takes on one thread.

    Parameters
    ----------
    voxels : int
        That the loops go over, at a few nanoseconds each.
    """
    before = numba.get_num_threads()
    numba.set_num_threads(max(1, min(before, voxels // _SHARE)))
    try:
        yield
    finally:
        numba.set_num_threads(before)


@compiled(parallel=True)
def _touch(values):
    for i in prange(values.size):
        values[i] = i


@cache
def layer():
    """Name of the threading layer, which Numba chooses when it runs its first parallel loop."""
    _touch(np.empty(2, np.int64))
    return numba.threading_layer()


def may_overlap():
    """Whether parallel loops may be called by several threads at one time."""
    return layer() in _SAFE
