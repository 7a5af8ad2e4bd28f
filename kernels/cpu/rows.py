"""Copying and filling rows by loops: each assignment of a slice would take Numba about a second to compile."""

from __future__ import annotations

import numpy as np

from fastseg.kernels.jit import inner

__all__ = ["copy", "fill"]


@inner
def copy(row: np.ndarray, out: np.ndarray) -> None:
    """Write a row to another one of the same length."""
    for x in range(out.shape[0]):
        out[x] = row[x]


@inner
def fill(out: np.ndarray, value: float) -> None:
    """Write a value to all of a row."""
    for x in range(out.shape[0]):
        out[x] = value
