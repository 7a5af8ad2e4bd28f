"""Thresholds on true probabilities, and on stretched maps in compat."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.errors import UsageError
from fastseg.tiling import Engine
from fastseg.unet.predict import predict
from fastseg.unet.threshold import check_threshold, float32_limit, stretched
from tests.unet.small import small_model

IMAGE = np.random.default_rng(5).random((4, 18, 22), dtype=np.float32)


@given(st.floats(0, 0.999), st.integers(-3, 3))
def test_comparison_is_that_of_float64(threshold: float, steps: int) -> None:
    value = np.float32(threshold)
    for _ in range(abs(steps)):
        value = np.nextafter(value, np.float32(np.sign(steps)))
    assert (value > np.float32(float32_limit(threshold))) == (float(value) > threshold)


def test_0_is_a_threshold_and_less_asks_for_probabilities() -> None:
    assert check_threshold(-1) is None
    assert check_threshold(0) == 0.0
    for wrong in (1, 1.5, float("nan")):
        with pytest.raises(UsageError, match="must be below 1"):
            check_threshold(wrong)


@pytest.mark.parametrize("tile", [None, (4, 8, 22)])
def test_stretch_is_the_references_map(tile: tuple | None) -> None:
    plain = predict(small_model(), IMAGE, device="cpu").array().astype(np.float64)
    expected = ((plain - plain.min()) / (plain.max() - plain.min())).astype(np.float32)
    found = predict(small_model(), IMAGE, device="cpu", stretch=True, threshold=-1, engine=Engine(tile))
    np.testing.assert_array_equal(found.array(), expected)
    mask = predict(
        small_model(), IMAGE, device="cpu", stretch=True, threshold=0.75, engine=Engine(tile)
    ).array()
    np.testing.assert_array_equal(mask, expected > 0.75)
    assert (mask != (plain > 0.75)).any()


def test_zero_planes_of_further_channels_count_in_the_stretch() -> None:
    image = np.random.default_rng(5).random((2, 4, 18, 22), dtype=np.float32)
    plain = predict(small_model(channels=2), image, device="cpu").array().astype(np.float64)
    found = predict(small_model(channels=2), image, device="cpu", stretch=True, threshold=-1).array()
    np.testing.assert_array_equal(found, (plain / plain.max()).astype(np.float32))


def test_a_constant_map_becomes_zeros() -> None:
    assert not stretched(np.full((2, 2), 0.3, np.float32), 0.3, 0.3).any()
    found = predict(
        small_model(), np.full((1, 1, 1), 0.2, np.float32), device="cpu", stretch=True, threshold=-1
    )
    assert not found.array().any()
    assert "everywhere: nothing to stretch" in found.notes[0]
