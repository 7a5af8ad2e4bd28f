"""Figures of segmentations equal what scikit-image and SciPy give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi
from scipy.signal import convolve
from scipy.spatial import distance
from skimage.measure import label

from fastseg.curation.quality import agreement, border_contrast, measure, noise
from fastseg.errors import InputError
from tests.support import frozen, image, mask

CROSS = ndi.generate_binary_structure(2, 1)[None]
IMMERKAER = np.outer([1, -2, 1], [1, -2, 1])
SHAPE = (5, 24, 31)


def contrast_oracle(raw: np.ndarray, foreground: np.ndarray) -> float | None:
    inside = foreground & ~ndi.binary_erosion(foreground, CROSS, border_value=1)
    outside = ndi.binary_dilation(foreground, CROSS) & ~foreground
    if not inside.any() or not outside.any():
        return None
    step = raw[inside].mean(dtype=np.float64) - raw[outside].mean(dtype=np.float64)
    sigma = noise_oracle(raw, foreground | outside)
    return 0.0 if step == 0 else step / sigma if sigma else None


def noise_oracle(raw: np.ndarray, signal: np.ndarray) -> float:
    response = np.abs(convolve(raw.astype(np.float64), IMMERKAER[None], mode="valid", method="direct"))
    clear = ~signal[:, 1:-1, 1:-1]
    sigma = math.sqrt(math.pi / 2) / 6 * (response[clear] if clear.any() else response).mean()
    return max(sigma, 12**-0.5) if raw.dtype.kind in "ui" else sigma


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("kind", ["sparse", "half", "dense", "blobs", "winding"])
def test_figures_of_one_mask(kind: str, dtype: type) -> None:
    raw = frozen((image("blobs", SHAPE, 3) * 900).astype(dtype))
    foreground = frozen(mask(kind, SHAPE, 4))
    figures = measure(raw, foreground)
    sizes = np.bincount(label(foreground, connectivity=1).ravel())[1:]
    assert figures.foreground_fraction == foreground.mean()
    assert figures.objects == len(sizes)
    assert figures.object_voxels_median == np.median(sizes)
    assert (figures.object_voxels_p10, figures.object_voxels_p90) == tuple(np.percentile(sizes, [10, 90]))
    assert figures.largest_share == sizes.max() / sizes.sum()
    assert figures.border_contrast == pytest.approx(contrast_oracle(raw, foreground), rel=1e-6)
    assert figures.dice is figures.iou is figures.model_dice is figures.model_iou is None


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["sparse", "half", "dense"]),
    st.sampled_from(["half", "blobs"]),
)
def test_agreement_is_that_of_scipy(seed: int, first: str, second: str) -> None:
    a, b = mask(first, (3, 7, 8), seed), mask(second, (3, 7, 8), seed + 1)
    dice, iou = agreement(a, b)
    assert dice == pytest.approx(1 - distance.dice(a.ravel(), b.ravel()))
    assert iou == pytest.approx(1 - distance.jaccard(a.ravel(), b.ravel()))
    assert agreement(b, a) == (dice, iou)


def test_agreement_of_empty_masks() -> None:
    nothing, something = np.zeros((2, 3, 4), bool), np.ones((2, 3, 4), bool)
    assert agreement(nothing, nothing) == (1.0, 1.0)
    assert agreement(nothing, something) == (0.0, 0.0)
    assert agreement(something, something) == (1.0, 1.0)


def test_both_comparisons_are_told_apart() -> None:
    raw, a = image("noise", SHAPE, 0), mask("half", SHAPE, 1)
    other, model = mask("half", SHAPE, 2), a.copy()
    figures = measure(raw, a, other, model)
    assert (figures.dice, figures.iou) == agreement(a, other)
    assert (figures.model_dice, figures.model_iou) == (1.0, 1.0)


def test_an_empty_mask_and_a_full_one_have_figures() -> None:
    raw = image("noise", SHAPE, 0)
    empty, full = measure(raw, np.zeros(SHAPE, bool)), measure(raw, np.ones(SHAPE, bool))
    assert (empty.foreground_fraction, empty.objects) == (0, 0)
    assert empty.object_voxels_median is empty.largest_share is empty.border_contrast is None
    assert (full.foreground_fraction, full.objects, full.largest_share) == (1, 1, 1)
    assert full.border_contrast is None


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, bool])
def test_a_constant_image_has_no_contrast(dtype: type) -> None:
    assert border_contrast(np.full(SHAPE, 1, dtype), mask("blobs", SHAPE, 0)) == 0


def test_a_step_without_noise_has_no_contrast_in_units_of_noise() -> None:
    foreground = np.zeros(SHAPE, bool)
    foreground[:, :, :16] = True
    assert border_contrast(foreground * np.float32(0.5), foreground) is None
    # Integers are rounded: the least noise is that of rounding.
    assert border_contrast(foreground.astype(np.uint8) * 3, foreground) == pytest.approx(3 * 12**0.5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 9), (2, 1, 40)])
def test_planes_too_small_for_the_noise(shape: tuple[int, ...]) -> None:
    raw = image("noise", shape, 0)
    figures = measure(raw, raw > 0)
    assert figures.border_contrast is None
    assert noise(raw, np.zeros(shape, bool)) is None


@pytest.mark.parametrize("sigma", [0.5, 4.0])
def test_noise_is_found_beside_bright_structures_on_a_slope(sigma: float) -> None:
    rng = np.random.default_rng(7)
    shape = (6, 120, 130)
    foreground = np.zeros(shape, bool)
    foreground[:, 40:70, 50:100] = True
    slope = np.linspace(0, 300, shape[2])
    raw = slope + 500 * ndi.binary_erosion(foreground) + sigma * rng.standard_normal(shape)
    assert noise(raw, foreground) == pytest.approx(sigma, rel=0.02)
    assert noise(raw, np.ones(shape, bool)) == pytest.approx(noise_oracle(raw, np.ones(shape, bool)))


def test_nan_leaves_the_contrast_open() -> None:
    raw, foreground = image("noise", SHAPE, 0), mask("blobs", SHAPE, 0)
    raw[np.nonzero(foreground)] = np.nan
    assert measure(raw, foreground).border_contrast is None


@pytest.mark.parametrize(
    ("raw", "masks", "message"),
    [
        ((4, 5), [(4, 5)], r"shape \(4, 5\) is no \(Z, Y, X\) stack"),
        ((0, 4, 5), [(0, 4, 5)], "is no"),
        ((2, 4, 5), [(2, 4, 6)], r"the segmentation has shape \(2, 4, 6\), the image \(2, 4, 5\)"),
        ((2, 4, 5), [(2, 4, 5), (1, 4, 5)], "the second segmentation has shape"),
        ((2, 4, 5), [(2, 4, 5), (2, 4, 5), (1, 4, 5)], "the prediction has shape"),
    ],
)
def test_what_does_not_fit_is_refused(raw: tuple, masks: list[tuple], message: str) -> None:
    with pytest.raises(InputError, match=message):
        measure(np.zeros(raw), *(np.zeros(shape, bool) for shape in masks))
