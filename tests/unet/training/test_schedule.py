"""Learning rates are those of the formulas, step by step."""

from __future__ import annotations

from itertools import pairwise
from math import cos, pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.unet.training.schedule import Curve, Plateau, make_curve
from fastseg.unet.training.settings import ScheduleSettings


def test_warm_up_and_cosine_by_hand() -> None:
    curve = make_curve(ScheduleSettings(warmup_epochs=0.5, final=0.1), epochs=3, steps_an_epoch=4)
    expected = [1 / 2, 1.0] + [0.1 + 0.9 * 0.5 * (1 + cos(pi * k / 9)) for k in range(10)]
    assert [curve(step) for step in range(12)] == pytest.approx(expected)
    assert curve(11) == pytest.approx(0.1)
    assert curve(100) == pytest.approx(0.1)  # a run of more steps than planned stays there


@given(
    name=st.sampled_from(["cosine", "plateau", "constant"]),
    warmup=st.integers(0, 20),
    more=st.integers(1, 200),
    final=st.floats(0, 1),
)
def test_rises_then_never_rises_again(name: str, warmup: int, more: int, final: float) -> None:
    curve = Curve(name, warmup, warmup + more, final)
    values = [curve(step) for step in range(warmup + more)]
    assert values[:warmup] == [(step + 1) / warmup for step in range(warmup)]
    rest = values[warmup:]
    assert all(a >= b for a, b in pairwise(rest))
    assert max(rest) <= 1
    assert min(rest) >= min(final, 1) - 1e-12
    if name != "cosine":
        assert set(rest) == {1.0}
    elif more > 1:
        assert rest[-1] == pytest.approx(final)


def test_a_warm_up_longer_than_the_run_and_a_run_of_one_step() -> None:
    assert [Curve("cosine", 5, 3, 0.0)(s) for s in range(3)] == pytest.approx([0.2, 0.4, 0.6])
    assert Curve("cosine", 0, 1, 0.25)(0) == pytest.approx(0.25)


def test_plateau_waits_then_lowers() -> None:
    plateau = Plateau(patience=1, factor=0.1, floor=0.05)
    rates = []
    for value in (0.5, 0.6, 0.6, 0.55, 0.6, 0.59, 0.7):
        plateau.see(value, larger_is_better=True)
        rates.append(plateau.rate)
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.05, 0.05])
    falling = Plateau(patience=0, factor=0.5, floor=0.0)
    for value in (1.0, 0.9, 0.95):
        falling.see(value, larger_is_better=False)
    assert (falling.rate, falling.best) == (0.5, 0.9)
