"""Going over the rows of a box: a warp for a row, a fixed number of blocks for all of them.

What a thread finds stays in its registers, what a block finds in its shared memory; atomic operations on integers,
whose order does not matter, join the blocks.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.places import U

ACROSS, DOWN = U(32), U(8)
"""Threads of a block along a row, and rows at a time; known to the compiler."""
THREADS = 256
_BLOCKS = 2048
"""Blocks that keep the largest devices at work, eight of them on a multiprocessor."""


def over_box(start, stop):
    """Grid and block for the rows of a box, and the six numbers that kernels take for it."""
    rows = (stop[0] - start[0]) * (stop[1] - start[1])
    blocks = max(1, min(-(-rows // int(DOWN)), _BLOCKS))
    box = (*start, rows, stop[1] - start[1], stop[2])
    return (blocks, (int(ACROSS), int(DOWN))), tuple(np.int64(n) for n in box)


@cuda.jit(device=True)
def first_row():
    """The first row of a thread."""
    return U(cuda.blockIdx.x) * DOWN + U(cuda.threadIdx.y)


@cuda.jit(device=True)
def next_row(row):
    """The row after one, of the same thread."""
    return row + U(cuda.gridDim.x) * DOWN


@cuda.jit(device=True)
def number_in_block():
    """The number of a thread in its block."""
    return U(cuda.threadIdx.y) * ACROSS + U(cuda.threadIdx.x)
