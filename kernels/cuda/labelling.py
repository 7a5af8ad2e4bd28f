"""Connected components of a mask as runs, by union-find; see `fastseg.kernels.cpu.labelling`.

1. The mask is packed into bits; runs are counted row by row, and a prefix sum tells where each row's runs begin.
2. Runs of neighbouring rows that touch are joined, one thread a pair of rows, first within planes, then across, with
   all paths shortened in between.
3. Roots are numbered by a prefix sum. The root of a component is its first run in scan order, so neither numbers nor
   anything else depends on the order of threads.

After Playne and Hawick, IEEE Trans. Parallel and Distributed Systems 29(6), 2018 (label equivalence by atomics), and
Jaiganesh and Burtscher, HPDC 2018 (hooking of roots by compare-and-swap). Runs instead of blocks of voxels, since
sizes, sides, histograms and painting then cost what the runs cost: Hennequin, Lacassagne, Cabaret and Meunier, DASIP
2018.

Why concurrent joins are right. A parent changes only from itself to a smaller run, by a compare-and-swap, so a run that
is no root never becomes one again, trees never hold a cycle, and no join is ever lost: a thread whose swap fails goes
on with the parent it found. A plain read may be out of date; it then gives an earlier parent of the same run, which is
in the same component, and a supposed root that no longer is one is found out by the swap, whose memory is never stale.
Threads do not wait for each other: a swap fails only because another one succeeded, and there are fewer joins than
runs. In the launch that shortens paths every run stores what it found to be its root, and roots do not change there.

Bytes moved a voxel: 1 + 1/8 to pack and 1/4 to look for runs; and for every run about 8 to write its edges, 30 to join
it with the rows around, and 40 to number it. With fewer than one run in 40 voxels, which is what masks of microscopy
have, all of it is about 3 bytes a voxel.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.grids import over_list
from fastseg.kernels.cuda.launch import Kernel
from fastseg.kernels.cuda.memory import index_type, library_of, views
from fastseg.kernels.cuda.morphology import pack
from fastseg.kernels.voxel.bits import TOP, WORD, begins, changes, without_lowest

_ZERO = np.uint32(0)


@cuda.jit(device=True)
def root_of(parent, run):
    """The root that a run's parents lead to."""
    above = parent[run]
    while above != run:
        run = above
        above = parent[run]
    return run


@cuda.jit(device=True)
def unite(parent, a, b):
    """Join the components of two runs."""
    a, b = root_of(parent, a), root_of(parent, b)
    while a != b:
        low, high = min(a, b), max(a, b)
        found = cuda.atomic.cas(parent, high, high, low)
        if found == high:
            return
        a, b = root_of(parent, found), low


def count_kernel(bits, words, rows):
    """One thread a row: the runs of row k to ``rows[k + 1]``."""
    row = cuda.grid(1)
    if row < rows.size - 1:
        total = 0
        carry = _ZERO
        for j in range(words):
            word = bits[row * words + j]
            total += cuda.popc(begins(word, carry))
            carry = np.uint32(word >> TOP)
        rows[row + 1] = total


def edges_kernel(bits, words, rows, edges, parent):
    """One thread a row: where its runs begin and end; every run is its own parent."""
    row = cuda.grid(1)
    if row < rows.size - 1:
        place = 2 * rows[row]
        carry = _ZERO
        for j in range(words):
            word = bits[row * words + j]
            left = changes(word, carry)
            carry = np.uint32(word >> TOP)
            while left != 0:
                edges[place] = WORD * j + cuda.ffs(left) - 1
                place += 1
                left = without_lowest(left)
        if carry != 0:
            edges[place] = WORD * words
        for run in range(rows[row], rows[row + 1]):
            parent[run] = run


def join_kernel(rows, edges, parent, height, planes, lines, reach):
    """One thread a row, joined with the one `planes` before and `lines` further; `reach` is 1 where corners touch."""
    lower = cuda.grid(1)
    upper = lower - planes * height + lines
    y = lower % height + lines
    if lower < rows.size - 1 and upper >= 0 and y >= 0 and y < height:
        a, a_end = rows[upper], rows[upper + 1]
        b, b_end = rows[lower], rows[lower + 1]
        while a < a_end and b < b_end:
            if edges[2 * a] < edges[2 * b + 1] + reach and edges[2 * b] < edges[2 * a + 1] + reach:
                unite(parent, a, b)
            if edges[2 * a + 1] < edges[2 * b + 1]:
                a += 1
            else:
                b += 1


