"""Which patches an epoch shows: how many, from which images, and where in them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SamplingSettings(BaseModel):
    """Which patches are drawn.

    Attributes
    ----------
    strategy : {"fresh", "buffer", "focus"}
        ``fresh``: new patches in every epoch, each with its own rotation; every image gives equally many, and a share of
        them is centred on foreground. ``buffer``: the reference's loader `default`: a buffer of patches that is drawn
        anew every `refill` epochs and shown in a new order in each, with one rotation an image and buffer. ``focus``:
        the same, but only patches with at least `focus_voxels` voxels that count; the buffer may end up smaller.
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
        """What the reference's loader of this name does (``default`` or ``focus``)."""
        strategy: Literal["buffer", "focus"] = "focus" if loader == "focus" else "buffer"
        return cls(strategy=strategy, patches=patches, refill=refill, extension="zeros")
