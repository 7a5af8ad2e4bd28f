"""The core of a block's image, as the compiled loops of statistics take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from fastseg.arrays import Namespace
from fastseg.tiling.block import Block
from fastseg.types import Array


def kept(block: Block, index: int = 0) -> Array:
    """The core of an input."""
    return block.arrays[index][block.place.keep]


@dataclass(frozen=True, slots=True)
class Voxels:
    """The core of an image for the compiled loops: the array around it, and where it lies there.

    Attributes
    ----------
    image : ndarray of float32, shape (Z, Y, X), C-contiguous
    start, stop : (z, y, x)
    kernel : callable
        From the name of a module of compiled loops to the module.
    """

    image: np.ndarray
    start: tuple[int, ...]
    stop: tuple[int, ...]
    kernel: Callable[[str], ModuleType]

    @property
    def bits(self) -> np.ndarray:
        return self.image.view(np.int32)

    @property
    def box(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.start, self.stop


def voxels_of(block: Block) -> Voxels | None:
    """The core of a block's image for the compiled loops; None where there are none: array code is for the others."""
    image = block.arrays[0]
    ns: Namespace = block.ns
    core = block.place.core.shape
    if ns.on_gpu or image.dtype != np.float32 or image.ndim > 3 or 0 in core or not image.flags.c_contiguous:
        return None
    lead = (1,) * (3 - image.ndim)
    keep = block.place.keep
    start = (*(0 for _ in lead), *(s.start for s in keep))
    stop = (*lead, *(s.stop for s in keep))
    return Voxels(image.reshape((*lead, *image.shape)), start, stop, ns.kernel)