def shorten_kernel(parent):
    """One thread a run: its root becomes its parent."""
    run = cuda.grid(1)
    if run < parent.size:
        parent[run] = root_of(parent, run)


def mark_roots_kernel(parent, roots):
    """One thread a run: 1 for a root."""
    run = cuda.grid(1)
    if run < parent.size:
        roots[run] = 1 if parent[run] == run else 0


def number_kernel(rows, edges, ids, numbers, width, sizes, first):
    """One thread a row: parents become numbers; first voxels and sizes are filled in.

    A thread changes the entries of its own runs alone, and adds up what neighbouring runs of one component take before
    it adds to the total.
    """
    row = cuda.grid(1)
    if row < rows.size - 1:
        before = np.int64(0)
        voxels = np.int64(0)
        for run in range(rows[row], rows[row + 1]):
            root = ids[run]
            number = np.int64(numbers[root])
            if root == run:
                first[number - 1] = row * width + edges[2 * run]
            ids[run] = number
            if number != before:
                if voxels > 0:
                    cuda.atomic.add(sizes, before, voxels)
                before = number
                voxels = np.int64(0)
            voxels += edges[2 * run + 1] - edges[2 * run]
        if voxels > 0:
            cuda.atomic.add(sizes, before, voxels)


_count = Kernel(count_kernel)
_edges = Kernel(edges_kernel)
_join = Kernel(join_kernel)
_shorten = Kernel(shorten_kernel)
_mark_roots = Kernel(mark_roots_kernel)
_number = Kernel(number_kernel)


def _neighbours(connectivity, planar):
    """Rows before a row that touch it: how many planes before, how many rows further, and whether by corners too."""
    corners = np.int64(connectivity > 1)
    found = [(0, -1, corners)]
    if not planar:
        found.append((1, 0, corners))
    if not planar and connectivity > 1:
        corners = np.int64(connectivity > 2)
        found += [(1, -1, corners), (1, 1, corners)]
    return [(np.int64(planes), np.int64(lines), reach) for planes, lines, reach in found]


def find_runs(mask, inside, connectivity, planar):
    """Cut a mask into runs along x and number the components they belong to, in scan order of the first voxel."""
    xp = library_of(mask)
    depth, height, width = mask.shape
    bits = xp.empty((depth, height, -(-width // 64)), np.uint64)
    pack(mask, inside, bits)
    words = np.int64(2 * bits.shape[2])
    rows = xp.zeros(depth * height + 1, np.int64)
    flat, counts = views(bits.reshape(-1).view(np.uint32), rows)
    _count[over_list(depth * height)](flat, words, counts)
    rows = xp.cumsum(rows)
    runs = int(rows[-1])
    edges = xp.empty(2 * runs, np.int32)
    ids = xp.empty(runs, index_type(mask.size))
    if runs == 0:
        return rows, edges, ids, xp.full(1, mask.size, np.int64), xp.empty(0, np.int64)
    counts, ends, parent = views(rows, edges, ids)
    _edges[over_list(depth * height)](flat, words, counts, ends, parent)
    del bits, flat
    for planes, lines, reach in _neighbours(connectivity, planar):
        _join[over_list(depth * height)](counts, ends, parent, np.int64(height), planes, lines, reach)
        _shorten[over_list(runs)](parent)
    numbers = xp.empty(runs, ids.dtype)
    _mark_roots[over_list(runs)](parent, views(numbers))
    numbers = xp.cumsum(numbers, dtype=numbers.dtype)
    count = int(numbers[-1])
    sizes, first = xp.zeros(count + 1, np.int64), xp.empty(count, np.int64)
    tally, *found = views(numbers, sizes, first)
    _number[over_list(depth * height)](counts, ends, parent, tally, np.int64(width), *found)
    sizes[0] = mask.size - sizes.sum()
    return rows, edges, ids, sizes, first
