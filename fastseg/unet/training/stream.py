"""Batches of patches for training: drawn by seed, read ahead, augmented on the device."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastseg.arrays import Device
from fastseg.errors import InputError, Problems, UsageError
from fastseg.unet.graph import Triple
from fastseg.unet.training.augmentation import (
    AugmentationSettings,
    Intensity,
    draw_bend,
    draw_intensity,
    draw_turn,
)
from fastseg.unet.training.background import Background
from fastseg.unet.training.items import TrainingItem
from fastseg.unet.training.patch import PatchShape, Placement, RawPatch, offsets_of, read_patch
from fastseg.unet.training.placement import buffer_placements, place_anywhere, place_on_foreground
from fastseg.unet.training.resample import change_intensity, resample, resample_8bit, to_device
from fastseg.unet.training.sampling import (
    SamplingSettings,
    batches,
    epoch_items,
    epoch_order,
    fresh_patches,
    on_foreground,
)
from fastseg.unet.training.seeds import Purpose, generator
from fastseg.unet.training.team import Team
from fastseg.unet.training.volumes import VolumeStore

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
    team : Team, optional
        The ranks, if they are processes that share the scratch file, see `VolumeStore`.

    Notes
    -----
    An epoch is a pure function of items, settings, `seed`, its number, `rank` and `world`: numbers are drawn from
    generators that are derived from (seed, epoch, patch) or (seed, buffer), never from one that is carried along. What
    was asked for before does not matter, nor do `ahead`, `readers` and `memory`. Noise is drawn on the device and
    differs between kinds of device; everything else is drawn on the CPU.
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
        team: Team | None = None,
    ) -> None:
        _check_numbers(batch=batch, world=world, readers=readers)
        if not 0 <= rank < world or seed < 0 or ahead < 0:
            raise UsageError(
                f"rank {rank} of {world}, seed {seed} and {ahead} batches ahead are not possible: ranks count from 0, "
                "and no number is below 0"
            )
        self._sampling = sampling
        self._augmentation = augmentation
        self._shape = PatchShape(_triple(size_in), _triple(size_out), sampling.extension)
        if any(a < b or (a - b) % 2 for a, b in zip(size_in, size_out, strict=True)):
            raise UsageError(
                f"patches of {_spell(size_in)} cannot have an output of {_spell(size_out)}: an even number of voxels "
                "has to be lost along each axis"
            )
        self._channels, self._batch, self._seed = channels, batch, seed
        self._rank, self._world = rank, world
        self._ahead, self._readers = ahead, readers
        self._device = torch.device(str(device))
        self._buffer: tuple[int, list[Placement]] | None = None
        self._running: weakref.WeakSet[_Epoch] = weakref.WeakSet()
        if not items:
            raise UsageError("there are no images to train with")
        self._volumes = VolumeStore(items, channels, memory, scratch, team)
        self._check_shapes(items)
        self._steps = len(self._batches(self._patches()))
        if not self._steps:
            raise UsageError(
                f"{sampling.patches} patches are too few for {world} processes: one for each is needed"
            )

    def steps(self) -> int:
        """Batches of an epoch, the same on all ranks; with ``focus`` an epoch may have fewer."""
        return self._steps

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of this rank in an epoch, counted from 0, from the step `start` on.

        Those before it are not prepared: a patch depends on the seed, the epoch and its own number alone.

        With ``fresh`` all of them are full. With ``buffer`` and ``focus`` the last may be smaller, as in the reference;
        what does not divide among the ranks is then left out of it, so that all ranks have equally many patches in
        every step.

        Raises
        ------
        ReadError, InputError, WriteError
            When a volume cannot be read or copied, or there is no patch to draw; while the batches are taken.
        """
        if number < 0 or start < 0:
            raise UsageError(f"epoch {number} from step {start} on is not possible: both count from 0")
        made = _Epoch(self._make(number, start), self._ahead, self._device)
        self._running.add(made)
        return made

    def placements(self, number: int) -> list[Placement]:
        """Where the patches of an epoch lie, over all ranks and in their order; reads what is needed to know it."""
        draws = self._draws(number)
        return [self._drawn(draw)[0] for draw in draws]

    def close(self) -> None:
        """Stop what runs ahead and give scratch space back. May be called twice."""
        for running in list(self._running):
            running.close()
        self._volumes.close()

    def __enter__(self) -> PatchStream:
        return self

    def __exit__(self, *args: Any) -> None:
        self.close()

    def _check_shapes(self, items: Sequence[TrainingItem]) -> None:
        small = [
            f"{item.name} has {_spell(shape)} voxels"
            for item, shape in zip(items, self._volumes.shapes, strict=True)
            if any(n < m for n, m in zip(shape, self._shape.size_out, strict=True))
        ]
        if small:
            raise Problems(
                f"images smaller than a patch's output of {_spell(self._shape.size_out)} voxels", small
            )

    def _patches(self) -> int:
        if self._sampling.strategy == "fresh":
            return fresh_patches(self._sampling, self._batch * self._world)
        return self._sampling.patches

    def _batches(self, patches: int) -> list[int]:
        return batches(patches, self._batch, self._world)

    def _draws(self, epoch: int) -> list[_Draw]:
        """The patches of an epoch over all ranks."""
        if self._sampling.strategy == "fresh":
            chosen = epoch_items(self._seed, epoch, self._patches(), len(self._volumes))
            share = self._sampling.foreground_share
            return [_Draw(epoch, i, int(item), on_foreground(i, share)) for i, item in enumerate(chosen)]
        held = self._held(epoch // self._sampling.refill)
        order = epoch_order(self._seed, epoch, len(held))
        return [_Draw(epoch, i, held[k].item, placement=held[k]) for i, k in enumerate(order)]

    def _held(self, number: int) -> list[Placement]:
        """The buffer of this number; the last one is kept, as several epochs use it."""
        if self._buffer is None or self._buffer[0] != number:
            held = buffer_placements(
                self._volumes.__getitem__,
                self._volumes.shapes,
                self._shape,
                self._sampling,
                self._augmentation,
                self._seed,
                number,
            )
            if len(held) < self._world:
                raise InputError(
                    f"{len(held)} patches with at least {self._sampling.focus_voxels} voxels that have a cost were "
                    f"found, and {self._world} are needed: lower focus_voxels, or use another strategy"
                )
            self._buffer = number, held
        return self._buffer[1]

    def _drawn(self, draw: _Draw) -> tuple[Placement, np.ndarray, Intensity | None]:
        """Where a patch lies, the offsets of its pixels from its centre, and what happens to its intensities."""
        rng = generator(self._seed, Purpose.PATCH, draw.epoch, draw.index)
        turn = draw_turn(self._augmentation, rng)
        bent = draw_bend(self._augmentation, self._shape.size_in[1:], rng)
        intensity = draw_intensity(self._augmentation, self._channels, rng)
        if draw.placement is not None:
            return draw.placement, offsets_of(draw.placement.turn, self._shape, bent), intensity
        offsets = offsets_of(turn, self._shape, bent)
        place = place_on_foreground if draw.foreground else place_anywhere
        volumes = self._volumes[draw.item]
        return place(volumes, draw.item, turn, offsets, self._shape, rng), offsets, intensity

    def _read(self, draw: _Draw) -> tuple[RawPatch, Intensity | None]:
        placement, offsets, intensity = self._drawn(draw)
        raw = read_patch(self._volumes[draw.item], placement, offsets, self._shape, self._augmentation)
        return raw, intensity

    def _make(self, epoch: int, start: int) -> Generator[Batch, None, None]:
        """The batches of this rank, one after the other; patches of the next one are read meanwhile."""
        draws = self._draws(epoch)
        counts = self._batches(len(draws))
        first = sum(counts[:start])
        waiting: deque[list[Future[tuple[RawPatch, Intensity | None]]]] = deque()
        with ThreadPoolExecutor(self._readers, thread_name_prefix="fastseg-reader") as pool:
            try:
                for count in counts[start:]:
                    own = count // self._world
                    begin = first + self._rank * own
                    waiting.append([pool.submit(self._read, draw) for draw in draws[begin : begin + own]])
                    first += count
                    if len(waiting) == 2:
                        yield self._finish(waiting.popleft())
                while waiting:
                    yield self._finish(waiting.popleft())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _finish(self, reading: list[Future[tuple[RawPatch, Intensity | None]]]) -> Batch:
        """Bring patches to the device and make a batch of them."""
        images, truths, costs = [], [], []
        for future in reading:
            raw, intensity = future.result()
            box = to_device(raw.image, self._device)
            if self._augmentation.quantise:
                image = resample_8bit(box, raw.places)
            else:
                image = resample(box, raw.places, self._augmentation.interpolation)
            images.append(image if intensity is None else change_intensity(image, intensity))
            truths.append(to_device(raw.truth, self._device).long())
            costs.append(to_device(raw.cost, self._device))
        return Batch(torch.stack(images), torch.stack(truths), torch.stack(costs))


@dataclass(frozen=True)
class _Draw:
    """One patch of an epoch: its number, its image, and its place if that is known already."""

    epoch: int
    index: int
    item: int
    foreground: bool = False
    placement: Placement | None = None


class _Epoch(Iterator[Batch]):
    """The batches of an epoch, made ahead of use unless `ahead` is 0.

    On CUDA they are made on a stream of their own, beside the training step, which waits for it on the device alone.
    """

    def __init__(self, source: Generator[Batch, None, None], ahead: int, device: torch.device) -> None:
        self._device = device
        self._source: Generator[tuple[Batch, Any], None, None] | Background[tuple[Batch, Any]]
        own = _on_own_stream(source, device) if ahead and device.type == "cuda" else _as_they_are(source)
        self._source = Background(own, ahead) if ahead else own

    def __next__(self) -> Batch:
        batch, made = next(self._source)
        if made is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(made)
            for tensor in (batch.image, batch.truth, batch.cost):
                tensor.record_stream(current)  # its memory is not used again before the step is done with it
        return batch

    def close(self) -> None:
        self._source.close()


def _as_they_are(source: Generator[Batch, None, None]) -> Generator[tuple[Batch, Any], None, None]:
    try:
        for batch in source:
            yield batch, None
    finally:
        source.close()


def _on_own_stream(
    source: Generator[Batch, None, None], device: torch.device
) -> Generator[tuple[Batch, Any], None, None]:
    stream = torch.cuda.Stream(device)
    try:
        while True:
            with torch.cuda.stream(stream):
                batch = next(source, None)
            if batch is None:
                return
            yield batch, stream.record_event()
    finally:
        source.close()


def _check_numbers(**numbers: int) -> None:
    wrong = [f"{name} is {number}" for name, number in numbers.items() if number < 1]
    if wrong:
        raise UsageError(f"{' and '.join(wrong)}: at least 1 is needed")


def _triple(size: Sequence[int]) -> Triple:
    z, y, x = (int(n) for n in size)
    return z, y, x


def _spell(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))
