"""Flooding of a masked cost image from seeds: the watershed transform with a totally ordered queue.

The queue is ordered by (cost, age, flat position), so that no two entries compare equal and the result
follows from the inputs alone, never from the layout of a heap. Flooding a face-connected component of the
mask in any box that contains it therefore gives exactly the labels that flooding the whole volume gives
there.

Three facts keep an entry at three numbers, of 4 bytes for a float32 cost of less than 2^31 voxels and of 8 otherwise,
and the queue at no more than one entry per voxel of the mask:

- All entries of a voxel carry the voxel's own cost, so the one that entered first leaves first and decides
  the voxel; those after it would only be skipped. A voxel is therefore queued once.
- Only seeds share an age (0), and they enter in scan order. Numbering every entry in order of arrival thus
  sorts equal costs exactly as (age, position) does.
- A queued voxel has one origin, so its label waits in the output array; ``_QUEUED`` hides it from its
  neighbours.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels.jit import compiled, inner

__all__ = ["flood"]

# What flooding knows of a voxel. One that became a watershed line is _CLOSED, like those outside the mask.
_CLOSED = np.uint8(0)
_OPEN = np.uint8(1)
_QUEUED = np.uint8(2)
_LABELLED = np.uint8(3)

# Columns of the heap: sort key of the cost, number of the entry, flat position of the voxel.
_COST = 0
_ENTRY = 1
_POSITION = 2

# A node has four children: half the levels of a binary heap, and siblings lie side by side in memory.
_ARITY = 4


@inner
def _sort_key(bits: int, all_but_sign: int) -> int:
    """Map the bits of a float to an integer of the same order; -0.0 and 0.0 map to the same key."""
    if bits >= 0:
        return bits
    key = bits ^ all_but_sign
    return key if key != -1 else 0  # -0.0 alone becomes -1


@inner
def _push(heap: np.ndarray, size: int, cost: int, entry: int, position: int) -> None:
    """Insert an entry into the heap of `size` entries, which must have room for it."""
    # The new entry has the highest number of all, so it rises past strictly higher costs only.
    hole = size
    while hole > 0:
        parent = (hole - 1) // _ARITY
        if cost >= heap[parent, _COST]:
            break
        heap[hole, _COST] = heap[parent, _COST]
        heap[hole, _ENTRY] = heap[parent, _ENTRY]
        heap[hole, _POSITION] = heap[parent, _POSITION]
        hole = parent
    heap[hole, _COST] = cost
    heap[hole, _ENTRY] = entry
    heap[hole, _POSITION] = position


@inner
def _pop(heap: np.ndarray, size: int) -> int:
    """Remove the first of the heap's `size` > 0 entries and return its position; `size - 1` remain."""
    first = heap[0, _POSITION]
    size -= 1
    cost = heap[size, _COST]
    entry = heap[size, _ENTRY]
    hole = 0
    while True:
        child = _ARITY * hole + 1
        if child >= size:
            break
        least = child
        for sibling in range(child + 1, min(child + _ARITY, size)):
            if heap[sibling, _COST] < heap[least, _COST] or (
                heap[sibling, _COST] == heap[least, _COST] and heap[sibling, _ENTRY] < heap[least, _ENTRY]
            ):
                least = sibling
        if cost < heap[least, _COST] or (cost == heap[least, _COST] and entry < heap[least, _ENTRY]):
            break
        heap[hole, _COST] = heap[least, _COST]
        heap[hole, _ENTRY] = heap[least, _ENTRY]
        heap[hole, _POSITION] = heap[least, _POSITION]
        hole = least
    heap[hole, _COST] = cost
    heap[hole, _ENTRY] = entry
    heap[hole, _POSITION] = heap[size, _POSITION]
    return first


@inner
def _face_neighbours(position: int, shape: tuple[int, int, int], found: np.ndarray) -> int:
    """Write a voxel's neighbours, in the order -z, -y, -x, +x, +y, +z, to `found`; return their number."""
    _, height, width = shape
    plane = height * width
    z = position // plane
    y = (position - z * plane) // width
    x = position - z * plane - y * width
    count = 0
    if z > 0:
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
    if z < shape[0] - 1:
        found[count] = position + plane
        count += 1
    return count


@inner
def _basins_meet(neighbours: np.ndarray, count: int, state: np.ndarray, labels: np.ndarray) -> bool:
    """Tell whether two different labels occur among the labelled neighbours that are still in the mask."""
    label = labels.dtype.type(0)
    for k in range(count):
        neighbour = neighbours[k]
        if state[neighbour] == _LABELLED:
            if label == 0:
                label = labels[neighbour]
            elif labels[neighbour] != label:
                return True
    return False


