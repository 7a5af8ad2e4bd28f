"""Batches of patches for training: drawn by seed, read ahead, augmented on the device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastseg.arrays import Device
from fastseg.unet.graph import Triple
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.items import TrainingItem
from fastseg.unet.training.sampling import SamplingSettings

DEFAULT_MEMORY = 1 << 30


@dataclass(frozen=True)
class Batch:
    """Patches of one step, on the device.

    Attributes
    ----------
    image : Tensor (N, C, Z, Y, X), float32
        Of `size_in`.
    truth : Tensor (N, Z', Y', X'), int64
        Of `size_out`: class of each voxel.
    cost : Tensor (N, Z', Y', X'), float32
        Weight of each voxel; 0 where the patch reaches out of its image.
    """

    image: Tensor
    truth: Tensor
    cost: Tensor


class PatchStream:
    """The patches of a training run.

    Parameters
    ----------
    items : sequence of TrainingItem
    sampling : SamplingSettings
    augmentation : AugmentationSettings
    size_in, size_out : (z, y, x)
        Of patches of the image, and of truth and cost.
    channels : int
        Of the images.
    batch : int
        Patches of a step on one rank.
    seed : int
        0 or more.
    device : torch.device, Device or str
    rank, world : int
        Of `world` processes that train together, each with its own stream. A step's batches of all ranks, one after the
        other, are the batch that one process would get with ``batch * world``.
    memory : int
        Bytes for decoded volumes in memory; those beyond lie in a nameless scratch file.
    scratch : Path, optional
        Folder of that file; the system's for temporary files by default.
    ahead : int
        Batches that are prepared ahead of use on a thread; 0 for none, and no thread.
    readers : int
        Threads that read patches.

    Notes
    -----
    An epoch is a pure function of items, settings, `seed`, its number, `rank` and `world`: numbers are drawn from
    generators that are derived from (seed, epoch, patch) or (seed, buffer), never from one that is carried along. It does not
    matter which epochs were asked for before, nor `ahead`, `readers` and `memory`. Noise is drawn on the device and differs
    between kinds of device; everything else is drawn on the CPU.
    """

    def __init__(
        self,
        items: Sequence[TrainingItem],
        sampling: SamplingSettings,
        augmentation: AugmentationSettings,
        *,
        size_in: Triple,
        size_out: Triple,
        channels: int,
        batch: int,
        seed: int,
        device: torch.device | Device | str,
        rank: int = 0,
        world: int = 1,
        memory: int = DEFAULT_MEMORY,
        scratch: Path | None = None,
        ahead: int = 2,
        readers: int = 2,
    ) -> None:
        raise NotImplementedError

    def steps(self) -> int:
        """Batches of an epoch, the same on all ranks; with ``focus`` an epoch may have fewer."""
        raise NotImplementedError

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of this rank in an epoch, counted from 0.

        With ``fresh`` all of them are full. With ``buffer`` and ``focus`` the last may be smaller, as in the reference; what
        does not divide among the ranks is then left out of it, so that all ranks have equally many patches in every step.

        Raises
        ------
        ReadError, InputError, WriteError
            When a volume cannot be read or copied, or there is no patch to draw.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Stop what runs ahead and give scratch space back. May be called twice."""
        raise NotImplementedError

    def __enter__(self) -> PatchStream:
        return self

    def __exit__(self, *args: Any) -> None:
        self.close()
