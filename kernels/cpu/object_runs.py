"""Objects as runs, stretches of voxels along x: cut from labels, each object's extremes, what is above its cutoff."""

from __future__ import annotations

import numpy as np

from fastseg.kernels import threads
from fastseg.kernels.cpu.rows import fill
from fastseg.kernels.jit import compiled
from fastseg.kernels.threads import fitting, spread

__all__ = ["above_cutoffs", "object_extremes", "runs_of_labels"]


@compiled
def _count_runs(begin: int, end: int, labels: np.ndarray, rows: np.ndarray) -> None:
    for row in range(begin, end):
        line = labels[row]
        count = 0
        before = labels.dtype.type(0)
        for x in range(line.shape[0]):
            count += line[x] != before and line[x] != 0
            before = line[x]
        rows[row + 1] = count


@compiled
def _fill_runs(
    begin: int, end: int, labels: np.ndarray, rows: np.ndarray, edges: np.ndarray, ids: np.ndarray
) -> None:
    for row in range(begin, end):
        line = labels[row]
        run = rows[row] - 1
        before = labels.dtype.type(0)
        for x in range(line.shape[0]):
            if line[x] != before:
                if before != 0:
                    edges[2 * run + 1] = x
                if line[x] != 0:
                    run += 1
                    edges[2 * run] = x
                    ids[run] = line[x]
            before = line[x]
        if before != 0:
            edges[2 * run + 1] = line.shape[0]


def runs_of_labels(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut labels into runs.

    Parameters
    ----------
    labels : ndarray of int32 or int64, shape (rows, X), C-contiguous
        0 outside the objects.

    Returns
    -------
    rows : ndarray of int64, shape (rows + 1,)
        First run of every row, and their number.
    edges : ndarray of int32, shape (2 runs,)
        The first x of every run and the first one behind it.
    ids : ndarray, shape (runs,)
        Label of every run.
    """
    rows = np.zeros(labels.shape[0] + 1, np.int64)
    with fitting(labels.size):
        spread(_count_runs, len(labels), labels, rows)
        np.cumsum(rows, out=rows)
        edges = np.empty(2 * rows[-1], np.int32)
        ids = np.empty(rows[-1], labels.dtype)
        spread(_fill_runs, len(labels), labels, rows, edges, ids)
    return rows, edges, ids


@compiled
def _extremes(
    begin: int,
    end: int,
    image: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> None:
    shares, height = low.shape[0], image.shape[0]
    for share in range(begin, end):
        lowest, highest = low[share], high[share]
        for row in range(share * height // shares, (share + 1) * height // shares):
            line = image[row]
            for run in range(rows[row], rows[row + 1]):
                a, b = lowest[ids[run]], highest[ids[run]]
                for x in range(edges[2 * run], edges[2 * run + 1]):
                    value = line[x]
                    a = value if value < a or value != value else a  # NaN stays
                    b = value if value > b or value != value else b
                lowest[ids[run]] = a
                highest[ids[run]] = b


def object_extremes(
    image: np.ndarray, rows: np.ndarray, edges: np.ndarray, ids: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest value of every object; NaN if it holds one.

    Parameters
    ----------
    image : ndarray of float32, shape (rows, X), C-contiguous
    rows, edges, ids : ndarray
        Runs of the objects, see `runs_of_labels`.
    count : int
        Objects 1 to count.

    Returns
    -------
    low, high : ndarray of float32, shape (count + 1,)
        Entry 0 is infinity and minus infinity.
    """
    with fitting(image.size):
        shares = threads.count()
        low = np.full((shares, count + 1), np.inf, np.float32)
        high = np.full((shares, count + 1), -np.inf, np.float32)
        spread(_extremes, shares, image, rows, edges, ids, low, high)
    return low.min(axis=0), high.max(axis=0)


@compiled
def _above_cutoffs(
    begin: int,
    end: int,
    image: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    cutoffs: np.ndarray,
    out: np.ndarray,
) -> None:
    for row in range(begin, end):
        line, found = image[row], out[row]
        fill(found, False)
        for run in range(rows[row], rows[row + 1]):
            cutoff = cutoffs[ids[run]]
            for x in range(edges[2 * run], edges[2 * run + 1]):
                found[x] = line[x] > cutoff


def above_cutoffs(
    image: np.ndarray,
    rows: np.ndarray,
    edges: np.ndarray,
    ids: np.ndarray,
    cutoffs: np.ndarray,
    out: np.ndarray,
) -> None:
    """The voxels of objects that lie above the cutoff of their object.

    Parameters
    ----------
    image : ndarray of float32, shape (rows, X), C-contiguous
    rows, edges, ids : ndarray
        Runs of the objects, see `runs_of_labels`.
    cutoffs : ndarray of float32, shape (count + 1,)
        NaN and infinity leave the object out.
    out : ndarray of bool, shape (rows, X), C-contiguous
        Written.
    """
    with fitting(image.size):
        spread(_above_cutoffs, len(image), image, rows, edges, ids, cutoffs, out)
