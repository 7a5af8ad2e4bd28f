"""Pictures of views: the right pixels, whatever the size; masks as text that can be read back."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from fastseg.curation.review import pictures
from fastseg.curation.review.pictures import (
    grey_views,
    mask_views,
    reduction_for,
    run_lengths,
    strip_of,
    thumbnail,
)
from fastseg.curation.review.planes import View
from tests.support import frozen, image, mask

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def read_runs(text: str, shape: tuple[int, ...]) -> np.ndarray:
    found: list[np.ndarray] = []
    length = shift = 0
    for letter in text:
        digit = LETTERS.index(letter)
        length += (digit % 32) << shift
        shift += 5
        if digit < 32:
            found.append(np.full(length, len(found) % 2 == 1))
            length = shift = 0
    return np.concatenate(found).reshape(shape)


@settings(deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_masks_are_read_back_from_their_text(plane: np.ndarray) -> None:
    np.testing.assert_array_equal(read_runs(run_lengths(plane), plane.shape), plane)


def test_long_runs_take_several_digits() -> None:
    plane = np.zeros((1500, 1000), bool)
    plane[700, 3] = True
    text = run_lengths(plane)
    assert len(text) == 4 + 1 + 4
    np.testing.assert_array_equal(read_runs(text, plane.shape), plane)


@pytest.mark.parametrize(
    ("shape", "reduction"),
    [((1, 1), 1), ((1024, 1024), 1), ((1025, 1024), 2), ((5, 8000), 1), ((5, 8193), 2), ((4000, 4000), 4)],
)
def test_large_planes_are_reduced(shape: tuple[int, int], reduction: int) -> None:
    assert reduction_for(*shape) == reduction


def test_masks_are_reduced_by_any_voxel_of_a_block() -> None:
    stack = mask("sparse", (3, 11, 14), 5)
    views = [View("max", None), View("middle", 1)]
    found = mask_views(stack, views, 3)
    padded = np.pad(stack, ((0, 0), (0, 1), (0, 1)))
    blocks = padded.reshape(3, 4, 3, 5, 3).any(axis=(2, 4))
    np.testing.assert_array_equal(found[0], blocks.any(axis=0))
    np.testing.assert_array_equal(found[1], blocks[1])


def test_contrast_is_that_of_the_projection_and_of_the_planes_together() -> None:
    raw = frozen((image("blobs", (6, 40, 50), 2) * 5000).astype(np.uint16))
    raw_hot = raw.copy()
    raw_hot[3, 5, 5] = 65000  # one hot voxel must not darken the rest
    views = [View("max", None), View("middle", 3), View("below", 0)]
    for stack in (raw, raw_hot):
        projection, middle, below = grey_views(stack, views)
        low, high = np.percentile(stack.max(axis=0), (0.5, 99.8))
        expected = np.rint(255 * np.clip((stack.max(axis=0) - low) / (high - low), 0, 1))
        np.testing.assert_allclose(projection, expected, atol=1)
        low, high = np.percentile(stack[[3, 0]], (0.5, 99.8))
        np.testing.assert_allclose(
            middle, np.rint(255 * np.clip((stack[3] - low) / (high - low), 0, 1)), atol=1
        )
        np.testing.assert_allclose(
            below, np.rint(255 * np.clip((stack[0] - low) / (high - low), 0, 1)), atol=1
        )


def test_constant_images_and_nan_have_pictures() -> None:
    views = [View("max", None), View("middle", 1)]
    assert not np.any(grey_views(np.full((3, 4, 5), 7.0, np.float32), views))
    holed = image("blobs", (3, 12, 15), 0)
    clear = grey_views(holed, views)[0]
    holed[0] = np.nan
    assert np.abs(grey_views(holed, views)[0].astype(int) - clear).mean() < 40
    assert grey_views(np.full((3, 4, 5), np.nan, np.float32), views)[0].max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (30, 250), (250, 30)])
def test_small_views_are_stored_exactly_side_by_side(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    views = [rng.integers(0, 256, shape, np.uint8) for _ in range(4)]
    strip = strip_of(views)
    assert (strip.picture.kind, strip.reduction, strip.size) == ("png", 1, shape[::-1])
    whole = np.asarray(Image.open(io.BytesIO(strip.picture.data)))
    for view, (left, top) in zip(views, strip.corners, strict=True):
        np.testing.assert_array_equal(whole[top : top + shape[0], left : left + shape[1]], view)
        # around it, its own edge
        assert (whole[top : top + shape[0], left - 8 : left] == view[:, :1]).all()


def test_large_views_are_compressed_and_stay_apart() -> None:
    dark, bright = np.zeros((200, 260), np.uint8), np.full((200, 260), 255, np.uint8)
    strip = strip_of([dark, bright])
    assert strip.picture.kind == "jpeg"
    whole = np.asarray(Image.open(io.BytesIO(strip.picture.data)))
    assert whole.ndim == 2
    for value, (left, top) in zip((0, 255), strip.corners, strict=True):
        assert set(np.unique(whole[top : top + 200, left : left + 260])) == {value}


def test_views_are_reduced_by_their_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_PIXELS", 100)
    rng = np.random.default_rng(1)
    view = rng.integers(0, 256, (24, 30), np.uint8)
    strip = strip_of([view])
    assert (strip.reduction, strip.size) == (3, (10, 8))
    left, top = strip.corners[0]
    whole = np.asarray(Image.open(io.BytesIO(strip.picture.data)))[top : top + 8, left : left + 10]
    np.testing.assert_allclose(
        whole, view.reshape(8, 3, 10, 3).mean(axis=(1, 3)), atol=0.6
    )  # Pillow rounds the mean of nine bytes by a little more than a half


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (900, 3), (200, 260)])
def test_thumbnails_fit_whatever_the_shape(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    small = Image.open(
        io.BytesIO(thumbnail(rng.integers(0, 256, shape, np.uint8), rng.random(shape) < 0.3).data)
    )
    assert small.width <= 96
    assert small.height <= 72
    assert small.width == 96 or small.height == 72 or min(shape) > 96
