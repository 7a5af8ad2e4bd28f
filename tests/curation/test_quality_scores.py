"""Robust z-scores, and the quality made of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastseg.curation.quality import Figures
from fastseg.curation.quality_scores import COMPARED, OUTLIER, assess, robust_z

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30)


def figures(**values: float | None) -> Figures:
    usual: dict[str, float | None] = {
        "foreground_fraction": 0.1,
        "objects": 20,
        "object_voxels_median": 400.0,
        "object_voxels_p10": 100.0,
        "object_voxels_p90": 900.0,
        "largest_share": 0.2,
        "border_contrast": 8.0,
    }
    return Figures(**{**usual, **values})  # type: ignore[arg-type]


def batch(count: int, seed: int = 0) -> list[Figures]:
    """Figures that scatter a little."""
    rng = np.random.default_rng(seed)
    return [
        figures(border_contrast=8 + rng.normal(), foreground_fraction=0.1 + 0.01 * rng.random())
        for _ in range(count)
    ]


@settings(deadline=None)
@given(VALUES)
def test_z_scores_are_differences_from_the_median_over_the_scaled_mad(values: list[float]) -> None:
    scale = 1.4826 * stats.median_abs_deviation(values)
    if scale == 0:
        scale = math.sqrt(math.pi / 2) * np.abs(np.array(values) - np.median(values)).mean()
    expected = (np.array(values) - np.median(values)) / scale if scale > 0 else np.zeros(len(values))
    np.testing.assert_allclose(robust_z(values), expected, rtol=1e-9, atol=1e-12)


def test_of_one_value_and_of_equal_ones_the_scores_are_zero() -> None:
    assert robust_z([]).shape == (0,)
    assert robust_z([3.0]).tolist() == [0]
    assert robust_z([2.0] * 5).tolist() == [0] * 5


def test_one_that_differs_from_equal_ones_is_an_outlier() -> None:
    z = robust_z([1.0] * 99 + [2.0])
    assert z[-1] > OUTLIER
    assert not z[:-1].any()


def test_quality_is_the_stated_formula() -> None:
    found = assess([*batch(21), figures(border_contrast=1.0)])
    last = found[-1]
    assert last is not None
    deviation = max(-z if COMPARED[name].only_low else abs(z) for name, z in last.z.items())
    assert deviation == -last.z["border_contrast"]
    assert last.quality == pytest.approx(1 / (1 + (deviation / 3.5) ** 2))
    assert last.doubt == 1 - last.quality
    assert last.finding.startswith("border contrast 1, ")
    assert " deviations below the median " in last.finding
    assert min(found, key=lambda one: one.quality if one else 2) is last


@pytest.mark.parametrize("name", ["border_contrast", "dice", "model_dice"])
def test_much_contrast_and_much_agreement_are_not_suspicious(name: str) -> None:
    value = 900.0 if name == "border_contrast" else 1.0
    usual = [replace(one, dice=0.9, model_dice=0.9) for one in batch(15)]
    high = replace(usual[0], **{name: value})
    without, with_ = assess(usual)[0], assess([high, *usual[1:]])[0]
    assert without is not None
    assert with_ is not None
    assert with_.z[name] > 3
    assert with_.quality >= without.quality


@pytest.mark.parametrize("name", ["foreground_fraction", "objects", "object_voxels_median", "largest_share"])
@pytest.mark.parametrize("factor", [1 / 30, 30])
def test_sizes_and_numbers_may_be_too_small_or_too_large(name: str, factor: float) -> None:
    rng = np.random.default_rng(1)
    usual = [figures(**{name: getattr(figures(), name) * math.exp(rng.normal() / 10)}) for _ in range(20)]
    odd = assess([*usual, figures(**{name: getattr(figures(), name) * factor})])[-1]
    assert odd is not None
    assert odd.quality < 0.05
    assert ("above" if factor > 1 else "below") in odd.finding


def test_agreement_limits_the_quality_of_a_usual_image() -> None:
    ordinary = replace(figures(), dice=0.8, model_dice=0.7)
    found = assess([ordinary] * 9)[0]
    assert found is not None
    assert found.quality == 0.7
    assert found.finding == "mask and prediction agree by a Dice of 0.7"
    found = assess([replace(ordinary, dice=0.6)] * 9)[0]
    assert found is not None
    assert found.quality == 0.6
    assert found.finding == "the segmentations agree by a Dice of 0.6"


def test_an_empty_mask_and_a_full_one_have_no_quality_and_do_not_count_as_usual() -> None:
    empty = Figures(0.0, 0, None, None, None, None, None)
    full = Figures(1.0, 1, 100.0, 100.0, 100.0, 1.0, None)
    usual = batch(8)
    found = assess([*usual, empty, empty, empty])
    assert [one.quality for one in found[8:] if one] == [0, 0, 0]
    assert [one.finding for one in found[8:] if one] == ["the mask is empty"] * 3
    assert [one.quality for one in found[:8] if one] == [one.quality for one in assess(usual) if one]
    covered = assess([full])[0]
    assert covered is not None
    assert (covered.quality, covered.finding) == (0, "the mask covers the whole image")


def test_one_image_is_typical_of_itself_and_failures_stay_out() -> None:
    alone = assess([figures()])[0]
    assert alone is not None
    assert (alone.quality, alone.finding) == (1, "nothing unusual")
    assert assess([None, figures(), None])[1] == alone
    assert assess([None]) == [None]
    assert assess([]) == []


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.001, 0.9), min_size=2, max_size=12), st.randoms())
def test_the_order_of_the_batch_does_not_matter(fractions: list[float], random: object) -> None:
    images = [figures(foreground_fraction=f) for f in fractions]
    order = list(range(len(images)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight, shuffled = assess(images), assess([images[i] for i in order])
    assert [straight[i] for i in order] == shuffled
    assert all(one is not None and 0 <= one.quality <= 1 for one in straight)
