"""Prediction as a rule of the tiling engine: a tile needs its own voxels and a halo, whatever the patches inside it.

The network's inputs are volumes, one a channel; what comes out is one map or, for several selections, one record
array whose fields are the maps: the network runs once a tile, and nodes of the same stage take the fields apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.arrays import Device, to_host
from fastseg.errors import InputError, UsageError
from fastseg.tiling import Block, Local, Place
from fastseg.tiling.rules import Halo
from fastseg.types import Array, Box
from fastseg.unet.extension import read_extended
from fastseg.unet.flips import Flip, flipped, flipped_box
from fastseg.unet.model import Model
from fastseg.unet.model_info import Selection
from fastseg.unet.patches import Patch, PatchGrid

_IN_FLIGHT = 2
"""Batches that are queued on a GPU while the host prepares the next one."""


@dataclass(frozen=True)
class Prediction:
    """Parameters of the rule.

    Attributes
    ----------
    model : Model
        Loaded once in every worker.
    grid : PatchGrid
    halo : (z, y, x)
        Voxels that patches read beside a tile, see `fastseg.unet.patches.halo_of`.
    selections : tuple of Selection
        The probability maps that are wanted.
    flips : tuple of Flip
    device : Device
        Where the network runs; the engine's blocks are on the host.
    precision : str
    batch : int
        Patches of one size that run together.
    limit : float or None
        Give masks of the probabilities above it.
    """

    model: Model
    grid: PatchGrid
    halo: Halo
    selections: tuple[Selection, ...]
    flips: tuple[Flip, ...]
    device: Device
    precision: str = "float32"
    batch: int = 1
    limit: float | None = None

    def dtype(self) -> np.dtype[Any]:
        """Of a tile: that of the map, or a record with a field for each map."""
        one = np.dtype(np.float32 if self.limit is None else bool)
        if len(self.selections) == 1:
            return one
        return np.dtype([(s.name, one) for s in self.selections])


@dataclass(frozen=True)
class _Job:
    """A patch of the image seen through a flip."""

    patch: Patch
    flip: Flip


def _halo(params: Prediction) -> Halo:
    return params.halo


def _apply(block: Block) -> Array:
    found = predict_box([to_host(a) for a in block.arrays], block.place, block.params)
    if not block.ns.on_gpu:
        return found
    if found.dtype.names:
        raise UsageError(
            "several maps at a time need an engine on the CPU; the network uses its own device anyway"
        )
    return block.ns.xp.asarray(found)


NETWORK = Local(_apply, _halo)
"""The network on a tile; its parameters are a `Prediction`."""


def _field(block: Block) -> Array:
    return np.ascontiguousarray(block.arrays[0][block.params])


FIELD = Local(_field)
"""One map out of the records of `NETWORK`; its parameter is the field's name."""


def predict_box(arrays: Sequence[np.ndarray], place: Place, params: Prediction) -> np.ndarray:
    """Predict the core of a block.

    Parameters
    ----------
    arrays : sequence of array (z, y, x)
        The channels, covering ``place.box``.
    place : Place
    params : Prediction

    Returns
    -------
    array of ``place.core``'s shape
        See `Prediction.dtype`.

    Raises
    ------
    InputError
        For NaN or infinite voxels, or overflow in half precision.
    """
    # PyTorch is imported by the first prediction, not by reading a plan
    from fastseg.unet.runner import OutOfMemory, runner_for

    _check(arrays, place, params)
    runner = runner_for(params.model, params.device, params.precision)
    masks = params.limit is not None and len(params.flips) == 1
    shape = (len(params.selections), *place.core.shape)
    total = np.empty(shape, bool) if masks else np.zeros(shape, np.float32)
    share = np.float32(1 / len(params.flips))
    flying: deque[tuple[list[_Job], Callable[[], np.ndarray]]] = deque()

    def collect() -> None:
        jobs, wait = flying.popleft()
        for job, found in zip(jobs, np.moveaxis(wait(), 1, 0), strict=True):
            part = flipped(found[(slice(None), *job.patch.within)], job.flip)
            keep = flipped_box(job.patch.keep, place.shape, job.flip).within(place.core)
            if len(params.flips) == 1:
                total[(slice(None), *keep)] = part
            else:
                total[(slice(None), *keep)] += share * part

    try:
        for jobs in _batches(place, params):
            batch = np.stack([_image(arrays, place, params, job) for job in jobs])
            limit = params.limit if masks else None
            flying.append((jobs, runner.submit(batch, params.selections, limit)))
            while len(flying) > (_IN_FLIGHT if params.device.kind == "cuda" else 0):
                collect()
        while flying:
            collect()
    except OutOfMemory as error:
        raise NotEnoughMemory(params.grid.largest) from error
    if params.limit is not None and not masks:
        total = total > np.float32(params.limit)
    if len(params.selections) == 1:
        return total[0]
    records = np.empty(place.core.shape, params.dtype())
    for selection, values in zip(params.selections, total, strict=True):
        records[selection.name] = values
    return records


class NotEnoughMemory(Exception):
    """A patch did not fit into the device's memory; smaller ones may."""

    def __init__(self, size_out: Sequence[int]) -> None:
        super().__init__(f"patches with an output of {tuple(size_out)} do not fit into the device's memory")
        self.size_out = tuple(size_out)

    def __reduce__(self) -> tuple[Any, ...]:
        return NotEnoughMemory, (self.size_out,)


def _check(arrays: Sequence[np.ndarray], place: Place, params: Prediction) -> None:
    channels = params.model.architecture.params.channels
    if len(arrays) != channels:
        raise InputError(f"{len(arrays)} channels were given; the network takes {channels}")
    for number, array in enumerate(arrays):
        finite = np.isfinite(array)
        if not finite.all():
            bad = int(array.size - np.count_nonzero(finite))
            nan = int(np.count_nonzero(np.isnan(array)))
            of = f" of channel {number}" if channels > 1 else ""
            box = (
                ""
                if place.box == Box.whole(place.shape)
                else f" between {place.box.start} and {place.box.stop}"
            )
            raise InputError(
                f"the image holds {nan} NaN and {bad - nan} infinite voxels of {array.size}{of}{box}; "
                "replace them first"
            )


def _batches(place: Place, params: Prediction) -> Iterator[list[_Job]]:
    """Patches of one size together, up to the batch size; the flips of a patch follow one another."""
    waiting: dict[tuple[int, ...], list[_Job]] = {}
    for flip in params.flips:
        for patch in params.grid.patches(place.core, place.shape, flip):
            jobs = waiting.setdefault(patch.size, [])
            jobs.append(_Job(patch, flip))
            if len(jobs) >= params.batch:
                yield waiting.pop(patch.size)
    yield from waiting.values()


def _image(arrays: Sequence[np.ndarray], place: Place, params: Prediction, job: _Job) -> np.ndarray:
    """What the network sees of a patch: (channels, z, y, x) float32."""
    margin = params.model.architecture.sizes.margin
    start = tuple(a - m for a, m in zip(job.patch.start, margin, strict=True))
    stop = tuple(a + n + m for a, n, m in zip(job.patch.start, job.patch.size, margin, strict=True))
    box = flipped_box(place.box, place.shape, job.flip)
    views = [flipped(a, job.flip) for a in arrays]
    return read_extended(views, box, place.shape, params.grid.padded(place.shape), Box(start, stop))
