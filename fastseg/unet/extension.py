"""Boxes that reach beyond the volume: mirrored in Y and X, zeros in Z, as the networks were trained.

After normalisation zero is the darkest value: zero planes say "no signal". Mirroring includes the edge voxel
(d c b a | a b c d | d c b a) and repeats as often as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastseg.types import Box


def mirrored(positions: np.ndarray, length: int) -> np.ndarray:
    """Where positions of an endlessly mirrored axis lie on the axis of `length` voxels."""
    folded = positions % (2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)


def read_extended(
    arrays: Sequence[np.ndarray], box: Box, shape: Sequence[int], padded: Sequence[int], wanted: Box
) -> np.ndarray:
    """A box of the endlessly continued volume.

    Parameters
    ----------
    arrays : sequence of array (z, y, x)
        The channels, all covering `box`.
    box : Box
        The part of the volume that the arrays hold; it includes every voxel that `wanted` mirrors.
    shape, padded : (z, y, x)
        The volume, and what it is extended to at its far ends before it is continued (the same but for volumes that
        are shorter than a patch of the compat grid).
    wanted : Box
        May reach beyond the volume on all sides.

    Returns
    -------
    array (channels, z, y, x), float32
    """
    out = np.zeros((len(arrays), *wanted.shape), np.float32)
    z0, z1 = max(wanted.start[0], 0), min(wanted.stop[0], shape[0])
    if z0 >= z1:
        return out
    planes = slice(z0 - box.start[0], z1 - box.start[0])
    indices = []
    for axis in (1, 2):
        positions = np.arange(wanted.start[axis], wanted.stop[axis])
        # the extended volume is mirrored as a whole, then its extension leads back to the volume
        indices.append(mirrored(mirrored(positions, padded[axis]), shape[axis]) - box.start[axis])
    rows, columns = indices
    inside = out[:, z0 - wanted.start[0] : z1 - wanted.start[0]]
    for channel, array in enumerate(arrays):
        if _consecutive(rows) and _consecutive(columns):
            inside[channel] = array[planes, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        else:
            inside[channel] = array[planes][:, rows[:, None], columns[None, :]]
    return out


def _consecutive(indices: np.ndarray) -> bool:
    return bool((np.diff(indices) == 1).all())
