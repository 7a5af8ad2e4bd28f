"""Validation: counts by hand, and whole volumes through prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.unet.model_info import Selection
from fastseg.unet.predict import predict
from fastseg.unet.training.metrics import Overlap, cross_entropy, overlap
from fastseg.unet.training.validation import Judge, averaged
from tests.unet.small import small_model
from tests.unet.training.made import item


@given(seed=st.integers(0, 10**6), density=st.sampled_from([0, 0.3, 1]))
def test_overlap_by_sets(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    p, g, m = rng.random((3, 3, 4, 5)) < [[[[density]]], [[[0.4]]], [[[0.7]]]]
    found = overlap(p, g, m)
    sets = [{tuple(v) for v in np.argwhere(mask & m)} for mask in (p, g)]
    both, either = sets[0] & sets[1], sets[0] | sets[1]
    assert found.iou == (len(both) / len(either) if either else 1)
    assert found.dice == (2 * len(both) / (len(sets[0]) + len(sets[1])) if either else 1)


def test_nothing_expected_and_nothing_found_is_right() -> None:
    assert (Overlap(0, 0, 0).dice, Overlap(0, 0, 0).iou) == (1, 1)
    assert (Overlap(0, 3, 0).dice, Overlap(0, 0, 3).iou) == (0, 0)


def test_cross_entropy_by_hand() -> None:
    p = np.array([[[0.5, 0.25, 0.0]]], np.float32)
    cost = np.array([[[1, 2, 0]]], np.float32)
    assert cross_entropy(p, cost) == pytest.approx((np.log(2) + 2 * np.log(4)) / 3)
    assert cross_entropy(p, 0 * cost) == 0
    assert cross_entropy(np.zeros((1, 1, 1), np.float32), np.ones((1, 1, 1))) == pytest.approx(-np.log(1e-7))


@pytest.fixture
def judged(tmp_path: Path) -> tuple[Judge, list, tuple]:
    rng = np.random.default_rng(0)
    shape = (5, 30, 300)
    image = rng.random(shape, dtype=np.float32)
    truth = np.zeros(shape, np.uint8)
    truth[3, 10:20, 250:290] = 1
    truth[1, :5, :5] = 2
    cost = np.ones(shape, np.float32)
    cost[:, :, 100:120] = 0
    one = item(tmp_path, "a", image, truth, cost)
    model = small_model(classes=3)
    picks = tuple(Selection.model_validate({"output": 0, "class": c}) for c in (1, 2))
    judge = Judge(model.architecture, picks, 0.3, "cpu", "float32")
    return judge, [one], (model, picks, image, truth, cost)


def test_images_are_predicted_whole_and_compared_where_they_count(judged: tuple) -> None:
    judge, items, (model, picks, image, truth, cost) = judged
    seen = []
    (found,) = judge(model.state, [(items[0], True)], lambda number, one: seen.append((number, one.name)))
    assert seen == [(0, "a")]
    maps = {
        c: predict(
            model, image, normalization="none", threshold=-1, device="cpu",
            selections=(Selection.model_validate({"class": c}),),
        ).array()
        for c in (0, 1, 2)
    }  # fmt: skip
    counts = cost > 0
    for c in (1, 2):
        p, g = (maps[c] > 0.3)[counts], (truth == c)[counts]
        assert found.values[f"dice_output0_class{c}"] == pytest.approx(
            2 * (p & g).sum() / (p.sum() + g.sum())
        )
        assert found.values[f"iou_output0_class{c}"] == pytest.approx((p & g).sum() / (p | g).sum())
    chosen = np.choose(truth, [maps[0], maps[1], maps[2]])[counts]
    assert found.values["loss"] == pytest.approx(-np.log(chosen).mean(), rel=1e-4)
    means = averaged([found.values, found.values], picks)
    assert means["dice"] == pytest.approx((means["dice_output0_class1"] + means["dice_output0_class2"]) / 2)
    assert means["validation_loss"] == found.values["loss"]


def test_a_sample_shows_the_plane_and_the_place_of_the_truth(judged: tuple) -> None:
    judge, items, (model, _, image, truth, _) = judged
    (found,) = judge(model.state, [(items[0], True)], lambda number, one: None)
    sample = found.sample
    assert sample is not None
    assert (sample.name, sample.plane, sample.raw.shape) == ("a", 3, (30, 256))
    np.testing.assert_array_equal(sample.true, truth[3, :, 44:] == 1)
    assert not sample.counts[:, 56:76].any()
    assert sample.counts[:, 76:].all()
    order = np.argsort(image[3, :, 44:], axis=None)
    assert (np.diff(sample.raw.ravel()[order].astype(int)) >= 0).all()
    np.testing.assert_array_equal(sample.predicted, sample.probability > 255 * 0.3)
    (without,) = judge(model.state, [(items[0], False)], lambda number, one: None)
    assert without.sample is None
