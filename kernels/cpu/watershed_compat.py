"""Watershed with lines whose ties follow the layout of a binary heap, as in scikit-image up to 0.24.

Kept to restore results of the reference implementation. Entries of equal (cost, age), which occur among seeds only,
leave the queue in an order that depends on everything else in it, so this form cannot be computed object by object;
`fastseg.kernels.cpu.watershed.flood` is the form with a total order.
"""

import numpy as np

from fastseg.kernels.jit import compiled, inner


@inner
def _less(costs, ages, a, b):
    return costs[a] < costs[b] or (costs[a] == costs[b] and ages[a] < ages[b])


@inner
def _swap(costs, ages, places, sources, a, b):
    costs[a], costs[b] = costs[b], costs[a]
    ages[a], ages[b] = ages[b], ages[a]
    places[a], places[b] = places[b], places[a]
    sources[a], sources[b] = sources[b], sources[a]


@inner
def _rise(costs, ages, places, sources, child):
    while child > 0:
        parent = (child + 1) // 2 - 1
        if not _less(costs, ages, child, parent):
            return
        _swap(costs, ages, places, sources, child, parent)
        child = parent


@inner
def _sink(costs, ages, places, sources, size):
    here = 0
    while True:
        least = here
        for child in (2 * here + 1, 2 * here + 2):
            if child < size and _less(costs, ages, child, least):
                least = child
        if least == here:
            return
        _swap(costs, ages, places, sources, here, least)
        here = least


@compiled
def flood_in_heap_order(cost, seeds, mask):
    """Flood from seeds within a mask, leaving lines between basins; ties by heap layout.

    Parameters
    ----------
    cost : float64 (Z, Y, X)
        What is flooded, lowest first.
    seeds : int32 or int64 (Z, Y, X)
        Labels to start from; those outside the mask are ignored.
    mask : bool (Z, Y, X)

    Returns
    -------
    labels : (Z, Y, X), type of `seeds`
    """
    nz, ny, nx = cost.shape
    row, plane = nx + 2, (nx + 2) * (ny + 2)
    total = plane * (nz + 2)  # a border of one voxel spares the neighbours their range checks
    height = np.zeros(total, np.float64)
    label = np.zeros(total, seeds.dtype)
    inside = np.zeros(total, np.bool_)
    room = 0
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if mask[z, y, x]:
                    p = (z + 1) * plane + (y + 1) * row + x + 1
                    inside[p] = True
                    height[p] = cost[z, y, x]
                    label[p] = seeds[z, y, x]
                    room += 1
    room = 6 * room + 1  # every voxel spreads once and is pushed at most once by each neighbour
    costs, ages = np.empty(room, np.float64), np.empty(room, np.int64)
    places, sources = np.empty(room, np.int64), np.empty(room, np.int64)
    size = 0
    for p in range(total):
        if label[p] != 0:
            costs[size], ages[size], places[size], sources[size] = height[p], 0, p, p
            _rise(costs, ages, places, sources, size)
            size += 1
    steps = (-plane, -row, -1, 1, row, plane)
    age = 1
    while size > 0:
        p, source = places[0], sources[0]
        size -= 1
        _swap(costs, ages, places, sources, 0, size)
        _sink(costs, ages, places, sources, size)
        if (label[p] != 0 and p != source) or not inside[p]:
            continue
        met = label.dtype.type(0)
        line = False
        for step in steps:
            q = p + step
            if inside[q] and label[q] != 0:
                line = line or (met != 0 and label[q] != met)
                met = label[q]
        if line:
            inside[p] = False
            continue
        label[p] = label[source]
        for step in steps:
            q = p + step
            if inside[q] and label[q] == 0:
                costs[size], ages[size], places[size], sources[size] = height[q], age, q, source
                _rise(costs, ages, places, sources, size)
                size += 1
                age += 1
    return label.reshape(nz + 2, ny + 2, nx + 2)[1:-1, 1:-1, 1:-1].copy()
