"""Random generators that are derived and never carried along: any patch can be drawn without those before it."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What numbers are drawn for; each purpose has its own generators."""

    ORDER = 0
    """Of images, or of the patches of a buffer, in an epoch."""
    PATCH = 1
    BUFFER = 2
    """Order of the images in a buffer."""
    IMAGE = 3
    """Of a buffer."""


def generator(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """The generator for one purpose and, say, an epoch and a patch."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose), *numbers)))
