"""The core of a block's image, as the compiled loops of statistics take it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    image : array of float32, shape (Z, Y, X), C-contiguous
    start, stop : (z, y, x)
    ns : Namespace
    """

    image: Array
    start: tuple[int, ...]
    stop: tuple[int, ...]
    ns: Namespace

    def kernel(self, name: str) -> ModuleType:
        return self.ns.kernel(name)

    @property
    def bits(self) -> Array:
        return self.image.view(np.int32)

    def slabs(self, voxels: int) -> Iterator[Voxels]:
        """The same in parts of whole planes, of no more than some voxels where a plane has less."""
        (z0, y0, x0), (z1, y1, x1) = self.start, self.stop
        step = max(1, voxels // ((y1 - y0) * (x1 - x0)))
        for z in range(z0, z1, step):
            yield replace(self, start=(z, y0, x0), stop=(min(z + step, z1), y1, x1))

    @property
    def box(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return self.start, self.stop


def voxels_of(block: Block) -> Voxels | None:
    """The core of a block's image for the compiled loops; None for images of another type or layout: array code is for
    these."""
    image = block.arrays[0]
    ns: Namespace = block.ns
    core = block.place.core.shape
    if image.dtype != np.float32 or image.ndim > 3 or 0 in core or not image.flags.c_contiguous:
        return None
    lead = (1,) * (3 - image.ndim)
    keep = block.place.keep
    start = (*(0 for _ in lead), *(s.start for s in keep))
    stop = (*lead, *(s.stop for s in keep))
    return Voxels(image.reshape((*lead, *image.shape)), start, stop, ns)
