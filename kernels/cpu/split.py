"""Cutting many objects at once by floods of their distance to the background, with lines between the basins.

The same as `watershed.flood` with lines and minus the distance as cost, for every object on its own: entries are
ordered by (distance, the largest first; age; position). Squared distances are integers, and a voxel waits once at most,
so one array with a part for each distance, as long as there are voxels of it, is a queue with that order: entries of
one distance leave it in the order in which they came, and nothing is ever compared or moved.

Objects do not touch by a face, so all of them are flooded in the same arrays, each by one thread. What ``out`` says of
a voxel during the flood: 0, not reached; minus a label, waiting (a seed that waits has its label); a label, labelled;
`CLOSED`, a line, a seed between two basins, or not in an object. ``squared`` keeps what a closed voxel gets in the end.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels import threads
from fastseg.kernels.cpu.prefetch import prefetch
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import spread

__all__ = ["CLOSED", "cut_objects"]

CLOSED = -(2**31)
"""Not the negative of any label that an int32 can hold."""


_AHEAD = 12
"""How many voxels before its turn the surroundings of a voxel are asked for."""


@inner
def _face_neighbours(position: int, height: int, width: int, size: int, found: np.ndarray) -> int:
    """Write a voxel's neighbours, in the order -z, -y, -x, +x, +y, +z, to `found`; return their number."""
    plane = height * width
    row = position // width
    x = position - row * width
    y = row % height
    count = 0
    if position >= plane:
        found[count] = position - plane
        count += 1
    if y > 0:
        found[count] = position - width
        count += 1
    if x > 0:
        found[count] = position - 1
        count += 1
    if x < width - 1:
        found[count] = position + 1
        count += 1
    if y < height - 1:
        found[count] = position + width
        count += 1
    if position + plane < size:
        found[count] = position + plane
        count += 1
    return count


@inner
def _flood(
    seeds: np.ndarray,
    squared: np.ndarray,
    out: np.ndarray,
    height: int,
    width: int,
    queue: np.ndarray,
    head: np.ndarray,
    tail: np.ndarray,
    near: np.ndarray,
) -> None:
    """Flood one object from its seeds, given in scan order; all parts of the queue are empty before and after."""
    plane = height * width
    level = 0
    for k in range(seeds.shape[0]):
        here = squared[seeds[k]]
        level = max(level, here)
        queue[tail[here]] = seeds[k]
        tail[here] += 1
    while level > 0:
        if head[level] == tail[level]:
            level -= 1
            continue
        position = np.int64(queue[head[level]])
        head[level] += 1
        if head[level] + _AHEAD < tail[level]:  # the flood jumps about, and memory is slow to answer
            ahead = np.int64(queue[head[level] + _AHEAD])
            for step in (-plane, -width, 0, width, plane):
                prefetch(out, ahead + step)
                prefetch(squared, ahead + step)
        label = abs(out[position])
        count = _face_neighbours(position, height, width, out.shape[0], near)
        met = out.dtype.type(0)
        line = False
        for k in range(count):
            there = out[near[k]]
            if there > 0:
                line = line or (met > 0 and there != met)
                met = there
        if line:
            squared[position] = label if out[position] > 0 else 0
            out[position] = CLOSED
            continue
        out[position] = label
        for k in range(count):
            neighbour = near[k]
            if out[neighbour] == 0:
                out[neighbour] = -label
                here = squared[neighbour]
                level = max(level, here)
                queue[tail[here]] = neighbour
                tail[here] += 1


@compiled
def _shares(order: np.ndarray, sizes: np.ndarray, load: np.ndarray, owner: np.ndarray) -> None:
    """Write the thread that takes each object, in this order: the one with least to do by then. Size 0 is nobody's."""
    for k in range(order.shape[0]):
        size = sizes[order[k]]
        if size > 0:
            least = 0
            for thread in range(1, load.shape[0]):
                if load[thread] < load[least]:
                    least = thread
            owner[order[k]] = least
            load[least] += size


@compiled
def _count(labels: np.ndarray, seeds: np.ndarray, voxels: np.ndarray, sown: np.ndarray) -> None:
    """Add the voxels of every object and its seeds to `voxels` and `sown`, shape (n + 1,)."""
    for position in range(labels.shape[0]):
        number = labels[position]
        if number > 0:
            voxels[number] += 1
            if seeds[position] > 0:
                sown[number] += 1


