"""One step: forward, loss, backward, weights; in float32 or in mixed precision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fastseg.unet.graph import Graph
from fastseg.unet.module import Network
from fastseg.unet.runner import PRECISIONS
from fastseg.unet.training.losses import Loss
from fastseg.unet.training.settings import OptimizerSettings
from fastseg.unet.training.stream import Batch

_KINDS = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}


def inert_biases(graph: Graph) -> set[str]:
    """Biases of convolutions whose result is normalised over the batch: the mean that is taken away holds them too.

    Their gradient is rounding noise, which Adam would scale up to full steps.
    """
    return {f"{layer.inputs[0]}.bias" for layer in graph.layers if layer.kind == "norm"}


def freeze(network: Network, outputs: Iterable[int], inert: bool) -> None:
    """Leave out of training what has no effect: layers that no output needs, and `inert_biases` if `inert` is false."""
    needed = {layer.name for layer in network.graph.needed(outputs)}
    still = set() if inert else inert_biases(network.graph)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.rpartition(".")[0] in needed and name not in still)


def make_optimizer(network: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Adam or AdamW over what is trained; biases and the scales of normalisations do not decay unless asked to."""
    trained = [p for p in network.parameters() if p.requires_grad]
    weights = [p for p in trained if p.ndim > 1 or settings.decay_all]
    others = [p for p in trained if p.ndim <= 1 and not settings.decay_all]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    # fused: one pass over weights, gradients and moments
    return _KINDS[settings.name](
        groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps, fused=True
    )


def _average(decay: float) -> Any:
    """Exponential moving average whose decay rises from 0.18 to `decay`, so that the first steps are forgotten soon."""

    def update(averages: Sequence[Tensor], current: Sequence[Tensor], count: Tensor) -> None:
        step = int(count)
        weight = 1 - min(decay, (1 + step) / (10 + step))
        for average, value in zip(averages, current, strict=True):
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:
                average.copy_(value)

    return update


class Optimization:
    """A network on its way: weights, moments, scale of the loss, moving average.

    Parameters
    ----------
    network : Network
        On its device.
    trained : module
        The network, or what shares its gradients among processes.
    loss : Loss
    settings : OptimizerSettings
    precision : str
    world : int
        Processes whose gradients are averaged; the loss is one number in all of them.
    """

    def __init__(
        self,
        network: Network,
        trained: nn.Module,
        loss: Loss,
        settings: OptimizerSettings,
        precision: str,
        world: int = 1,
    ) -> None:
        self.network = network
        self.trained = trained
        self.loss = loss
        self.settings = settings
        self.world = world
        self.device = next(network.parameters()).device
        self._dtype = PRECISIONS[precision]
        half = self._dtype.itemsize < 4
        self._order = torch.channels_last_3d if half else torch.contiguous_format
        self.optimizer = make_optimizer(network, settings)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "float16")
        self.average: AveragedModel | None = None
        if settings.average is not None:
            self.average = AveragedModel(network, multi_avg_fn=_average(settings.average), use_buffers=True)

    def step(self, batch: Batch, rate: float) -> Tensor:
        """Train with a batch at a learning rate.

        Returns
        -------
        Tensor
            The loss, of all processes together, on the device: reading it waits for the step.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        image = batch.image.contiguous(memory_format=self._order)
        with self._mixed():
            scores = self.trained(image, self.loss.outputs)
        value = self.loss(scores, batch.truth, batch.cost)
        self.scaler.scale(value * self.world).backward()
        if self.settings.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self._parameters(), self.settings.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return value.detach()

    def forget(self) -> None:
        """Start the moments from nothing."""
        self.optimizer = make_optimizer(self.network, self.settings)

    def weights(self) -> dict[str, Tensor]:
        """What is validated and kept: the moving average where there is one, on the CPU."""
        source: nn.Module = self.network if self.average is None else self.average.module
        return {name: t.detach().to("cpu", copy=True) for name, t in source.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, but the batch."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])

    def _parameters(self) -> list[nn.Parameter]:
        return [p for p in self.network.parameters() if p.requires_grad]

    def _mixed(self) -> AbstractContextManager[Any]:
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self._dtype)
