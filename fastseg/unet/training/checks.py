"""What can be wrong with a data set, found before the first step and all at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from fastseg.arrays.cores import usable_cores
from fastseg.errors import FastsegError, Problems
from fastseg.unet.graph import Triple
from fastseg.unet.training.items import TrainingItem
from fastseg.unet.training.stacks import ItemStacks, Stack, channels_problem, open_item

_THREADS = 4


@dataclass
class _Found:
    """What one item gives."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    classes: set[int] = field(default_factory=set)
    """Above 0, of voxels that count."""


def check_items(
    items: Sequence[TrainingItem],
    *,
    channels: int,
    classes: Sequence[int],
    size_in: Triple,
    size_out: Triple,
    quantise: bool = False,
    trained: int | None = None,
) -> tuple[str, ...]:
    """Read everything once, a few planes at a time, and report what is wrong.

    Parameters
    ----------
    items : sequence of TrainingItem
    channels : int
        That the network takes.
    classes : sequence of int
        Of each output; the truth has to be below all of them.
    size_in, size_out : (z, y, x)
        Of the patches.
    quantise : bool
        `AugmentationSettings.quantise`: images outside [0, 1] are then errors.
    trained : int, optional
        So many items are trained with, the others are held back; all of them by default. What is to be learnt has to
        be in the first.

    Returns
    -------
    tuple of str
        Warnings: what training can live with and is seldom meant.

    Raises
    ------
    Problems
        Every error of every item.
    """
    if not items:
        raise Problems("training data", ["there are no images"])
    rule = _Rule(channels, min(classes), size_in, size_out, quantise)
    with ThreadPoolExecutor(max(1, min(_THREADS, usable_cores(), len(items)))) as pool:
        found = list(pool.map(rule.check, items))
    errors = [f"{item.name}: {e}" for item, one in zip(items, found, strict=True) for e in one.errors]
    learnt: set[int] = set().union(*(one.classes for one in found[:trained]))
    if not errors and not learnt:
        errors.append(
            "no image to train with has a voxel of a class above 0 that counts: there is nothing to learn"
        )
    if errors:
        raise Problems("training data", errors)
    warnings = [f"{item.name}: {w}" for item, one in zip(items, found, strict=True) for w in one.warnings]
    missing = [str(c) for c in range(1, rule.classes) if c not in learnt]
    if missing:
        kind = "class" if len(missing) == 1 else "classes"
        warnings.append(
            f"no image to train with has a voxel of {kind} {', '.join(missing)} that counts: the network will not find "
            f"{'it' if len(missing) == 1 else 'them'}"
        )
    return tuple(warnings)


@dataclass(frozen=True)
class _Rule:
    channels: int
    classes: int
    size_in: Triple
    size_out: Triple
    quantise: bool

    def check(self, item: TrainingItem) -> _Found:
        found = _Found()
        try:
            stacks = open_item(item)
            self._check_shape(stacks, found)
            self._check_image(stacks.image, found)
            self._check_maps(stacks, found)
        except FastsegError as error:
            found.errors.append(str(error).removeprefix(f"{item.name}: "))
        return found

    def _check_shape(self, stacks: ItemStacks, found: _Found) -> None:
        channels = channels_problem(stacks.image, self.channels)
        if channels is not None:
            found.errors.append(channels)
        small = [
            f"{n} along {axis} instead of {least}"
            for axis, n, least in zip("zyx", stacks.shape, self.size_out, strict=True)
            if n < least
        ]
        if small:
            found.errors.append(
                f"the image is smaller than the output of a patch ({', '.join(small)}): take smaller patches, or leave "
                "it out"
            )

    def _check_image(self, image: Stack, found: _Found) -> None:
        low, high, finite = np.inf, -np.inf, True
        for slab in image.slabs():
            voxels = image.planes(slab)
            low, high = min(low, float(voxels.min())), max(high, float(voxels.max()))
            finite = finite and bool(np.isfinite(voxels).all())
        if not finite:
            found.errors.append(f"{image.path} holds voxels that are not finite (NaN or infinite)")
        elif low < 0 or high > 1:
            message = f"{image.path} has values from {low:g} to {high:g}; normalised images lie in [0, 1]"
            (found.errors if self.quantise else found.warnings).append(message)
        elif low == high:
            found.warnings.append(f"{image.path} is constant ({low:g})")

    def _check_maps(self, stacks: ItemStacks, found: _Found) -> None:
        top, low, high, finite = 0, np.inf, -np.inf, True
        for slab in stacks.truth.slabs():
            truth = stacks.truth_planes(slab)
            top = max(top, int(truth.max()))
            counts = None
            if stacks.cost is not None:
                cost = stacks.cost.planes(slab)
                finite = finite and bool(np.isfinite(cost).all())
                low, high = min(low, float(cost.min())), max(high, float(cost.max()))
                counts = cost > 0
            for class_ in range(1, self.classes):
                if class_ not in found.classes:
                    own = truth == class_
                    if bool((own if counts is None else own & counts).any()):
                        found.classes.add(class_)
        self._judge_truth(stacks, top, found)
        if stacks.cost is None:
            return
        if not finite:
            found.errors.append(f"{stacks.cost.path} holds costs that are not finite (NaN or infinite)")
        elif low < 0:
            found.errors.append(f"{stacks.cost.path} holds costs down to {low:g}: they have to be 0 or above")
        elif high == 0:
            found.errors.append(
                f"{stacks.cost.path} is 0 everywhere: no voxel of this image counts, leave it out"
            )

    def _judge_truth(self, stacks: ItemStacks, top: int, found: _Found) -> None:
        path = stacks.truth.path
        if top >= self.classes:
            hint = "; masks of 0 and 255 have to become 0 and 1" if top == 255 else ""
            found.errors.append(
                f"{path} holds class {top}; the network has classes 0 to {self.classes - 1}{hint}"
            )
        elif not found.classes:
            found.warnings.append(f"{path} has no voxel of a class above 0 that counts")
