"""Where patches lie: anywhere, on foreground, or as the reference draws a buffer of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fastseg.errors import InputError
from fastseg.unet.graph import Triple
from fastseg.unet.training.augmentation import AugmentationSettings, draw_turn
from fastseg.unet.training.geometry import Nearest, Turn, middle
from fastseg.unet.training.patch import PatchShape, Placement, offsets_of, take_cost
from fastseg.unet.training.sampling import SamplingSettings, quotas
from fastseg.unet.training.seeds import Purpose, generator
from fastseg.unet.training.volumes import Volumes

_TRIES = 50
"""Draws until one is good enough; after that a place is chosen that is known to be good."""

_FOCUS_COST = 1e-5
_FOCUS_REJECTED = 51
"""Of the reference: a voxel counts above the first, an image is given up for a round after so many rejected draws."""


def place_anywhere(
    volumes: Volumes, item: int, turn: Turn, offsets: np.ndarray, shape: PatchShape, rng: np.random.Generator
) -> Placement:
    """A patch anywhere in the image, with at least one voxel that has a cost.

    Before it is turned its truth lies wholly in the image, each position as likely as any other.

    Raises
    ------
    InputError
        If no voxel of the image has a cost.
    """
    for _ in range(_TRIES):
        placement = _at(item, _draw_start(volumes.shape, shape.size_out, rng), turn, shape.size_out)
        if _counts(volumes, placement, offsets, shape):
            return placement
    assert volumes.counting is not None
    assert volumes.cost is not None
    if not volumes.counting.any():
        raise InputError(f"{volumes.name} has no voxel with a cost: leave it out")
    cost = volumes.cost
    return _around_voxels(
        volumes, item, turn, offsets, shape, rng, volumes.counting, lambda plane: cost[plane] > 0
    )


def place_on_foreground(
    volumes: Volumes, item: int, turn: Turn, offsets: np.ndarray, shape: PatchShape, rng: np.random.Generator
) -> Placement:
    """A patch around a voxel of a class above 0 that has a cost, moved into the image where it would reach out.

    Each class of the image is as likely as the others, and so is each voxel of a class. Without foreground, anywhere.
    """
    present = np.flatnonzero(volumes.foreground.any(1))
    if not len(present):
        return place_anywhere(volumes, item, turn, offsets, shape, rng)
    kind = int(rng.choice(present))

    def of_class(plane: int) -> np.ndarray:
        found = volumes.truth[plane] == kind + 1
        return found if volumes.cost is None else found & (volumes.cost[plane] > 0)

    return _around_voxels(volumes, item, turn, offsets, shape, rng, volumes.foreground[kind], of_class)


def _around_voxels(
    volumes: Volumes,
    item: int,
    turn: Turn,
    offsets: np.ndarray,
    shape: PatchShape,
    rng: np.random.Generator,
    counts: np.ndarray,
    plane_of: Callable[[int], np.ndarray],
) -> Placement:
    """A patch around a voxel of a set, which it still has when it is turned, and with a voxel that has a cost."""
    for _ in range(_TRIES):
        voxel = _draw_voxel(counts, plane_of, rng)
        placement = _at(item, _around(voxel, volumes.shape, shape.size_out), turn, shape.size_out)
        if _is_seen(voxel, placement, shape.size_out) and _counts(volumes, placement, offsets, shape):
            break
    return placement


def buffer_placements(
    get: Callable[[int], Volumes],
    shapes: Sequence[Triple],
    shape: PatchShape,
    sampling: SamplingSettings,
    augmentation: AugmentationSettings,
    seed: int,
    number: int,
) -> list[Placement]:
    """The patches of a buffer, by the reference's rules.

    Each image is turned as a whole, about its centre and keeping its size, and the starts of its patches are drawn on
    the turned image, each as likely as any other. Images give equally many patches, in a random order of images; with
    fewer patches than images only the first ones give any.

    Parameters
    ----------
    get : callable
        ``get(item) -> Volumes``; called only for ``focus``, which looks at costs.
    shapes : sequence of (z, y, x)
        Of the images.
    shape : PatchShape
    sampling : SamplingSettings
    augmentation : AugmentationSettings
    seed, number : int
        Of the buffer.

    Returns
    -------
    list of Placement
        `sampling.patches` of them, fewer with ``focus`` if too many draws were rejected in two rounds.
    """
    focus = sampling.strategy == "focus"
    order = [int(i) for i in generator(seed, Purpose.BUFFER, number).permutation(len(shapes))]
    held: list[Placement] = []
    for turn_number in range(2 if focus else 1):
        missing = sampling.patches - len(held)
        for item, quota in zip(order, quotas(missing, len(order)), strict=True):
            if not quota:
                continue
            rng = generator(seed, Purpose.IMAGE, number, turn_number, item)
            turn = draw_turn(augmentation, rng)
            accept = _focus_rule(get(item), shape, sampling, augmentation, turn) if focus else None
            held += _draw_quota(item, shapes[item], shape.size_out, turn, quota, accept, rng)
    return held


def _draw_quota(
    item: int,
    image: Triple,
    size_out: Triple,
    turn: Turn,
    quota: int,
    accept: Callable[[Placement], bool] | None,
    rng: np.random.Generator,
) -> list[Placement]:
    held: list[Placement] = []
    rejected = 0
    while len(held) < quota and rejected < _FOCUS_REJECTED:
        placement = _in_turned(item, _draw_start(image, size_out, rng), turn, image, size_out)
        if accept is None or accept(placement):
            held.append(placement)
        else:
            rejected += 1
    return held


def _focus_rule(
    volumes: Volumes,
    shape: PatchShape,
    sampling: SamplingSettings,
    augmentation: AugmentationSettings,
    turn: Turn,
) -> Callable[[Placement], bool]:
    offsets = offsets_of(turn, shape)

    def accept(placement: Placement) -> bool:
        cost = _cost(volumes, placement, offsets, shape, augmentation.quantise)
        return int(np.count_nonzero(cost > _FOCUS_COST)) >= sampling.focus_voxels

    return accept


def _in_turned(item: int, start: Triple, turn: Turn, image: Triple, size_out: Triple) -> Placement:
    """Where a patch of the turned image lies in the image itself."""
    middle_of = [(n - 1) / 2 for n in image[1:]]
    away = [s + (n - 1) / 2 - m for s, n, m in zip(start[1:], size_out[1:], middle_of, strict=True)]
    y, x = np.array(middle_of) + turn.matrix @ away
    plane = image[0] - size_out[0] - start[0] if turn.flip[0] else start[0]
    return Placement(item, plane, (float(y), float(x)), turn)


def _at(item: int, start: Triple, turn: Turn, size_out: Triple) -> Placement:
    """The patch whose truth begins at `start` before it is turned."""
    y, x = (s + (n - 1) / 2 for s, n in zip(start[1:], size_out[1:], strict=True))
    return Placement(item, start[0], (y, x), turn)


def _draw_start(image: Triple, size_out: Triple, rng: np.random.Generator) -> Triple:
    z, y, x = (int(rng.integers(0, n - m, endpoint=True)) for n, m in zip(image, size_out, strict=True))
    return z, y, x


def _around(voxel: Triple, image: Triple, size_out: Triple) -> Triple:
    """Start of the truth patch around a voxel, as far as the image allows."""
    z, y, x = (min(max(v - m // 2, 0), n - m) for v, n, m in zip(voxel, image, size_out, strict=True))
    return z, y, x


def _draw_voxel(
    counts: np.ndarray, plane_of: Callable[[int], np.ndarray], rng: np.random.Generator
) -> Triple:
    """One voxel of a set of which the `counts` of each plane are known, each as likely; looks at one plane only."""
    ends = np.cumsum(counts)
    rank = int(rng.integers(ends[-1]))
    z = int(np.searchsorted(ends, rank, side="right"))
    inside = plane_of(z)
    flat = np.flatnonzero(inside)[rank - int(ends[z] - counts[z])]
    y, x = divmod(int(flat), inside.shape[1])
    return z, y, x


def _is_seen(voxel: Triple, placement: Placement, size_out: Triple) -> bool:
    """Whether a turned patch still has a voxel; one in a corner may be turned out of it."""
    # the matrix is orthogonal: its transpose takes an offset in the image back into the patch
    away = placement.turn.matrix.T @ (np.array(voxel[1:]) - placement.centre)
    return bool((np.abs(away) <= np.array(size_out[1:]) / 2).all())


def _cost(
    volumes: Volumes, placement: Placement, offsets: np.ndarray, shape: PatchShape, quantise: bool
) -> np.ndarray:
    places = np.array(placement.centre)[:, None, None] + middle(offsets, shape.size_out[1:])
    planes = range(placement.plane, placement.plane + shape.size_out[0])
    return take_cost(volumes, Nearest.to(places, volumes.shape[1:]), planes, quantise)


def _counts(volumes: Volumes, placement: Placement, offsets: np.ndarray, shape: PatchShape) -> bool:
    if volumes.cost is None:
        return True  # the centre of a patch always lies in the image
    return bool((_cost(volumes, placement, offsets, shape, False) > 0).any())
