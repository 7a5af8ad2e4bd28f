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
from fastseg.unet.memory import smallest_patch
from fastseg.unet.model import Model
from fastseg.unet.model_info import Selection
from fastseg.unet.schedule import make_schedule
from fastseg.unet.stream import stream

Precision: TypeAlias = Literal["float32", "tf32", "bfloat16", "float16"]

PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

_NO_MEMORY = ("can't allocate memory", "out of memory", "_STATUS_ALLOC_FAILED", "canUse32BitIndexMath")
"""What errors of PyTorch's libraries say that have no class of their own; the last one, of arrays of 2**31 numbers."""

_QUEUE = threading.Lock()
"""Threads that share a process take turns: settings of the arithmetic hold for all of them, and on the CPU one network
uses all cores."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)


def slow_precision(name: str, device: Device) -> str | None:
    """A remark where a precision costs time instead of saving it."""
    if device.kind == "cuda" or name != "bfloat16" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    return "this processor has no instructions for bfloat16: float32 is faster on it"


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
    compiled : bool
        Compile the network for every size of patch. Without a compiler it runs as it is, and `remark` says so.
    """

    def __init__(
        self, model: Model, device: Device, precision: str = "float32", compiled: bool = False
    ) -> None:
        self.device = device
        self.name = str(model.path or model.architecture.name)
        self.precision = check_precision(precision, device)
        self.dtype = PRECISIONS[precision]
        self._least = model.architecture.sizes.size_in(smallest_patch(model.architecture))
        self._torch_device = torch.device(str(device))
        if device.kind == "cpu":
            torch.set_num_threads(usable_cores())
        # Channels last saves a sixth of the time on the CPU in single precision, half of it in half precision, and lets
        # planes be taken without a copy. In single precision on GPUs it has not been measured.
        last = device.kind == "cpu" or self.dtype.itemsize < 4
        self._order = torch.channels_last_3d if last else torch.contiguous_format
        network = model.network().folded().to(dtype=self.dtype)
        self.network = network.to(device=self._torch_device, memory_format=self._order)
        self.remark: str | None = None
        self._compiled = torch.compile(self.network, dynamic=False) if compiled else None
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
            (On waiting) if scores are not finite; it says whether weights, precision or image are the cause.
        """
        with _QUEUE, torch.inference_mode(), self._arithmetic():
            image = self._to_device(torch.from_numpy(batch))
            if self._copies is None and self._compiled is None:
                return self._to_host(*self._streamed(image, selections, limit), batch)
            asked = tuple(sorted({s.output for s in selections}))
            scores = dict(zip(asked, self._scores(image, asked), strict=True))
            finite = torch.stack([s.isfinite().all() for s in scores.values()]).all()
            found = torch.stack([_probability(scores[s.output], s.class_, limit) for s in selections])
            return self._to_host(found, finite, batch)

    def _streamed(
        self, image: Tensor, selections: Sequence[Selection], limit: float | None
    ) -> tuple[Tensor, Tensor]:
        """Results and whether all scores are finite, computed a few planes at a time."""
        _, _, z, y, x = image.shape
        asked = tuple(sorted({s.output for s in selections}))
        schedule = make_schedule(self.network.graph, (z, y, x), asked)
        size = schedule.sizes[self.network.graph.outputs[asked[0]]]
        kind = torch.float32 if limit is None else torch.bool
        found = torch.empty((len(selections), len(image), *size), dtype=kind, device=image.device)
        finite = torch.ones((), dtype=torch.bool, device=image.device)
        for output, start, scores in stream(self.network, image, schedule):
            finite &= scores.isfinite().all()
            for number, selection in enumerate(selections):
                if selection.output == output:
                    part = _probability(scores, selection.class_, limit)
                    found[number].narrow(1, start, part.shape[1]).copy_(part)
        return found, finite

    def _scores(self, image: Tensor, outputs: tuple[int, ...]) -> list[Tensor]:
        """Class scores of whole patches, by the compiled network if there is one."""
        if self._compiled is not None:
            from torch._dynamo.exc import TorchDynamoException  # two seconds, for those who compile

            try:
                return self._compiled(image, outputs)
            except TorchDynamoException as error:
                if is_out_of_memory(error):
                    raise
                self._compiled = None
                reason = str(error).strip().splitlines()[0][:200]
                self.remark = f"the network was not compiled, it runs as it is ({reason})"
        return self.network(image, outputs)

    def release(self) -> None:
        """Give memory that is not in use back to the device."""
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()

    def _to_device(self, batch: Tensor) -> Tensor:
        if self._copies is None:
            return batch.to(dtype=self.dtype, memory_format=self._order)
        with torch.cuda.stream(self._copies):
            image = batch.pin_memory().to(self._torch_device, non_blocking=True)
        current = torch.cuda.current_stream(self._torch_device)
        current.wait_stream(self._copies)
        image.record_stream(current)
        return image.to(dtype=self.dtype, memory_format=self._order)

    def _to_host(self, found: Tensor, finite: Tensor, batch: np.ndarray) -> Callable[[], np.ndarray]:
        if self._copies is None:
            return lambda: self._checked(found, finite, batch)
        host = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
        host.copy_(found, non_blocking=True)
        fine = torch.empty((), dtype=torch.bool, pin_memory=True)
        fine.copy_(finite, non_blocking=True)
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self._torch_device))

        def wait() -> np.ndarray:
            done.synchronize()
            return self._checked(host, fine, batch)

        return wait

    def _checked(self, found: Tensor, finite: Tensor, batch: np.ndarray) -> np.ndarray:
        if not bool(finite):
            raise InputError(self._why_not_finite(batch))
        return found.numpy()

    def _why_not_finite(self, batch: np.ndarray) -> str:
        """Whose fault it is that scores of a batch are not finite: the weights', if those of 0 and 1 are not either."""
        half = self.dtype != torch.float32
        if not self._takes_unit_images():
            if half:
                return f"the weights of {self.name} are too large for {self.precision}: use precision float32"
            return f"the weights of {self.name} are too large: its scores are not finite even for an image of 0 and 1"
        if half:
            return f"numbers overflowed in {self.precision}: use precision float32, or normalise the image"
        largest = float(np.abs(batch).max())
        return (
            f"the network's scores are not finite on this image: its intensities are too large (up to {largest:.3g}), "
            "normalise it"
        )

    def _takes_unit_images(self) -> bool:
        """Whether the scores of the smallest patches of nothing but 0 and nothing but 1 are finite."""
        shape = (1, self.network.graph.channels, *self._least)
        with _QUEUE, torch.inference_mode(), self._arithmetic():
            for value in (0.0, 1.0):
                image = self._to_device(torch.full(shape, value))
                if not all(bool(scores.isfinite().all()) for scores in self.network(image)):
                    return False
        return True

    @contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """PyTorch rounds the inputs of convolutions to 10 bits on GPUs (TF32) unless told otherwise.

        cuDNN is not asked to try all its algorithms, which is won back over many patches of one size: a stack is few,
        each as large as the memory allows.
        """
        if self.device.kind == "cpu":
            yield
            return
        backend: Any = torch.backends.cudnn
        with (
            torch.cuda.device(self._torch_device),
            backend.flags(enabled=True, benchmark=False, allow_tf32=self.precision == "tf32"),
        ):
            yield


