"""Launch shapes."""

import numpy as np
from numba import config, cuda

_BLOCK = (32, 4, 2)


def over(shape):
    """Grid and block with one thread a voxel of (Z, Y, X), x fastest."""
    nz, ny, nx = (max(1, n) for n in shape)
    grid = (-(-nx // _BLOCK[0]), -(-ny // _BLOCK[1]), -(-nz // _BLOCK[2]))
    return grid, _BLOCK


def over_rows(count):
    """Grid and block with one thread a row."""
    return max(1, -(-int(count) // 64)), 64


def as_int64(*values):
    """Numbers as int64, so that positions past 2**31 do not wrap."""
    return tuple(np.int64(v) for v in values)


def device(function):
    """A voxel function that takes arrays, for use in a kernel.

    Numba's simulator runs kernels in Python and hands on its own array type, which compiled functions refuse.
    """
    return function.py_func if config.ENABLE_CUDASIM else function


def compiled(kernel, registers):
    """A kernel that takes no more than some registers a thread; the simulator does not know of these."""
    return cuda.jit(kernel) if config.ENABLE_CUDASIM else cuda.jit(kernel, max_registers=registers)