@compiled
def _flood(
    bits: np.ndarray,
    all_but_sign: int,
    seed: np.ndarray,
    shape: tuple[int, int, int],
    lines: bool,
    state: np.ndarray,
    heap: np.ndarray,
    labels: np.ndarray,
) -> None:
    """Flood from `seed`, with `state` open inside the mask, an empty `heap`, and `labels` of 0."""
    size = 0
    entry = 0
    for position in range(bits.size):
        if state[position] == _CLOSED or seed[position] == 0:
            continue
        labels[position] = seed[position]
        state[position] = _LABELLED
        _push(heap, size, _sort_key(bits[position], all_but_sign), entry, position)
        size += 1
        entry += 1

    neighbours = np.empty(6, dtype=np.int64)
    while size > 0:
        position = _pop(heap, size)
        size -= 1
        count = _face_neighbours(position, shape, neighbours)
        if lines and _basins_meet(neighbours, count, state, labels):
            if state[position] == _QUEUED:
                labels[position] = 0
            state[position] = _CLOSED
            continue
        state[position] = _LABELLED
        for k in range(count):
            neighbour = neighbours[k]
            if state[neighbour] == _OPEN:
                state[neighbour] = _QUEUED
                labels[neighbour] = labels[position]
                _push(heap, size, _sort_key(bits[neighbour], all_but_sign), entry, neighbour)
                size += 1
                entry += 1


def flood(cost: np.ndarray, seeds: np.ndarray, mask: np.ndarray | None, lines: bool) -> np.ndarray:
    """Flood a cost image from seeds within a mask, through face neighbours.

    Voxels are taken from a queue ordered by (cost, age, flat position), lowest first. All seeds enter first,
    with age 0; later entries are numbered in order of insertion. Neighbours are visited in the order
    -z, -y, -x, +x, +y, +z. A voxel may have a lower cost than the one that it was reached from.

    With `lines`, a voxel that meets two different labels among its face neighbours becomes a line: it gets no
    label, leaves the mask for good and spreads nothing. A seed voxel that meets two labels keeps its own, but
    leaves the mask too. Without `lines`, a voxel is labelled at the moment that it is first reached.

    Parameters
    ----------
    cost : ndarray of float32 or float64, shape (Z, Y, X), C-contiguous
        What is flooded, lowest first. Infinities are allowed; NaN is not: its place in the
        order is undefined.
    seeds : ndarray of an integer type, shape (Z, Y, X), C-contiguous
        Labels to start from, 0 where there is none. Seeds outside the mask are ignored.
    mask : ndarray of bool, shape (Z, Y, X), C-contiguous, or None
        Voxels that may be labelled; all, if None.
    lines : bool
        Whether to keep a watershed line, labelled 0, between basins.

    Returns
    -------
    labels : ndarray of the type of `seeds`, shape (Z, Y, X)
        Labels of the basins; 0 outside the mask, on lines, and where no seed reaches.

    Raises
    ------
    ValueError
        If the shapes differ, or the cost is of another type.

    Notes
    -----
    For distinct costs this equals ``skimage.segmentation.watershed`` with face connectivity, which leaves
    seeds of equal cost to the layout of its heap; with `lines`, it equals that of scikit-image 0.21 (since
    0.25, lines let the flood pass through them there).

    Memory beyond the result: one byte per voxel, and 12 bytes (float32, less than 2^31 voxels; otherwise 24) per
    voxel waiting in the queue at one time. Room is taken for all of them, but only what is used becomes memory where
    the system hands out pages at their first use.
    """
    if cost.shape != seeds.shape or (mask is not None and cost.shape != mask.shape):
        raise ValueError("cost, seeds and mask must have the same shape")
    if cost.dtype not in (np.float32, np.float64):
        raise ValueError(f"cost must be float32 or float64, not {cost.dtype}")
    bits = cost.reshape(-1).view(np.dtype(f"i{cost.itemsize}"))
    if mask is None:
        state = np.full(cost.size, _OPEN)
        waiting = cost.size
    else:
        state = np.where(mask.reshape(-1), _OPEN, _CLOSED)
        waiting = int(np.count_nonzero(mask))
    heap = np.empty((waiting, 3), heap_dtype(cost.dtype, cost.size))
    labels = np.zeros(cost.size, seeds.dtype)
    _flood(bits, np.iinfo(bits.dtype).max, seeds.reshape(-1), cost.shape, lines, state, heap, labels)
    return labels.reshape(cost.shape)


def heap_dtype(cost: np.dtype, voxels: int) -> np.dtype:
    """The type that holds the sort key of a cost, and the number and position of any of so many voxels."""
    return np.dtype(np.int32 if cost.itemsize == 4 and voxels <= np.iinfo(np.int32).max else np.int64)
