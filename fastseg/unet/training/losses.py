"""What training minimises. Every voxel weighs as much as its cost says; one of cost 0 has no gradient at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from fastseg.unet.training.settings import LossSettings
from fastseg.unet.training.team import ALONE, Team

_TINY = 1e-5
"""Keeps the Dice quotient defined where neither truth nor prediction has a voxel."""

OutputLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def nll(
    scores: Tensor, truth: Tensor, cost: Tensor, *, divide_by: str = "voxels", team: Team = ALONE
) -> Tensor:
    """Negative log-likelihood (cross-entropy), weighted by the cost map.

    ``-(1 / V) sum_v cost(v) log p(v, truth(v))``, where V is the number of all voxels of the batch, ignored ones
    included, as in the published training of these networks (Chen et al., bioRxiv 491035, 2018); or the sum of costs.

    Parameters
    ----------
    scores : Tensor (N, classes, Z, Y, X)
        Before softmax.
    truth : Tensor (N, Z, Y, X), int64
    cost : Tensor (N, Z, Y, X), float32
    divide_by : {"voxels", "costs"}
    team : Team
        Whose batches are one batch.
    """
    return _quotient(-(cost * _log_likelihood(scores, truth)).sum(), cost, divide_by, team)


def focal(
    scores: Tensor,
    truth: Tensor,
    cost: Tensor,
    *,
    gamma: float = 2.0,
    divide_by: str = "voxels",
    team: Team = ALONE,
) -> Tensor:
    """Focal loss: cross-entropy in which voxels that are right already count less.

    ``-(1 - p_t)^gamma log p_t`` with p_t the probability of the true class (Lin et al., ICCV 2017, equation 4),
    weighted by the cost map and divided as `nll`; ``gamma=0`` is `nll`.

    Parameters
    ----------
    scores, truth, cost, divide_by, team
        As of `nll`.
    gamma : float
        0, or 1 and more: between them the gradient is infinite where p_t is 1.
    """
    likelihood = _log_likelihood(scores, truth)
    if gamma == 0:
        return _quotient(-(cost * likelihood).sum(), cost, divide_by, team)
    wrong = -torch.expm1(likelihood)  # 1 - p_t, exact where p_t is near 1
    return _quotient(-(cost * wrong**gamma * likelihood).sum(), cost, divide_by, team)


def dice(scores: Tensor, truth: Tensor, cost: Tensor, *, team: Team = ALONE) -> Tensor:
    """Soft Dice loss over the foreground classes of the whole batch.

    ``1 - mean_q (2 sum c p_q g_q + e) / (sum c p_q + sum c g_q + e)`` over classes q >= 1, with p the probability, g
    the truth, c the cost (Milletari et al., 3DV 2016, in the form with plain sums; over the batch and without
    background, as Isensee et al., Nature Methods 18, 2021).

    Parameters
    ----------
    scores, truth, cost, team
        As of `nll`.
    """
    probability = torch.softmax(scores.float(), 1)
    sums = []
    for class_ in range(1, scores.shape[1]):
        weighted = cost * probability[:, class_]
        true = truth == class_
        sums.append(torch.stack([(weighted * true).sum(), weighted.sum() + (cost * true).sum()]))
    both, each = team.total(torch.stack(sums, 1))
    return 1 - ((2 * both + _TINY) / (each + _TINY)).mean()


def dice_cross_entropy(
    scores: Tensor,
    truth: Tensor,
    cost: Tensor,
    *,
    dice_weight: float = 1.0,
    divide_by: str = "voxels",
    team: Team = ALONE,
) -> Tensor:
    """`nll` plus `dice_weight` times `dice` (Isensee et al., Nature Methods 18, 2021, with weight 1)."""
    return nll(scores, truth, cost, divide_by=divide_by, team=team) + dice_weight * dice(
        scores, truth, cost, team=team
    )


def _log_likelihood(scores: Tensor, truth: Tensor) -> Tensor:
    """Log-probability of the true class of every voxel, (N, Z, Y, X) in float32."""
    return torch.log_softmax(scores.float(), 1).gather(1, truth[:, None])[:, 0]


def _quotient(part: Tensor, cost: Tensor, divide_by: str, team: Team) -> Tensor:
    divisor = cost.sum() if divide_by == "costs" else cost.new_tensor(float(cost.numel()))
    above, below = team.total(torch.stack([part, divisor]))
    return above / below.clamp_min(torch.finfo(torch.float32).tiny)


@dataclass(frozen=True)
class Loss:
    """The loss of a network: that of each output times its weight, all against one truth and one cost map.

    Attributes
    ----------
    of_output : callable
        ``of_output(scores, truth, cost)``.
    weights : tuple of float
        One an output. Outputs of weight 0 are not needed.
    """

    of_output: OutputLoss
    weights: tuple[float, ...]

    @property
    def outputs(self) -> tuple[int, ...]:
        """The outputs that count."""
        return tuple(i for i, weight in enumerate(self.weights) if weight > 0)

    def __call__(self, scores: Sequence[Tensor], truth: Tensor, cost: Tensor) -> Tensor:
        """The weighted sum over the outputs `outputs`, whose scores are given in that order."""
        terms = [
            self.weights[i] * self.of_output(own, truth, cost)
            for i, own in zip(self.outputs, scores, strict=True)
        ]
        return torch.stack(terms).sum()


def make_loss(settings: LossSettings, outputs: int, team: Team = ALONE) -> Loss:
    """The loss that settings ask for, of a network with this many outputs."""
    weights = settings.weights or (1.0,) * outputs
    common = {"divide_by": settings.divide_by, "team": team}
    if settings.name == "nll":
        return Loss(partial(nll, **common), weights)  # type: ignore[arg-type]
    if settings.name == "focal":
        return Loss(partial(focal, gamma=settings.gamma, **common), weights)  # type: ignore[arg-type]
    return Loss(partial(dice_cross_entropy, dice_weight=settings.dice_weight, **common), weights)  # type: ignore[arg-type]
