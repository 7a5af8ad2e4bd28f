"""What is done with components that are known as runs: painting values of theirs, and finding those at the sides."""

from __future__ import annotations

import numpy as np

from fastseg.kernels.cpu.rows import fill
from fastseg.kernels.jit import compiled
from fastseg.kernels.threads import fitting, spread

__all__ = ["bound", "lookup", "mark_sides", "paint"]


@compiled
def _paint(
    begin: int,
    end: int,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    height: int,
    start: tuple[int, int, int],
    values: np.ndarray,
    out: np.ndarray,
) -> None:
    _, lines, width = out.shape
    outside = values[0]
    for task in range(begin, end):
        z, y = task // lines, task % lines
        row = (z + start[0]) * height + y + start[1]
        line = out[z, y]
        fill(line, outside)
        for run in range(rows[row], rows[row + 1]):
            value = values[ids[run]]
            low = max(edges[2 * run] - start[2], 0)
            high = min(edges[2 * run + 1] - start[2], width)
            if value != outside and low < high:
                fill(line[low:high], value)


def paint(
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    height: int,
    start: tuple[int, int, int],
    values: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write a value of its component to every voxel of a box.

    Parameters
    ----------
    rows, edges, ids : ndarray
        See `labelling.find_runs`.
    height : int
        Rows of a plane.
    start : (z, y, x)
        Where the box begins.
    values : ndarray, shape (count + 1,)
        What to write outside all components, and in each of them.
    out : ndarray of the dtype of `values`, shape (Z, Y, X)
        The box.
    """
    with fitting(out.size):
        spread(_paint, out.shape[0] * out.shape[1], rows, edges, ids, height, start, values, out)


@compiled
def mark_sides(
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    shape: tuple[int, int, int],
    sides: np.ndarray,
    found: np.ndarray,
) -> None:
    """Write 1 for every component that has a voxel at one of some sides of the mask.

    Parameters
    ----------
    rows, edges, ids : ndarray
        See `labelling.find_runs`.
    shape : (Z, Y, X)
        Of the mask.
    sides : ndarray of bool, shape (3, 2)
        Whether the first and the last plane, row and column count.
    found : ndarray of int8, shape (count + 1,)
    """
    depth, height, width = shape
    for row in range(depth * height):
        z, y = row // height, row % height
        whole = (sides[0, 0] and z == 0) or (sides[0, 1] and z == depth - 1)
        whole = whole or (sides[1, 0] and y == 0) or (sides[1, 1] and y == height - 1)
        first, last = rows[row], rows[row + 1]
        if whole:
            for run in range(first, last):
                found[ids[run]] = 1
        elif first < last:
            if sides[2, 0] and edges[2 * first] == 0:
                found[ids[first]] = 1
            if sides[2, 1] and edges[2 * last - 1] == width:
                found[ids[last - 1]] = 1


@compiled
def bound(
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    height: int,
    chosen: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
) -> None:
    """Widen the boxes of some components to what they take.

    Parameters
    ----------
    rows, edges, ids : ndarray
        See `labelling.find_runs`.
    height : int
        Rows of a plane.
    chosen : ndarray of int8, shape (count + 1,)
        Not 0 for the components that are looked at.
    starts, stops : ndarray of int64, shape (count + 1, 3)
        First place along z, y and x, and the first one behind; of no voxel yet where `starts` is large and `stops` 0.
    """
    for row in range(rows.shape[0] - 1):
        z, y = row // height, row % height
        for run in range(rows[row], rows[row + 1]):
            number = ids[run]
            if chosen[number] != 0:
                starts[number, 0] = min(starts[number, 0], z)
                starts[number, 1] = min(starts[number, 1], y)
                starts[number, 2] = min(starts[number, 2], edges[2 * run])
                stops[number, 0] = max(stops[number, 0], z + 1)
                stops[number, 1] = max(stops[number, 1], y + 1)
                stops[number, 2] = max(stops[number, 2], edges[2 * run + 1])


@compiled
def _lookup(begin: int, end: int, values: np.ndarray, ids: np.ndarray, out: np.ndarray) -> None:
    for i in range(begin, end):
        out[i] = values[ids[i]]


def lookup(values: np.ndarray, ids: np.ndarray, out: np.ndarray) -> None:
    """``out[i] = values[ids[i]]`` for flat arrays."""
    with fitting(out.size):
        spread(_lookup, len(ids), values, ids, out)
