"""What the array code of an operator is given: a block of each input, and where the block lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastseg.arrays import Namespace
from fastseg.types import Array, Box


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block lies in the volume.

    Attributes
    ----------
    box : Box
        What the arrays cover: the core and its halo, cut at the border of the volume. An array therefore ends where
        the volume ends, or inside a halo that will be thrown away; border rules may act at every end.
    core : Box
        What will be kept.
    shape : tuple of int
        The shape of the whole volume.
    """

    box: Box
    core: Box
    shape: tuple[int, ...]

    @property
    def keep(self) -> tuple[slice, ...]:
        """Slices of the core inside an array that covers `box`."""
        return self.core.within(self.box)


@dataclass(frozen=True, slots=True)
class Block:
    """Arguments of the array code of an operator.

    Attributes
    ----------
    arrays : tuple of arrays
        One array for every volume among the inputs, in their order, each covering ``place.box``. Read-only by law.
    values : tuple
        The other inputs in their order: scalars, planes, tables that are small and the same for every tile.
    params : object
        The operator's parameters.
    place : Place
        Where the arrays lie.
    ns : Namespace
        The array library of `arrays`.
    """

    arrays: tuple[Array, ...]
    values: tuple[Any, ...]
    params: Any
    place: Place
    ns: Namespace
