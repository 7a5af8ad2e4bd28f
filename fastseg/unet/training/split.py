"""Which images are held back to validate with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import floor, isfinite
from pathlib import Path

import numpy as np

from fastseg.errors import UsageError
from fastseg.unet.training.items import TrainingItem
from fastseg.unet.wording import counted

_NAMED = 4
"""Images that a message names."""


@dataclass(frozen=True)
class Split:
    """Two lists without a common item, each in the order of the data set."""

    training: tuple[TrainingItem, ...]
    validation: tuple[TrainingItem, ...]


def split_items(
    items: Sequence[TrainingItem], leaveout: Sequence[float | str] | None, *, seed: int = 0
) -> Split:
    """Split a data set.

    Parameters
    ----------
    items : sequence of TrainingItem
    leaveout : sequence of number or str, or None
        Nothing: no validation. One number f between 0 and 1: of n images, floor((1 - f) n) are trained with, drawn by
        `seed`; whole groups, and all items of one image, are left out until the others are no more than that. Other
        numbers: the images of these indices, from 0. Names: these images.
    seed : int

    Raises
    ------
    UsageError
        For indices and names that do not exist or are given twice, where nothing is left to train with, and where an
        image would be in both lists.
    """
    wanted = [] if leaveout is None else list(leaveout)
    if not wanted:
        out: set[int] = set()
    elif len(wanted) == 1 and not isinstance(wanted[0], str) and 0 < wanted[0] < 1:
        out = _share(items, wanted[0], seed)
    else:
        out = _listed(items, wanted)
    if len(out) >= len(items):
        raise UsageError(
            f"leaveout {_spell(wanted)} leaves no image to train with: the data set has {counted(len(items), 'image')}"
        )
    chosen = [(i in out, item) for i, item in enumerate(items)]
    split = Split(
        training=tuple(item for held_back, item in chosen if not held_back),
        validation=tuple(item for held_back, item in chosen if held_back),
    )
    _refuse_shared_images(split)
    return split


def _refuse_shared_images(split: Split) -> None:
    """A network validated with what it was trained with looks better than it is."""
    trained = {item.image.resolve(): item for item in split.training}
    for item in split.validation:
        other = trained.get(item.image.resolve())
        if other is not None:
            raise UsageError(
                f"the image {item.image} is in training ({other.name}) and validation ({item.name}): leave out both, "
                "or give both the same group"
            )


def _share(items: Sequence[TrainingItem], share: float, seed: int) -> set[int]:
    count = len(items)
    # decimal fractions are meant: (1 - 0.9) * 10 is 0.9999999999999998 in binary ones
    training = floor(round((1 - share) * count, 9))
    members: dict[str | Path, list[int]] = {}
    for index, item in enumerate(items):
        members.setdefault(item.group or item.image.resolve(), []).append(index)
    blocks = list(members.values())
    out: set[int] = set()
    for block in np.random.default_rng(seed).permutation(len(blocks)):
        if count - len(out) <= training:
            break
        out.update(blocks[block])
    return out


def _listed(items: Sequence[TrainingItem], wanted: list[float | str]) -> set[int]:
    names = {item.name: index for index, item in enumerate(items)}
    problems = []
    found = []
    for one in wanted:
        if isinstance(one, str):
            if one in names:
                found.append(names[one])
            else:
                near = get_close_matches(one, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"they are {_some(list(names))}"
                problems.append(f"'{one}' is no image of this data set ({hint})")
        elif isfinite(one) and int(one) == one and 0 <= one < len(items):
            found.append(int(one))
        else:
            problems.append(f"{one:g} is no index from 0 to {len(items) - 1}")
    problems += [f"'{items[i].name}' is given twice" for i, n in Counter(found).items() if n > 1]
    if problems:
        raise UsageError(f"leaveout {_spell(wanted)}: {'; '.join(problems)}")
    return set(found)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return f"{', '.join(names[:_NAMED])}{f' and {more} more' if more > 0 else ''}"


def _spell(wanted: list[float | str]) -> str:
    return ", ".join(one if isinstance(one, str) else f"{one:g}" for one in wanted) or "(empty)"
