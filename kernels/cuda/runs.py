"""What is done with components that are known as runs; see `fastseg.kernels.cpu.runs`.

Painting takes one thread a voxel, which finds its run by bisection, so that neighbouring threads write neighbouring
voxels: a bisection reads one or two lines of the cache that all threads of a row share. Bytes moved a voxel: what is
written. Marks are set to 1 by whoever comes, always the same value; boxes are widened by atomic minima and maxima.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.grids import line_place, over_lines, over_list
from fastseg.kernels.cuda.launch import Kernel, as_int64, device
from fastseg.kernels.cuda.memory import views
from fastseg.kernels.voxel import runs as voxel

run_at = device(voxel.run_at)


def paint_kernel(rows, edges, ids, height, z0, y0, x0, lines, values, out):
    """One thread a voxel of the box; `out` has a row for each of its rows."""
    line, x = line_place()
    if line < out.shape[0] and x < out.shape[1]:
        z = line // lines
        row = (z + z0) * height + line - z * lines + y0
        run = run_at(rows, edges, row, x + x0)
        out[line, x] = values[ids[run] if run >= 0 else 0]


def mark_sides_kernel(rows, edges, ids, depth, height, width, sides, found):
    """One thread a row of the mask; bits of `sides`: first and last plane, row, column."""
    row = cuda.grid(1)
    if row < depth * height:
        z = row // height
        y = row - z * height
        whole = ((sides & 1) and z == 0) or ((sides & 2) and z == depth - 1)
        whole = whole or ((sides & 4) and y == 0) or ((sides & 8) and y == height - 1)
        first, last = rows[row], rows[row + 1]
        if whole:
            for run in range(first, last):
                found[ids[run]] = 1
        elif first < last:
            if (sides & 16) and edges[2 * first] == 0:
                found[ids[first]] = 1
            if (sides & 32) and edges[2 * last - 1] == width:
                found[ids[last - 1]] = 1


def bound_kernel(rows, edges, ids, height, chosen, starts, stops):
    """One thread a row."""
    row = cuda.grid(1)
    if row < rows.size - 1:
        z = row // height
        y = row - z * height
        for run in range(rows[row], rows[row + 1]):
            number = ids[run]
            if chosen[number] != 0:
                cuda.atomic.min(starts, (number, 0), z)
                cuda.atomic.min(starts, (number, 1), y)
                cuda.atomic.min(starts, (number, 2), np.int64(edges[2 * run]))
                cuda.atomic.max(stops, (number, 0), z + 1)
                cuda.atomic.max(stops, (number, 1), y + 1)
                cuda.atomic.max(stops, (number, 2), np.int64(edges[2 * run + 1]))


_paint = Kernel(paint_kernel)
_bound = Kernel(bound_kernel)
_mark_sides = Kernel(mark_sides_kernel)


def paint(rows, edges, ids, height, start, values, out):
    """Write a value of its component to every voxel of a box."""
    depth, lines, width = out.shape
    if len(ids) == 0:
        out[...] = values[0]
        return
    flat = out.reshape(depth * lines, width)
    rows, edges, ids, values, flat = views(rows, edges, ids, values, flat)
    numbers = as_int64(height, *start, lines)
    _paint[over_lines(depth * lines, width)](rows, edges, ids, *numbers, values, flat)


def mark_sides(rows, edges, ids, shape, sides, found):
    """Write 1 for every component that has a voxel at one of some sides of the mask."""
    if len(ids) == 0:
        return
    chosen = sum(1 << k for k, side in enumerate(np.asarray(sides).reshape(-1)) if side)
    arrays = views(rows, edges, ids, found)
    _mark_sides[over_list(shape[0] * shape[1])](*arrays[:3], *as_int64(*shape, chosen), arrays[3])


def bound(rows, edges, ids, height, chosen, starts, stops):
    """Widen the boxes of some components to what they take."""
    if len(ids) > 0:
        arrays = views(rows, edges, ids, chosen, starts, stops)
        _bound[over_list(len(rows) - 1)](*arrays[:3], np.int64(height), *arrays[3:])