def _probability(scores: Tensor, class_: int, limit: float | None) -> Tensor:
    """Softmax of one class in float32, of two classes the logistic function of the difference; or where it is large."""
    scores = scores.float()
    if scores.shape[1] == 2:
        found = torch.sigmoid(scores[:, class_] - scores[:, 1 - class_])
    else:
        found = torch.softmax(scores, 1)[:, class_]
    return found if limit is None else found > limit


_RUNNERS: OrderedDict[tuple[str, ...], Runner] = OrderedDict()
_HELD = 2
_LOCK = threading.Lock()


def key_of(model: Model, device: Device, precision: str, compiled: bool = False) -> tuple[str, ...]:
    """What tells runners apart, in any process."""
    return (
        model.info.weights_sha256,
        str(model.architecture.as_dict()),
        str(device),
        precision,
        str(compiled),
    )


def remark_of(key: tuple[str, ...]) -> str | None:
    """What the runner of this key has to say, if this process holds it."""
    with _LOCK:
        held = _RUNNERS.get(key)
    return None if held is None else held.remark


def runner_for(model: Model, device: Device, precision: str, compiled: bool = False) -> Runner:
    """The runner of a model in this process; a worker keeps it from one tile to the next."""
    key = key_of(model, device, precision, compiled)
    with _LOCK:
        if key not in _RUNNERS:
            while len(_RUNNERS) >= _HELD:
                _RUNNERS.popitem(last=False)
            _RUNNERS[key] = Runner(model, device, precision, compiled)
        _RUNNERS.move_to_end(key)
        return _RUNNERS[key]
