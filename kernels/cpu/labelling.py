"""Connected components of a mask as runs: stretches of voxels along x, joined by union-find, in parallel.

A row of the mask is cut into runs once, and everything after that handles runs instead of voxels: components are found
by joining runs of neighbouring rows that touch, their sizes are sums of lengths, and results are painted back run by
run (`runs`). Rows are shared out in slabs; the joins between slabs follow in rounds of pairs. The root of a component
is always its first run in scan order, so neither the numbers nor anything else depends on the slabs.

He, Chao, Suzuki, IEEE Trans. Image Process. 17(5), 2008 describe labelling by runs.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels import threads
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import fitting, spread

__all__ = ["find_runs"]

_WORD = 8
_BYTES = np.uint64(0x0101010101010101)
_TOP = np.uint64(56)
_EMPTY = np.uint64(0)
_WORK_OF_RUN = 16
"""A run costs about as much as this many voxels."""


def _buffers(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Zeros for the marks of a row, one for each task, as bytes and as words: compiled code makes a view slowly."""
    marks = np.zeros((count, (width // _WORD + 1) * _WORD), np.uint8)
    return marks, marks.view(np.uint64)


@inner
def _mark(row: np.ndarray, inside: bool, marks: np.ndarray) -> None:
    """Write 1 where a run begins, and where the first voxel after it lies."""
    width = row.shape[0]
    marks[0] = (row[0] != 0) == inside
    for x in range(1, width):
        marks[x] = (row[x] != 0) != (row[x - 1] != 0)
    marks[width] = (row[width - 1] != 0) == inside


@compiled
def _count(
    begin: int,
    end: int,
    mask: np.ndarray,
    inside: bool,
    buffers: np.ndarray,
    buffer_words: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Write the number of runs of row k to ``rows[k + 1]``."""
    height = mask.shape[1]
    for z in range(begin, end):
        marks, words = buffers[z], buffer_words[z]
        for y in range(height):
            _mark(mask[z, y], inside, marks)
            total = 0
            for k in range(words.shape[0]):
                total += int((words[k] * _BYTES) >> _TOP)  # the sum of the bytes
            rows[z * height + y + 1] = total // 2


@inner
def _positions(marks: np.ndarray, words: np.ndarray, found: np.ndarray) -> int:
    """Write where the marks are; gives how many."""
    n = 0
    for k in range(words.shape[0]):
        if words[k] != _EMPTY:
            for x in range(_WORD * k, _WORD * k + _WORD):
                found[n] = x  # no branch: overwritten by the next unless there is a mark
                n += int(marks[x])
    return n


@inner
def _root(parent: np.ndarray, run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@inner
def _unite(parent: np.ndarray, a: int, b: int) -> int:
    """Join the components of two runs; gives how many were joined, 0 or 1. The earlier root stays one."""
    if parent[a] == parent[b]:
        return 0
    a, b = _root(parent, a), _root(parent, b)
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b
    return 1 if a != b else 0


@inner
def _join_rows(
    upper: int, lower: int, reach: int, rows: np.ndarray, edges: np.ndarray, parent: np.ndarray
) -> int:
    """Join the runs of two rows that share an x, with a `reach` of 1 also those that meet at a corner."""
    a, a_end = rows[upper], rows[upper + 1]
    b, b_end = rows[lower], rows[lower + 1]
    joined = 0
    while a < a_end and b < b_end:
        if edges[2 * a] < edges[2 * b + 1] + reach and edges[2 * b] < edges[2 * a + 1] + reach:
            joined += _unite(parent, a, b)
        if edges[2 * a + 1] < edges[2 * b + 1]:
            a += 1
        else:
            b += 1
    return joined


@inner
def _join(
    row: int,
    low: int,
    high: int,
    height: int,
    connectivity: int,
    planar: bool,
    rows: np.ndarray,
    edges: np.ndarray,
    parent: np.ndarray,
) -> int:
    """Join a row with those of its earlier neighbours that are at least `low` and below `high`."""
    y = row % height
    above = row - height
    reach = 1 if connectivity > 1 else 0
    joined = 0
    if y > 0 and low <= row - 1 < high:
        joined += _join_rows(row - 1, row, reach, rows, edges, parent)
    if planar:
        return joined
    if low <= above < high:
        joined += _join_rows(above, row, reach, rows, edges, parent)
    if connectivity > 1:
        reach = 1 if connectivity > 2 else 0
        if y > 0 and low <= above - 1 < high:
            joined += _join_rows(above - 1, row, reach, rows, edges, parent)
        if y < height - 1 and low <= above + 1 < high:
            joined += _join_rows(above + 1, row, reach, rows, edges, parent)
    return joined


@compiled
def _link_within(
    begin: int,
    end: int,
    mask: np.ndarray,
    inside: bool,
    connectivity: int,
    planar: bool,
    buffers: np.ndarray,
    buffer_words: np.ndarray,
    rows: np.ndarray,
    cuts: np.ndarray,
    edges: np.ndarray,
    parent: np.ndarray,
    joined: np.ndarray,
) -> None:
    """Fill in the runs of some slabs and join those that touch. `cuts` are the first rows of the slabs."""
    _, height, width = mask.shape
    for slab in range(begin, end):
        marks, words = buffers[slab], buffer_words[slab]
        found = np.empty(width + 1 + _WORD, np.int32)
        total = 0
        for row in range(cuts[slab], cuts[slab + 1]):
            _mark(mask[row // height, row % height], inside, marks)
            count = _positions(marks, words, found)
            first = rows[row]
            for k in range(count):
                edges[2 * first + k] = found[k]
            for run in range(first, rows[row + 1]):
                parent[run] = run
            total += _join(row, cuts[slab], row, height, connectivity, planar, rows, edges, parent)
        joined[slab] += total


@compiled
def _link_between(
    begin: int,
    end: int,
    step: int,
    height: int,
    connectivity: int,
    planar: bool,
    rows: np.ndarray,
    cuts: np.ndarray,
    edges: np.ndarray,
    parent: np.ndarray,
    joined: np.ndarray,
) -> None:
    """Join pairs of groups of `step` slabs: the runs on both sides of where they meet."""
    slabs = cuts.shape[0] - 1
    for k in range(begin, end):
        slab = (2 * k + 1) * step  # the slabs from here on meet the as many before it
        low, high = cuts[slab - step], cuts[slab]
        last = min(high + height + 1, cuts[min(slab + step, slabs)])
        for row in range(high, last):
            joined[slab] += _join(row, low, high, height, connectivity, planar, rows, edges, parent)


def _link(
    mask: np.ndarray,
    inside: bool,
    connectivity: int,
    planar: bool,
    rows: np.ndarray,
    cuts: np.ndarray,
    edges: np.ndarray,
    parent: np.ndarray,
) -> int:
    """Fill in the runs and join those that touch; gives the number of joins."""
    slabs = len(cuts) - 1
    joined = np.zeros(slabs, np.int64)
    how = connectivity, planar
    target = rows, cuts, edges, parent, joined
    spread(_link_within, slabs, mask, inside, *how, *_buffers(slabs, mask.shape[2]), *target)
    step = 1
    while step < slabs:
        spread(_link_between, (slabs + step - 1) // (2 * step), step, mask.shape[1], *how, *target)
        step *= 2
    return int(joined.sum())


@compiled
def _number(
    rows: np.ndarray,
    edges: np.ndarray,
    parent: np.ndarray,
    width: int,
    sizes: np.ndarray,
    first: np.ndarray,
) -> None:
    """Turn parents into numbers of components, and fill in their sizes and first voxels."""
    count = 0
    for row in range(rows.shape[0] - 1):
        for run in range(rows[row], rows[row + 1]):
            before = parent[run]
            if before == run:
                first[count] = row * width + edges[2 * run]
                count += 1
                parent[run] = count
            else:
                parent[run] = parent[before]  # an earlier run: its number is known
            sizes[parent[run]] += edges[2 * run + 1] - edges[2 * run]


def find_runs(
    mask: np.ndarray, inside: bool, connectivity: int, planar: bool, slabs: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut a mask into runs along x and number the components they belong to, in scan order of the first voxel.

    Parameters
    ----------
    mask : ndarray of uint8, shape (Z, Y, X), C-contiguous, not empty
        Zero or not.
    inside : bool
        Components of the voxels that are not zero; otherwise of those that are.
    connectivity : int
        1 for faces, 2 for edges, 3 for corners.
    planar : bool
        Components within each plane only.
    slabs : int
        Parts that the rows are shared out in, at most; as many as there are threads by default.

    Returns
    -------
    rows : ndarray of int64, shape (Z Y + 1,)
        First run of every row, and their number.
    edges : ndarray of int32, shape (2 runs,)
        The first x of every run and the first one behind it.
    ids : ndarray of int32 or int64, shape (runs,)
        Component of every run, from 1.
    sizes : ndarray of int64, shape (count + 1,)
        Voxels of every component; those of none come first.
    first : ndarray of int64, shape (count,)
        Flat position of the first voxel of every component.
    """
    with fitting(mask.size):
        return _find_runs(mask, inside, connectivity, planar, slabs or threads.count())


def _find_runs(
    mask: np.ndarray, inside: bool, connectivity: int, planar: bool, slabs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    depth, height, width = mask.shape
    rows = np.zeros(depth * height + 1, np.int64)
    spread(_count, depth, mask, inside, *_buffers(depth, width), rows)
    np.cumsum(rows, out=rows)
    runs = int(rows[-1])
    work = rows * _WORK_OF_RUN + np.arange(rows.size) * width
    slabs = min(slabs, depth * height)
    cuts = np.searchsorted(work, np.arange(slabs + 1) * (work[-1] / slabs)).astype(np.int64)
    cuts[0], cuts[-1] = 0, depth * height
    edges = np.empty(2 * runs, np.int32)
    ids = np.empty(runs, np.int32 if mask.size < 2**31 else np.int64)
    count = runs - _link(mask, inside, connectivity, planar, rows, cuts, edges, ids)
    sizes = np.zeros(count + 1, np.int64)
    first = np.empty(count, np.int64)
    _number(rows, edges, ids, width, sizes, first)
    sizes[0] = mask.size - sizes.sum()
    return rows, edges, ids, sizes, first
