"""Patch grids: which patches of a volume are computed, and which voxels are taken from each.

A network that pools is shift-equivariant only for shifts by multiples of its pooling stride (`AxisRule.period`). The
aligned grid therefore puts every patch at a multiple of the period, counted from the volume's first voxel. Each voxel
then has one value, that of the network on the endlessly continued volume, whatever the patch sizes. The compat grid
is the reference's: patches of one size side by side, the last one moved back to fit, so that a voxel's value depends
on the patch size.

Both grids are laid over the volume, not over the tiles that an engine cuts it into: libraries add up products in an
order that depends on the size of a patch, and a voxel that is always computed in the same patch has the same last bit
in every tiling. A tile that ends inside a patch computes all of it; tiles of whole patches lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from fastseg.errors import UsageError
from fastseg.types import Box
from fastseg.unet.flips import NO_FLIP, Flip, flipped_box
from fastseg.unet.graph import Triple
from fastseg.unet.sizes import AxisRule, SizeRule


@dataclass(frozen=True, slots=True)
class Span:
    """A patch along one axis: output voxels ``start`` to ``start + size`` of the volume, of which ``keep`` are used."""

    start: int
    size: int
    keep: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Patch:
    """One run of the network.

    Attributes
    ----------
    start : (z, y, x)
        Where its output begins in the volume; it may lie outside.
    size : (z, y, x)
        Size of its output, a valid one.
    keep : Box
        The voxels of the volume that are taken from it.
    """

    start: Triple
    size: Triple
    keep: Box

    @property
    def within(self) -> tuple[slice, ...]:
        """Slices of the kept voxels inside the patch's output."""
        return tuple(slice(a - s, b - s) for (a, b), s in zip(self.keep, self.start, strict=True))


class PatchGrid(Protocol):
    """Patches of a volume, for any box of it."""

    @property
    def sizes(self) -> SizeRule:
        """The valid sizes of the network."""
        ...

    @property
    def largest(self) -> Triple:
        """Output size of the largest patch."""
        ...

    def step(self, shape: Sequence[int]) -> Triple:
        """Distance from one patch to the next; tiles of multiples of it end where patches end."""
        ...

    def padded(self, shape: Sequence[int]) -> Triple:
        """The volume's size once it has been extended at its far ends to that of a patch."""
        ...

    def patches(self, core: Box, shape: Sequence[int], flip: Flip = NO_FLIP) -> Iterator[Patch]:
        """The patches that give the voxels of `core` in a volume of `shape`, each voxel once.

        With a flip they are patches of the mirrored volume, in its coordinates; `core` is not mirrored.
        """
        ...


@dataclass(frozen=True)
class AlignedGrid:
    """Patches at multiples of the pooling stride, of about equal sizes.

    Attributes
    ----------
    sizes : SizeRule
    largest : (z, y, x)
        Largest output of a patch; a valid size of at least the pooling stride.
    """

    sizes: SizeRule
    largest: Triple

    def __post_init__(self) -> None:
        self.sizes.check(self.sizes.size_in(self.largest))
        for name, n, rule in zip("ZYX", self.largest, self.sizes.axes, strict=True):
            if n < rule.period:
                raise UsageError(
                    f"patches with an output of {n} voxels along {name} leave gaps on a grid of {rule.period}: give an "
                    f"input of at least {rule.output_for(rule.period) + 2 * rule.margin}"
                )

    def step(self, shape: Sequence[int]) -> Triple:
        rules = zip(shape, self.largest, self.sizes.axes, strict=True)
        z, y, x = (aligned_step(n, largest, rule.period) for n, largest, rule in rules)
        return z, y, x

    def padded(self, shape: Sequence[int]) -> Triple:
        return shape[0], shape[1], shape[2]

    def patches(self, core: Box, shape: Sequence[int], flip: Flip = NO_FLIP) -> Iterator[Patch]:
        step = self.step(shape)
        spans = [
            aligned_spans(*ends, n, s, rule, f)
            for ends, n, s, rule, f in zip(core, shape, step, self.sizes.axes, flip, strict=True)
        ]
        return _patches(spans)


