"""Batch normalisation over processes, in a group of one: it has to be PyTorch's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn

from fastseg.unet.training.batch_norm import JointBatchNorm, join_batch_norms
from fastseg.unet.training.team import Team


@pytest.fixture(autouse=True)
def group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_values_statistics_and_gradients_are_those_of_one_process(affine: bool, offset: float) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3, affine=affine)).double()
    if affine:
        nn.init.normal_(plain[1].weight)
        nn.init.normal_(plain[1].bias)
    joint = nn.Sequential(nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3, affine=affine)).double()
    joint.load_state_dict(plain.state_dict())
    join_batch_norms(joint, torch.device("cpu"))
    assert type(joint[1]) is JointBatchNorm
    weight = torch.randn(2, 3, 2, 3, 4)
    found = []
    for network in (plain.float(), joint.float()):
        x = (torch.manual_seed(1) and torch.randn(2, 2, 2, 3, 4) + offset).requires_grad_()
        y = network.train()(x)
        ((y * weight).sum() + (y**3).sum()).backward()
        found.append((y.detach(), x.grad, *(p.grad for p in network.parameters())))
    tolerance = 2e-4 if offset else 2e-5  # a large mean leaves fewer digits to both
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=50 * tolerance)
    assert plain.state_dict().keys() == joint.state_dict().keys()
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(tensor, joint.state_dict()[name], rtol=1e-5, atol=1e-5)
    x = torch.randn(1, 2, 2, 3, 4)
    assert torch.equal(joint.eval()(x), plain.eval()(x)) or offset


def test_gradients_by_differences() -> None:
    network = JointBatchNorm(2).double()
    x = torch.randn(2, 2, 1, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: network(t).pow(2).mul(t), x)


def test_a_total_has_the_gradient_of_its_own_term() -> None:
    value = torch.tensor([2.0, 3.0], requires_grad=True)
    team = Team(0, 2)  # the group has one process: the total is the own term
    (team.total(value) ** 2).sum().backward()
    assert value.grad.tolist() == [4.0, 6.0]
    assert not team.any(False)
    assert team.any(True)


def test_shares_come_back_in_order() -> None:
    shares = [[(rank, i) for i in Team(rank, 3).share(7)] for rank in range(3)]
    assert Team(0, 3).in_turns(shares) == [(i % 3, i) for i in range(7)]
