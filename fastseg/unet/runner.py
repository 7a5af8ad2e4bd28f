"""Running a network on batches of patches: device, precision, copies that overlap with computing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from fastseg.arrays import Device, usable_cores
from fastseg.errors import InputError, UsageError
from fastseg.unet.model import Model
from fastseg.unet.model_info import Selection

Precision: TypeAlias = Literal["float32", "tf32", "bfloat16", "float16"]

PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

OutOfMemory = torch.OutOfMemoryError

_QUEUE = threading.Lock()
"""Threads that share a process take turns: settings of the arithmetic hold for all of them, and on the CPU one network
uses all cores."""


def check_precision(name: str, device: Device) -> str:
    """Refuse a precision that is unknown or that the device has no arithmetic for.

    Raises
    ------
    UsageError
    """
    if name not in PRECISIONS:
        raise UsageError(f"precision '{name}' is unknown: use {', '.join(PRECISIONS)}")
    if device.kind == "cpu" and name in ("tf32", "float16"):
        raise UsageError(f"precision '{name}' is for GPUs: on the CPU use float32 or bfloat16")
    return name


class Runner:
    """A network on a device, ready for prediction.

    Parameters
    ----------
    model : Model
    device : Device
    precision : str
        ``float32`` gives the published probabilities to 2e-5 on every device. The others are faster and differ more:
        ``tf32`` and ``float16`` on GPUs, ``bfloat16`` on GPUs and on CPUs that have instructions for it.
    """

    def __init__(self, model: Model, device: Device, precision: str = "float32") -> None:
        self.device = device
        self.precision = check_precision(precision, device)
        self.dtype = PRECISIONS[precision]
        self._torch_device = torch.device(str(device))
        if device.kind == "cpu":
            torch.set_num_threads(usable_cores())
        # Channels last halves the time in half precision (CPU, AMX). In float32 it was as fast in some sizes and up to
        # 1.5 times slower in others, so the plain order stays.
        half = self.dtype.itemsize < 4
        self._order = torch.channels_last_3d if half else torch.contiguous_format
        network = model.network().folded().to(dtype=self.dtype)
        self.network = network.to(device=self._torch_device, memory_format=self._order)
        self._copies = torch.cuda.Stream(self._torch_device) if device.kind == "cuda" else None

    def submit(
        self, batch: np.ndarray, selections: Sequence[Selection], limit: float | None = None
    ) -> Callable[[], np.ndarray]:
        """Start computing a batch.

        Parameters
        ----------
        batch : array (n, channels, z, y, x), float32
            Patches of a valid size.
        selections : sequence of Selection
        limit : float, optional
            Give masks of the probabilities above it, which are smaller to copy from a GPU.

        Returns
        -------
        callable
            Waits for the result (selections, n, z', y', x'), float32 or bool. On a GPU everything is queued when this
            method returns, so that the host can prepare the next batch; the copy to the GPU of that one then runs
            beside the computation of this one.

        Raises
        ------
        InputError
            (On waiting) if numbers overflowed in half precision.
        """
        with _QUEUE, torch.inference_mode(), self._arithmetic():
            image = self._to_device(torch.from_numpy(batch))
            asked = sorted({s.output for s in selections})
            scores = dict(zip(asked, self.network(image, asked), strict=True))
            finite = torch.stack([s.isfinite().all() for s in scores.values()]).all()
            found = torch.stack([_probability(scores[s.output], s.class_) for s in selections])
            if limit is not None:
                found = found > limit
            return self._to_host(found, finite)

    def _to_device(self, batch: Tensor) -> Tensor:
        if self._copies is None:
            return batch.to(dtype=self.dtype, memory_format=self._order)
        with torch.cuda.stream(self._copies):
            image = batch.pin_memory().to(self._torch_device, non_blocking=True)
        current = torch.cuda.current_stream(self._torch_device)
        current.wait_stream(self._copies)
        image.record_stream(current)
        return image.to(dtype=self.dtype, memory_format=self._order)

    def _to_host(self, found: Tensor, finite: Tensor) -> Callable[[], np.ndarray]:
        if self._copies is None:
            return lambda: self._checked(found, finite)
        host = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        host.copy_(found, non_blocking=True)
        fine = torch.empty((), dtype=torch.bool, pin_memory=True)
        fine.copy_(finite, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self._torch_device))

        def wait() -> np.ndarray:
            done.synchronize()
            return self._checked(host, fine)

        return wait

    def _checked(self, found: Tensor, finite: Tensor) -> np.ndarray:
        if not bool(finite):
            if self.dtype == torch.float32:
                raise InputError(
                    "the network's scores are not finite on this image: its intensities are too large"
                )
            raise InputError(
                f"numbers overflowed in {self.precision}: use precision float32, or normalise the image"
            )
        return found.numpy()

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """PyTorch rounds the inputs of convolutions to 10 bits on GPUs (TF32) unless told otherwise."""
        if self.device.kind == "cpu":
            yield
            return
        backend: Any = torch.backends.cudnn
        with (
            torch.cuda.device(self._torch_device),
            backend.flags(enabled=True, benchmark=True, allow_tf32=self.precision == "tf32"),
        ):
            yield


def _probability(scores: Tensor, class_: int) -> Tensor:
    """Softmax of one class in float32; of two classes it is the logistic function of the difference."""
    scores = scores.float()
    if scores.shape[1] == 2:
        return torch.sigmoid(scores[:, class_] - scores[:, 1 - class_])
    return torch.softmax(scores, 1)[:, class_]


_RUNNERS: OrderedDict[tuple[str, ...], Runner] = OrderedDict()
_HELD = 2
_LOCK = threading.Lock()


def runner_for(model: Model, device: Device, precision: str) -> Runner:
    """The runner of a model in this process; a worker keeps it from one tile to the next."""
    key = (model.info.weights_sha256, str(model.architecture.as_dict()), str(device), precision)
    with _LOCK:
        if key not in _RUNNERS:
            while len(_RUNNERS) >= _HELD:
                _RUNNERS.popitem(last=False)
            _RUNNERS[key] = Runner(model, device, precision)
        _RUNNERS.move_to_end(key)
        return _RUNNERS[key]