def aligned_step(length: int, largest: int, period: int) -> int:
    """The distance of patches that cut an axis into as few parts as possible, of about equal lengths.

    A multiple of the period, unless one patch is enough.
    """
    if length <= largest:
        return length
    count = -(-length // (largest // period * period))
    return -(-length // (count * period)) * period


def aligned_spans(
    start: int, stop: int, length: int, step: int, rule: AxisRule, flip: bool = False
) -> list[Span]:
    """Spans that give `start` to `stop` of an axis of `length` voxels, cut at multiples of `step`.

    On a mirrored axis the cuts are where they are without the flip, so that tiles of whole patches stay so. A span then
    begins at the multiple of the period before its cut and may be a period longer.
    """
    spans = []
    for begin in range(start // step * step, stop, step):
        end = min(begin + step, length)
        low, high, keep = begin, end, (max(begin, start), min(end, stop))
        if flip:
            low, high, keep = length - end, length - begin, (length - keep[1], length - keep[0])
        first = low // rule.period * rule.period
        spans.append(Span(first, rule.output_for(high - first), keep))
    return spans


@dataclass(frozen=True)
class CompatGrid:
    """The reference's patches: one size, side by side, the last one moved back to end with the volume.

    A volume shorter than a patch is extended to its size at the far end first (mirrored in Y and X, zeros in Z). Where
    the reference computes the last patch of an exact multiple twice, it is computed once; values are the same.

    Attributes
    ----------
    sizes : SizeRule
    largest : (z, y, x)
        Output size of every patch.
    """

    sizes: SizeRule
    largest: Triple

    def __post_init__(self) -> None:
        self.sizes.check(self.sizes.size_in(self.largest))

    def step(self, shape: Sequence[int]) -> Triple:
        return self.largest

    def padded(self, shape: Sequence[int]) -> Triple:
        z, y, x = (max(n, size) for n, size in zip(shape, self.largest, strict=True))
        return z, y, x

    def patches(self, core: Box, shape: Sequence[int], flip: Flip = NO_FLIP) -> Iterator[Patch]:
        seen = flipped_box(core, shape, flip)
        spans = [
            compat_spans(*ends, n, size) for ends, n, size in zip(seen, shape, self.largest, strict=True)
        ]
        return _patches(spans)


def compat_spans(start: int, stop: int, length: int, size: int) -> list[Span]:
    """The reference's spans that own voxels between `start` and `stop` of an axis of `length` voxels."""
    if length <= size:
        return [Span(0, size, (start, stop))]
    last = length - size
    spans = []
    for begin in range(0, last, size):
        keep = max(start, begin), min(stop, begin + size, last)
        if keep[0] < keep[1]:
            spans.append(Span(begin, size, keep))
    if stop > last:
        spans.append(Span(last, size, (max(start, last), stop)))
    return spans


def cuts_no_patch(grid: PatchGrid, shape: Sequence[int], tile: Sequence[int] | None) -> bool:
    """Whether every tile of an engine ends where a patch of the aligned grid ends."""
    if tile is None:
        return True
    if not isinstance(grid, AlignedGrid):
        return all(t >= n for t, n in zip(tile, shape, strict=True))
    return all(t >= n or t % s == 0 for t, n, s in zip(tile, shape, grid.step(shape), strict=True))


def whole_patches(grid: PatchGrid, shape: Sequence[int], tile: Sequence[int]) -> Triple:
    """The largest tile of whole patches that is no larger than `tile`, at least one patch."""
    z, y, x = (
        n if t >= n else min(n, max(1, t // s) * s)
        for t, n, s in zip(tile, shape, grid.step(shape), strict=True)
    )
    return z, y, x


def halo_of(grid: PatchGrid, shape: Sequence[int], whole: bool) -> Triple:
    """Voxels around a tile that its patches may read, `whole` where tiles cut no patch."""
    if whole:
        return grid.sizes.halo
    z, y, x = (step - 1 + halo for step, halo in zip(grid.step(shape), grid.sizes.halo, strict=True))
    return z, y, x


def _patches(spans: Sequence[Sequence[Span]]) -> Iterator[Patch]:
    for z, y, x in product(*spans):
        yield Patch(
            (z.start, y.start, x.start),
            (z.size, y.size, x.size),
            Box((z.keep[0], y.keep[0], x.keep[0]), (z.keep[1], y.keep[1], x.keep[1])),
        )
