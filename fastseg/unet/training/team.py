"""The processes that train together: what each has to know of the others, and sums over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """One process of `world` that train one network; each call below has to be made by all of them.

    Attributes
    ----------
    rank : int
        From 0; rank 0 writes the files.
    world : int
        1 where a process trains alone: then nothing is sent.
    """

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def total(self, value: Tensor) -> Tensor:
        """The sum over all processes; its gradient is that of the own term.

        A loss that is computed from such sums is the same number in every process, and the sum of the processes'
        gradients is the gradient of one process that sees all patches.
        """
        return value if self.world == 1 else _Total.apply(value)

    def share(self, count: int) -> range:
        """The indices of `count` things that this process sees to."""
        return range(self.rank, count, self.world)

    def any(self, flag: bool) -> bool:
        """Whether it holds in any process."""
        if self.world == 1:
            return flag
        found = torch.tensor([float(flag)], device=_device())
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return bool(found.item())

    def gather(self, value: Any) -> list[Any]:
        """What each process has, in their order, in every process; plain values."""
        if self.world == 1:
            return [value]
        found: list[Any] = [None] * self.world
        dist.all_gather_object(found, value)
        return found

    def in_turns(self, shares: Sequence[Sequence[Any]]) -> list[Any]:
        """The results of all processes' shares (see `share`), in the order of the things."""
        found = [None] * sum(len(share) for share in shares)
        for rank, share in enumerate(shares):
            found[rank :: self.world] = share
        return found


class _Total(torch.autograd.Function):
    """Sum over processes; backwards, the own term's gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        found = value.detach().clone()
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _device() -> torch.device:
    """Where tensors of the process group have to be."""
    return (
        torch.device("cuda", torch.cuda.current_device())
        if dist.get_backend() == "nccl"
        else torch.device("cpu")
    )


ALONE = Team()
