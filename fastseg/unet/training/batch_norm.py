"""Batch normalisation over the patches of all processes, with gradients.

Training in two processes must give what training in one gives with their patches together. The layers see each other
at one place only, the statistics of the batch. PyTorch's own SyncBatchNorm is for GPUs; this is the same on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_AXES = (0, 2, 3, 4)


class _Normalise(torch.autograd.Function):
    """``(x - mean) / sqrt(variance + eps)`` with the statistics of all processes' batches.

    Backwards (Ioffe and Szegedy, ICML 2015): with n voxels a channel in all processes, g the gradient of the result y,
    ``dx = (g - sum g / n - y sum(g y) / n) / sqrt(variance + eps)``; both sums go over all processes.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance, count = _statistics(x)
        scale = torch.rsqrt(variance + eps)
        y = ((x - _spread(mean)) * _spread(scale)).to(x.dtype)
        ctx.save_for_backward(y, scale, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, g: Tensor, *unused: Tensor) -> tuple[Tensor, None]:
        y, scale, count = ctx.saved_tensors
        wide, y = g.to(scale.dtype), y.to(scale.dtype)
        sums = torch.stack([wide.sum(_AXES), (wide * y).sum(_AXES)])
        dist.all_reduce(sums)
        first, second = sums / count
        return (_spread(scale) * (wide - _spread(first) - y * _spread(second))).to(g.dtype), None


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance (divisor n) and n of every channel over all processes.

    Variances about the own means are joined (Chan, Golub and LeVeque, 1983): sums of squares would cancel.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    variance, mean = torch.var_mean(wide, _AXES, correction=0)
    own = torch.cat([mean, variance, mean.new_tensor([x.numel() / x.shape[1]])])
    every = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(every, own)
    table = torch.stack(every).double()
    means, variances, counts = table[:, : len(mean)], table[:, len(mean) : -1], table[:, -1:]
    n = counts.sum()
    joint = (counts * means).sum(0) / n
    spread = (counts * (variances + (means - joint) ** 2)).sum(0) / n
    return joint.to(wide.dtype), spread.to(wide.dtype), n.to(wide.dtype)


def _spread(values: Tensor) -> Tensor:
    return values[None, :, None, None, None]


class JointBatchNorm(nn.BatchNorm3d):
    """`torch.nn.BatchNorm3d` whose batch is that of all processes. Every process has to take part in every call."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        y, mean, variance, count = _Normalise.apply(x, self.eps)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        return y if self.weight is None else y * _spread(self.weight) + _spread(self.bias)


def join_batch_norms(network: nn.Module, device: torch.device) -> nn.Module:
    """The network with every batch normalisation over all processes; its tensors stay the same ones.

    On GPUs PyTorch's own, in fused kernels.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    for name, module in list(network.named_modules()):
        if type(module) is nn.BatchNorm3d:
            joint = JointBatchNorm(module.num_features, module.eps, module.momentum, module.affine)
            joint.load_state_dict(module.state_dict())
            joint.train(module.training)
            parent, _, last = name.rpartition(".")
            network.get_submodule(parent).add_module(last, joint)
    return network
