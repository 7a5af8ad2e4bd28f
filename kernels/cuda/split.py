"""Cutting many objects at once by floods of their distance to the background; see `fastseg.kernels.cpu.split`.

A flood with a total order is a sequence by definition, so an object is flooded by one thread, and objects are flooded
side by side, the largest first. Objects do not touch by a face: a thread reads and writes the voxels of its own object,
and beside them only closed voxels, which nobody changes; its queue has a part for each distance, with room for every
voxel, in a stretch of memory of its own. Threads therefore share nothing that changes.

A voxel costs a dozen reads whose addresses are known at once and a few that follow on each other, about a microsecond,
most of which is waiting for memory. Thousands of objects hide that; the largest object alone takes its voxels times a
microsecond. A few large objects are therefore flooded faster by the CPU, see `fastseg.operators.splitting`.

Everything before the flood is integers and atomics, or sorted: its results do not depend on the order of threads.
Bytes moved a voxel: 12 to open, 4 to count distances, 8 to gather seeds, 4 to 12 to close; inside objects that are
flooded about 500 more, since neighbours in other rows and planes come in sectors of 32 bytes, mostly from the cache.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.grids import line_place, over_lines
from fastseg.kernels.cuda.launch import Kernel
from fastseg.kernels.cuda.memory import fetched, index_type, library_of, views

__all__ = ["CLOSED", "Survey", "cut_objects", "survey"]

CLOSED = -(2**31)
"""Not the negative of any label that an int32 can hold."""

_SPREAD = 4096
"""Objects up to which each has a block, and so the lane of a warp, of its own."""
_TOGETHER = 32


def open_kernel(labels, seeds, squared, out, sizes, sown, highest):
    """One thread a voxel of flat rows: its state before the flood; who stands at the first voxel of a run of an object
    adds up what is known of the run."""
    row, x = line_place()
    if row < labels.shape[0] and x < labels.shape[1]:
        number = labels[row, x]
        if number > 0:
            out[row, x] = max(seeds[row, x], 0)
            if x == 0 or labels[row, x - 1] != number:
                voxels, found, largest = np.int64(0), np.int64(0), np.int64(0)
                while x < labels.shape[1] and labels[row, x] == number:
                    voxels += 1
                    if seeds[row, x] > 0:
                        found += 1
                    largest = max(largest, np.int64(squared[row, x]))
                    x += 1
                cuda.atomic.add(sizes, number, voxels)
                cuda.atomic.max(highest, number, largest)
                if found > 0:
                    cuda.atomic.add(sown, number, found)
        else:
            out[row, x] = CLOSED


def count_kernel(labels, squared, begins, counts):
    """One thread a voxel of flat rows: voxels of each flooded object at each distance; ``begins`` is -1 for others."""
    row, x = line_place()
    if row < labels.shape[0] and x < labels.shape[1]:
        number = labels[row, x]
        if number > 0 and begins[number] >= 0:
            cuda.atomic.add(counts, begins[number] + squared[row, x], 1)


def gather_kernel(labels, seeds, filled, keys):
    """One thread a voxel of flat rows: a key of its object and position for every seed, in any order."""
    row, x = line_place()
    height, width = labels.shape
    if row < height and x < width:
        number = np.int64(labels[row, x])
        if number > 0 and seeds[row, x] > 0:
            place = cuda.atomic.add(filled, 0, np.int64(1))
            keys[place] = number * (height * width) + row * width + x


def flood_kernel(order, keys, ends, begins, squared, out, height, width, queue, head, tail):
    """One thread an object: its flood from its seeds.

    Seeds of object n end at ``ends[n]`` in `keys`. ``head`` and ``tail`` tell of each object and distance where its
    part of the queue begins and ends, both where it begins at first.
    """
    turn = cuda.grid(1)
    if turn < order.size:
        number = order[turn]
        size, plane, base = out.size, height * width, begins[number]
        level = np.int64(0)
        for k in range(ends[number - 1], ends[number]):
            seed = keys[k] % size
            here = np.int64(squared[seed])
            level = max(level, here)
            place = tail[base + here]
            queue[place] = seed
            tail[base + here] = place + 1
        while level > 0:
            first = head[base + level]
            if first == tail[base + level]:
                level -= 1
                continue
            head[base + level] = first + 1
            position = np.int64(queue[first])
            row = position // width
            x = position - row * width
            y = row % height
            # The voxel itself stands for neighbours beyond the border, so that all reads can go out at once.
            before_z = position - plane if position >= plane else position
            before_y = position - width if y > 0 else position
            before_x = position - 1 if x > 0 else position
            after_x = position + 1 if x < width - 1 else position
            after_y = position + width if y < height - 1 else position
            after_z = position + plane if position + plane < size else position
            own = np.int64(out[position])
            a, b, c = np.int64(out[before_z]), np.int64(out[before_y]), np.int64(out[before_x])
            d, e, f = np.int64(out[after_x]), np.int64(out[after_y]), np.int64(out[after_z])
            a = CLOSED if before_z == position else a
            b = CLOSED if before_y == position else b
            c = CLOSED if before_x == position else c
            d = CLOSED if after_x == position else d
            e = CLOSED if after_y == position else e
            f = CLOSED if after_z == position else f
            highest_label = max(max(max(a, b), max(c, d)), max(e, f))
            line = (
                (a > 0 and a != highest_label)
                or (b > 0 and b != highest_label)
                or (c > 0 and c != highest_label)
                or (d > 0 and d != highest_label)
                or (e > 0 and e != highest_label)
                or (f > 0 and f != highest_label)
            )
            label = abs(own)
            if line:
                squared[position] = label if own > 0 else 0
                out[position] = CLOSED
                continue
            out[position] = label
            top = level
            for side in range(6):
                there = a if side == 0 else b if side == 1 else c if side == 2 else d if side == 3 else e
                there = f if side == 5 else there
                if there == 0:
                    neighbour = before_z if side == 0 else before_y if side == 1 else before_x
                    neighbour = after_x if side == 3 else after_y if side == 4 else neighbour
                    neighbour = after_z if side == 5 else neighbour
                    out[neighbour] = -label
                    here = np.int64(squared[neighbour])
                    top = max(top, here)
                    place = tail[base + here]
                    queue[place] = neighbour
                    tail[base + here] = place + 1
            level = top


def close_kernel(squared, out):
    """One thread a voxel of flat rows: what closed voxels are in the end."""
    row, x = line_place()
    if row < out.shape[0] and x < out.shape[1] and out[row, x] == CLOSED:
        out[row, x] = squared[row, x]


_open = Kernel(open_kernel)
_count = Kernel(count_kernel)
_gather = Kernel(gather_kernel)
_flood = Kernel(flood_kernel)
_close = Kernel(close_kernel)


class Survey:
    """What decides how objects are flooded.

    Attributes
    ----------
    sizes, sown, highest : ndarray of int64, shape (count + 1,)
        Of every object its voxels, those of them that are seeds, and its largest squared distance; on the host.
    """

    def __init__(self, sizes, sown, highest):
        self.sizes, self.sown, self.highest = sizes, sown, highest

    @property
    def flooded(self):
        """Which objects have a seed."""
        return self.sown > 0

    @property
    def levels(self):
        """Parts of the queue that each object needs."""
        return np.where(self.flooded, self.highest + 1, 0)


def _rows(array):
    return array.reshape(-1, array.shape[-1])


def survey(labels, count, seeds, squared, out):
    """Set every voxel's state before the flood, and look objects over.

    Parameters
    ----------
    labels, count, seeds, squared, out
        As those of `cut_objects`.

    Returns
    -------
    Survey
    """
    numbers = library_of(labels).zeros((3, count + 1), np.int64)
    grid = over_lines(labels.size // labels.shape[-1], labels.shape[-1])
    _open[grid](*views(*map(_rows, (labels, seeds, squared, out)), *numbers))
    return Survey(*fetched(numbers))


def cut_objects(labels, count, seeds, squared, out, known=None):
    """Cut objects between their seeds by floods from the seeds, deepest voxels first.

    Parameters
    ----------
    labels, count, seeds, squared, out
        As those of `fastseg.kernels.cpu.split.cut_objects`.
    known : Survey, optional
        What `survey` found in the same arrays, if it has been called.
    """
    xp = library_of(labels)
    known = survey(labels, count, seeds, squared, out) if known is None else known
    flooded = np.flatnonzero(known.flooded)
    names, marks, far, found = views(*map(_rows, (labels, seeds, squared, out)))
    grid = over_lines(*names.shape)
    if len(flooded):
        ends, levels = np.cumsum(known.sown), known.levels
        begins = np.where(known.flooded, np.cumsum(levels) - levels, -1)
        order = flooded[np.argsort(-known.sizes[flooded], kind="stable")]
        ends, begins, order = (xp.asarray(a.astype(np.int64)) for a in (ends, begins, order))
        voxels = int(known.sizes[flooded].sum())
        counts = xp.zeros(int(levels.sum()), index_type(voxels))
        _count[grid](names, far, *views(begins, counts))
        head = xp.cumsum(counts, dtype=counts.dtype) - counts
        keys = xp.empty(int(known.sown.sum()), np.int64)
        _gather[grid](names, marks, *views(xp.zeros(1, np.int64), keys))
        keys = xp.sort(keys)
        queue, tail = xp.empty(voxels, index_type(out.size)), head.copy()
        together = 1 if len(order) <= _SPREAD else _TOGETHER
        blocks = -(-len(order) // together)
        height, width = np.int64(labels.shape[1]), np.int64(labels.shape[2])
        shared = views(order, keys, ends, begins, squared.reshape(-1), out.reshape(-1), queue, head, tail)
        _flood[blocks, together](*shared[:6], height, width, *shared[6:])
    _close[grid](far, found)
