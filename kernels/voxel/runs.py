"""Runs, stretches of voxels along x, looked up in a row.

``rows[row]`` is the first run of a row, and run k lies at ``edges[2 k]`` to ``edges[2 k + 1]``, the latter left out.
"""

from numba import njit


@njit(forceinline=True)
def run_at(rows, edges, row, x):
    """The run of a row that holds x, by bisection; -1 if none does."""
    low, high = rows[row], rows[row + 1]
    while low < high:
        middle = (low + high) >> 1
        if edges[2 * middle] <= x:
            low = middle + 1
        else:
            high = middle
    if low == rows[row] or x >= edges[2 * low - 1]:
        return -1
    return low - 1
