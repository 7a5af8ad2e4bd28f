"""Which patches an epoch shows: how many, from which images, and where in them."""

from __future__ import annotations

from math import floor
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fastseg.errors import UsageError
from fastseg.unet.training.seeds import Purpose, generator

_LOADERS: dict[str, Literal["buffer", "focus"]] = {"default": "buffer", "focus": "focus"}
"""The reference's names, and the strategies here."""


class SamplingSettings(BaseModel):
    """Which patches are drawn.

    Attributes
    ----------
    strategy : {"fresh", "buffer", "focus"}
        ``fresh``: new patches in every epoch, each with its own rotation; every image gives equally many, and a share
        of them is centred on foreground. ``buffer``: the reference's loader `default`: a buffer of patches that is
        drawn anew every `refill` epochs and shown in a new order in each, with one rotation an image and buffer.
        ``focus``: the same, but only patches with at least `focus_voxels` voxels that count; the buffer may end up
        smaller.
    patches : int
        Patches of an epoch. With ``fresh`` it is rounded up to whole batches.
    foreground_share : float
        ``fresh``: the share of patches that are centred on a voxel of a class above 0 (each class of an image is as
        likely as the others) that has a cost.
    refill : int
        ``buffer`` and ``focus``: epochs between two buffers.
    focus_voxels : int
        ``focus``: voxels of a patch whose cost must not be 0.
    extension : {"mirror", "zeros"}
        How images go on beyond their border in Y and X; ``mirror`` as prediction does, ``zeros`` as the reference
        trains. Always zeros in Z.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: Literal["fresh", "buffer", "focus"] = Field(
        default="fresh",
        description="new patches in every epoch, or a buffer of patches that is drawn anew every few epochs",
    )
    patches: int = Field(default=160, ge=1, le=10_000_000, description="patches of an epoch")
    foreground_share: float = Field(
        default=0.5, ge=0, le=1, description="share of the patches of 'fresh' that are centred on foreground"
    )
    refill: int = Field(default=5, ge=1, le=1_000_000, description="epochs between two buffers")
    focus_voxels: int = Field(
        default=1000, ge=1, description="voxels with a cost that a patch of 'focus' has to have"
    )
    extension: Literal["mirror", "zeros"] = Field(
        default="mirror", description="how images go on beyond their border in y and x"
    )

    @classmethod
    def reference(cls, loader: str = "default", patches: int = 160, refill: int = 5) -> SamplingSettings:
        """What the reference's loader of this name does.

        Raises
        ------
        UsageError
            If there is none.
        """
        if loader not in _LOADERS:
            raise UsageError(f"loader '{loader}' is unknown: use {' or '.join(_LOADERS)}")
        return cls(strategy=_LOADERS[loader], patches=patches, refill=refill, extension="zeros")


def quotas(patches: int, images: int) -> list[int]:
    """How many patches each of so many images gives to a buffer; the first ones give one more where needed."""
    each, more = divmod(patches, images)
    return [each + (i < more) for i in range(images)]


def balanced_items(patches: int, images: int, rng: np.random.Generator) -> np.ndarray:
    """Which image each patch of an epoch comes from: all of them in a random order, again and again.

    Any stretch of `images` patches that begins at a multiple of it has each image once.
    """
    rounds = [rng.permutation(images) for _ in range(-(-patches // images))]
    return np.concatenate(rounds)[:patches]


def on_foreground(index: int, share: float) -> bool:
    """Whether a patch of this index is centred on foreground.

    Of the first n patches floor(n share) are, so every batch has its share.
    """
    # a tenth is a little more than a tenth in binary: products just below a whole number are meant to be it
    return floor((index + 1) * share + 1e-9) > floor(index * share + 1e-9)


def batches(patches: int, batch: int, world: int) -> list[int]:
    """Patches of each step, over all ranks: full batches, and what is left as far as it divides among the ranks."""
    full, rest = divmod(patches, batch * world)
    rest -= rest % world
    return [batch * world] * full + [rest] * (rest > 0)


def fresh_patches(settings: SamplingSettings, whole: int) -> int:
    """Patches of an epoch of `fresh`: a multiple of the `whole` batch of all ranks."""
    return -(-settings.patches // whole) * whole


def epoch_items(seed: int, epoch: int, patches: int, images: int) -> np.ndarray:
    """`balanced_items` of an epoch of `fresh`."""
    return balanced_items(patches, images, generator(seed, Purpose.ORDER, epoch))


def epoch_order(seed: int, epoch: int, patches: int) -> np.ndarray:
    """In which order an epoch shows the patches of a buffer."""
    return generator(seed, Purpose.ORDER, epoch).permutation(patches)
