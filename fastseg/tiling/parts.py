"""Arrays that a reduction collects piece by piece: what the tiles found, by the box that it fills."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastseg.types import Box


def assemble(parts: dict[Box, np.ndarray]) -> np.ndarray:
    """One array from pieces that tile it."""
    shape = tuple(max(box.stop[i] for box in parts) for i in range(len(next(iter(parts)).stop)))
    whole = np.empty(shape, next(iter(parts.values())).dtype)
    for box, part in parts.items():
        whole[box.slices] = part
    return whole


def join_parts(a: dict[Box, np.ndarray], b: dict[Box, np.ndarray]) -> dict[Box, np.ndarray]:
    """Combine by keeping the pieces of both."""
    return {**a, **b}


def assemble_parts(partial: dict[Box, np.ndarray], values: tuple[Any, ...], params: Any) -> np.ndarray:
    """Finalise by putting the pieces together."""
    return assemble(partial)