@compiled
def _gather(
    labels: np.ndarray,
    seeds: np.ndarray,
    squared: np.ndarray,
    owner: np.ndarray,
    filled: np.ndarray,
    places: np.ndarray,
    voxels: np.ndarray,
) -> None:
    """Write the positions of the seeds, and count the voxels that every thread will meet at every distance.

    Parameters
    ----------
    labels, seeds, squared : shape (voxels,)
    owner : (n + 1,)
        Thread of an object; -1 for one that is not flooded.
    filled : (n + 1,)
        Where the seeds of an object begin in `places`; moved to their end.
    places : (seeds,)
        Written.
    voxels : (threads, levels)
        Added to.
    """
    for position in range(labels.shape[0]):
        number = labels[position]
        if number > 0 and owner[number] >= 0:
            voxels[owner[number], squared[position]] += 1
            if seeds[position] > 0:
                places[filled[number]] = position
                filled[number] += 1


@compiled
def _open(begin: int, end: int, labels: np.ndarray, seeds: np.ndarray, out: np.ndarray) -> None:
    """Set every voxel's state before the flood."""
    for z in range(begin, end):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                out[z, y, x] = max(seeds[z, y, x], 0) if labels[z, y, x] > 0 else CLOSED


@compiled
def _close(begin: int, end: int, squared: np.ndarray, out: np.ndarray) -> None:
    """Give closed voxels what they are in the end."""
    for z in range(begin, end):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                if out[z, y, x] == CLOSED:
                    out[z, y, x] = squared[z, y, x]


@compiled
def _flood_all(
    begin: int,
    end: int,
    order: np.ndarray,
    owner: np.ndarray,
    places: np.ndarray,
    ends: np.ndarray,
    voxels: np.ndarray,
    squared: np.ndarray,
    out: np.ndarray,
) -> None:
    """Flood the objects of a volume; the seeds of object n end at ``ends[n]`` and begin where those of n - 1 end."""
    _, height, width = out.shape
    flat, far = out.reshape(-1), squared.reshape(-1)
    for thread in range(begin, end):
        levels = voxels.shape[1]
        head, tail = np.empty(levels, np.int64), np.empty(levels, np.int64)
        total = 0
        for level in range(levels):
            head[level] = total
            tail[level] = total
            total += voxels[thread, level]
        queue = np.empty(total, squared.dtype)
        near = np.empty(6, np.int64)
        for k in range(order.shape[0]):
            number = order[k]
            if owner[number] == thread:
                own = places[ends[number - 1] : ends[number]]
                _flood(own, far, flat, height, width, queue, head, tail, near)


def cut_objects(
    labels: np.ndarray, count: int, seeds: np.ndarray, squared: np.ndarray, out: np.ndarray
) -> None:
    """Cut objects between their seeds by floods from the seeds, deepest voxels first.

    Parameters
    ----------
    labels : ndarray of int32, shape (Z, Y, X), C-contiguous
        Objects 1..count, no two of which touch by a face; 0 elsewhere.
    count : int
    seeds : ndarray of int32 or int64, shape (Z, Y, X), C-contiguous
        Labels to start from, above 0; those outside the objects are ignored.
    squared : ndarray of int32 or int64, shape (Z, Y, X), C-contiguous
        Squared distances to the background: above 0 in the objects, 0 elsewhere. At least as wide as the seeds.
        Destroyed.
    out : ndarray of the type of `seeds`, shape (Z, Y, X), C-contiguous
        Written: labels of the basins; 0 outside the objects, on lines, and in objects without a seed. It may be
        `labels` itself, which the flood does not need any more.
    """
    levels = int(squared.max()) + 1
    sizes, sown = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    flat = labels.reshape(-1), seeds.reshape(-1)
    _count(*flat, sizes, sown)
    sizes[sown == 0] = 0
    order, owner = np.argsort(-sizes), np.full(count + 1, -1, np.int64)
    _shares(order, sizes, np.zeros(threads.count(), np.int64), owner)
    ends = np.cumsum(sown)
    places = np.empty(ends[-1], squared.dtype)
    voxels = np.zeros((owner.max() + 1, levels), np.int64)
    _gather(*flat, squared.reshape(-1), owner, ends - sown, places, voxels)
    spread(_open, len(out), labels, seeds, out)
    spread(_flood_all, len(voxels), order, owner, places, ends, voxels, squared, out)
    spread(_close, len(out), squared, out)
