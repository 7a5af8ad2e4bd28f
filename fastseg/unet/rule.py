"""Prediction as a rule of the tiling engine: a tile needs its own voxels and a halo, whatever the patches inside it.

The network's inputs are volumes, one a channel; what comes out is one map or, for several selections, one record
array whose fields are the maps: the network runs once a tile, and nodes of the same stage take the fields apart.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.arrays import Device, to_host
from fastseg.errors import InputError, UsageError
from fastseg.tiling import Block, Local, Place
from fastseg.tiling.executors import Executor
from fastseg.tiling.rules import Halo
from fastseg.tiling.waves import ClusterExecutor
from fastseg.types import Array, Box
from fastseg.unet.extension import read_extended
from fastseg.unet.flips import Flip, flipped, flipped_box
from fastseg.unet.graph import Triple
from fastseg.unet.memory import at_once
from fastseg.unet.model import Model
from fastseg.unet.model_info import Selection
from fastseg.unet.patches import Patch, PatchGrid
from fastseg.unet.wording import counted

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
    compiled : bool
        Compile the network.
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
    compiled: bool = False

    @property
    def outputs(self) -> tuple[int, ...]:
        """The outputs of the network that are computed."""
        return tuple(sorted({s.output for s in self.selections}))

    @property
    def size_in(self) -> Triple:
        """What the network is shown of the largest patch."""
        return self.model.architecture.sizes.size_in(self.grid.largest)

    @property
    def patches(self) -> str:
        """What is computed at one time, for messages."""
        batch = f"{self.batch} " if self.batch > 1 else ""
        return f"{batch}patches of {','.join(map(str, self.size_in))}"

    @property
    def at_once(self) -> bool:
        """Whether the network computes whole patches, and not some planes at a time."""
        return at_once(self.device, self.compiled)

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
    from fastseg.unet.runner import is_out_of_memory, runner_for

    _check(arrays, place, params)
    runner = runner_for(params.model, params.device, params.precision, params.compiled)
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
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        flying.clear()
        runner.release()
        raise NotEnoughMemory(params.patches, str(params.device)) from None
    if params.limit is not None and not masks:
        total = total > np.float32(params.limit)
    if len(params.selections) == 1:
        return total[0]
    records = np.empty(place.core.shape, params.dtype())
    for selection, values in zip(params.selections, total, strict=True):
        records[selection.name] = values
    return records


class NotEnoughMemory(Exception):
    """Patches did not fit into the device's memory; smaller ones may."""

    def __init__(self, patches: str, device: str) -> None:
        super().__init__(f"{patches} do not fit into the memory of {device}")
        self.patches, self.device = patches, device

    def __reduce__(self) -> tuple[Any, ...]:
        return NotEnoughMemory, (self.patches, self.device)


def remarks(params: Prediction, executor: Executor) -> list[str]:
    """What there is to say about how the network was run, here or in the workers of an executor."""
    from fastseg.unet.runner import key_of, slow_precision

    found = [slow_precision(params.precision, params.device)]
    if params.compiled:
        key = key_of(params.model, params.device, params.precision, True)
        if isinstance(executor, ClusterExecutor):
            found += _of_workers(executor, key)
        else:
            found.append(_of_this_process(key))
    return [remark for remark in dict.fromkeys(found) if remark is not None]


def _of_this_process(key: tuple[str, ...]) -> str | None:
    """What the runner of this process says; a worker that ran nothing is not made to import PyTorch."""
    runners = sys.modules.get("fastseg.unet.runner")
    return None if runners is None else runners.remark_of(key)


def _of_workers(executor: ClusterExecutor, key: tuple[str, ...]) -> list[str | None]:
    """What the runners of the workers say; those that were lost meanwhile say nothing."""
    try:
        answers = executor.client.run(_of_this_process, key, on_error="ignore")
    except ValueError:  # there is no worker any more
        return []
    return [answers[worker] for worker in sorted(answers)]


def _check(arrays: Sequence[np.ndarray], place: Place, params: Prediction) -> None:
    channels = params.model.architecture.params.channels
    if len(arrays) != channels:
        raise InputError(f"the image has {counted(len(arrays), 'channel')}; the network takes {channels}")
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
