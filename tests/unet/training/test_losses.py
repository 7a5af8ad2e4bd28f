"""Losses: the published numbers, the formulas in float64, and voxels of cost 0 that have no say."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastseg.unet.module import Network
from fastseg.unet.networks.registry import architecture
from fastseg.unet.training.losses import dice, dice_cross_entropy, focal, make_loss, nll
from fastseg.unet.training.optimize import inert_biases
from fastseg.unet.training.settings import LossSettings
from tests.unet.published import golden, image_of, meta, state_of

ALL = [
    partial(nll),
    partial(nll, divide_by="costs"),
    partial(focal),
    partial(focal, gamma=1.0, divide_by="costs"),
    partial(dice),
    partial(dice_cross_entropy),
    partial(dice_cross_entropy, divide_by="costs", dice_weight=0.5),
]


def batch(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    size = (2, 2, 3, 4)
    scores = torch.from_numpy(rng.normal(0, 3, (2, classes, *size[1:])).astype(np.float32))
    truth = torch.from_numpy(rng.integers(0, classes, size))
    cost = torch.from_numpy(rng.choice([0, 0.5, 1, 2], size).astype(np.float32))
    return scores, truth, cost


def test_the_published_training_step() -> None:
    about = meta()["train_xy"]
    arch = architecture("unet_xy")
    network = Network(arch.graph, initialise=False)
    network.load_state_dict(state_of(arch))
    z, y, x = about["size_in"]
    image = torch.from_numpy(np.stack([image_of(n, 0, (z, y, x))[None] for n in range(about["batch"])]))
    n, z, y, x = np.indices((2, 1, 4, 12))
    truth = torch.from_numpy(((n + z + y // 2 + x // 3) % 3 == 0).astype(np.int64))
    cost = torch.from_numpy(np.where((x + y) % 5 == 0, 0, 1 + 0.5 * (x % 2)).astype(np.float32))
    loss = make_loss(LossSettings(weights=(1, 0.5, 0.25)), 3)
    scores = network.train()(image, loss.outputs)
    each = [float(nll(s.detach(), truth, cost)) for s in scores]
    np.testing.assert_allclose(each, golden()["train_xy/per_output"], rtol=5e-6)
    total = loss(scores, truth, cost)
    np.testing.assert_allclose(float(total.detach()), float(golden()["train_xy/total"]), rtol=5e-6)
    total.backward()
    inert = inert_biases(arch.graph)
    parameters = dict(network.named_parameters())
    for name, expected in zip(about["param_keys"], golden()["train_xy/grad_l2"], strict=True):
        found = float(parameters[name].grad.double().norm())
        if expected < 1e-9:  # cancelled by a normalisation later on
            assert found < 1e-3
            assert name in inert or name.startswith("up")
        else:
            assert found == pytest.approx(expected, rel=2e-4)
            assert name not in inert


@pytest.mark.parametrize(
    "loss", ALL, ids=lambda p: "-".join(map(str, (p.func.__name__, *p.keywords.values())))
)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 4))
def test_cost_zero_has_no_gradient_and_no_value(loss: partial, seed: int, classes: int) -> None:
    scores, truth, cost = batch(seed, classes)
    scores.requires_grad_()
    value = loss(scores, truth, cost)
    value.backward()
    ignored = (cost == 0)[:, None].expand_as(scores)
    assert torch.count_nonzero(scores.grad[ignored]) == 0
    if (cost > 0).any():
        assert torch.count_nonzero(scores.grad[~ignored]) > 0
    other = torch.where(ignored, scores.detach().flip(0), scores.detach())
    wrong = torch.where(cost == 0, (truth + 1) % classes, truth)
    assert float(loss(other, wrong, cost)) == float(value.detach())


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 4))
def test_values_are_those_of_the_formulas(seed: int, classes: int) -> None:
    scores, truth, cost = batch(seed, classes)
    s, t, c = scores.double().numpy(), truth.numpy(), cost.double().numpy()
    p = np.exp(s) / np.exp(s).sum(1, keepdims=True)
    pt = np.take_along_axis(p, t[:, None], 1)[:, 0]
    weight = c.sum() or 1.0
    ratios = []
    for q in range(1, classes):
        g = t == q
        ratios.append((2 * (c * p[:, q] * g).sum() + 1e-5) / ((c * p[:, q]).sum() + (c * g).sum() + 1e-5))
    expected = {
        ALL[0]: -(c * np.log(pt)).sum() / c.size,
        ALL[1]: -(c * np.log(pt)).sum() / weight,
        ALL[2]: -(c * (1 - pt) ** 2 * np.log(pt)).sum() / c.size,
        ALL[3]: -(c * (1 - pt) * np.log(pt)).sum() / weight,
        ALL[4]: 1 - np.mean(ratios),
        ALL[5]: -(c * np.log(pt)).sum() / c.size + 1 - np.mean(ratios),
        ALL[6]: -(c * np.log(pt)).sum() / weight + 0.5 * (1 - np.mean(ratios)),
    }
    for loss, value in expected.items():
        assert float(loss(scores, truth, cost)) == pytest.approx(value, rel=2e-5, abs=1e-7)


def test_focal_with_gamma_0_is_nll_and_certain_voxels_have_finite_gradients() -> None:
    scores, truth, cost = batch(1)
    assert float(focal(scores, truth, cost, gamma=0.0)) == float(nll(scores, truth, cost))
    certain = torch.zeros(1, 2, 1, 1, 1)
    certain[:, 1] = 200
    certain.requires_grad_()
    focal(certain, torch.ones(1, 1, 1, 1, dtype=torch.int64), torch.ones(1, 1, 1, 1), gamma=1.0).backward()
    assert certain.grad.isfinite().all()


def test_half_precision_scores_are_summed_in_float32() -> None:
    scores, truth, cost = batch(2)
    half = scores.to(torch.bfloat16)
    for loss in ALL:
        found = loss(half, truth, cost)
        assert found.dtype == torch.float32
        assert float(found) == float(loss(half.float(), truth, cost))


@pytest.mark.parametrize("name", ["nll", "focal", "dice_cross_entropy"])
def test_outputs_of_weight_zero_are_not_needed(name: str) -> None:
    scores, truth, cost = batch(3)
    loss = make_loss(LossSettings(name=name, weights=(2, 0, 0.5)), 3)
    assert loss.outputs == (0, 2)
    one = make_loss(LossSettings(name=name), 1)
    assert one.outputs == (0,)
    parts = [float(one([s], truth, cost)) for s in (scores, scores.flip(1))]
    assert float(loss([scores, scores.flip(1)], truth, cost)) == pytest.approx(2 * parts[0] + 0.5 * parts[1])
