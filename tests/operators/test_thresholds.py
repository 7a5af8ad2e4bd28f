"""Thresholds against scikit-image and NumPy, object by object, and the reference's results."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu, threshold_triangle
from skimage.morphology import ball

from fastseg.errors import InputError, Problems
from fastseg.operators import coarse_threshold, masked_object_threshold, object_otsu_threshold
from fastseg.operators.thresholds import otsu, otsu_of_counts, triangle
from fastseg.tiling.statistics import Histogram, bin_edges
from tests.support import frozen, golden, image, mask

KINDS = ["smooth", "noise", "ties", "blobs", "offset"]
SHAPES = [(7, 21, 23), (1, 21, 23), (7, 1, 23)]


def histogram_of(x: np.ndarray) -> Histogram:
    edges = bin_edges(float(x.min()), float(x.max()))
    return Histogram(np.histogram(x, bins=edges)[0], edges)


def large(objects: np.ndarray, min_size: int) -> np.ndarray:
    labels, _ = ndi.label(objects)
    return objects & (np.bincount(labels.ravel())[labels] >= min_size)


def otsu_by_definition(x: np.ndarray) -> np.float32:
    """From edges computed in float64 and rounded once; scikit-image's depend on NumPy's promotion rules."""
    edges = np.linspace(float(x.min()), float(x.max()), 257).astype(np.float32)
    counts, centres = np.histogram(x, bins=edges)[0].astype(float), (edges[1:] + edges[:-1]) / np.float32(2)
    splits = []
    for k in range(1, 256):
        w1, w2 = counts[:k].sum(), counts[k:].sum()
        splits.append(w1 * w2 * ((counts[:k] @ centres[:k]) / w1 - (counts[k:] @ centres[k:]) / w2) ** 2)
    return centres[int(np.argmax(splits))]


def thresholded_objects(x: np.ndarray, objects: np.ndarray, factor: float, global_check: bool) -> np.ndarray:
    labels, count = ndi.label(objects)
    found = np.zeros(x.shape, bool)
    for number in range(1, count + 1):
        values = x[labels == number]
        t = np.float32(threshold_otsu(values))
        if global_check and not t > 0.333 * threshold_otsu(x):
            continue
        found |= (labels == number) & (x > t * np.float32(factor))
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_triangle(kind: str, shape: tuple[int, ...]) -> None:
    for seed in range(5):
        x = frozen(image(kind, shape, seed))
        expected = x > np.float32(threshold_triangle(x))
        np.testing.assert_array_equal(coarse_threshold(x, method="triangle", min_size=0), expected)


def test_triangle_of_a_tail_on_either_side() -> None:
    x = image("blobs", (9, 30, 31), 1)
    for y in (x, -x):
        assert triangle(histogram_of(y)) == pytest.approx(threshold_triangle(y), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_otsu(kind: str) -> None:
    for seed in range(5):
        x = image(kind, (7, 21, 23), seed)
        assert otsu(histogram_of(x), None) == pytest.approx(
            threshold_otsu(x), abs=3e-7 * float(np.abs(x).max())
        )
    assert otsu(histogram_of(x), 4.5) == 4.5


def test_otsu_of_several_histograms_takes_the_first_best_split() -> None:
    counts = np.array([[5, 0, 0, 5], [1, 1, 1, 1], [9, 1, 0, 0]])
    np.testing.assert_array_equal(otsu_of_counts(counts, np.arange(4, dtype=np.float32)), [0, 1, 0])


@pytest.mark.parametrize("method", ["median", "med"])
@pytest.mark.parametrize("shape", [*SHAPES, (2, 2, 2)])
def test_median(method: str, shape: tuple[int, ...]) -> None:
    for kind in KINDS:
        x = frozen(image(kind, shape, 3))
        np.testing.assert_array_equal(coarse_threshold(x, method=method, min_size=0), x > np.median(x))


@pytest.mark.parametrize("method", ["ave_tri_med", "ave"])
@pytest.mark.parametrize("kind", KINDS)
def test_mean_of_triangle_and_median(method: str, kind: str) -> None:
    x = image(kind, (7, 21, 23), 4)
    t = (np.float32(threshold_triangle(x)) + np.median(x)) / 2
    np.testing.assert_array_equal(coarse_threshold(x, method=method, min_size=0), x > t)


@pytest.mark.parametrize("min_size", [0, 1, 7, 50])
def test_small_objects_are_removed_before_the_rest_is_dilated(min_size: int) -> None:
    x = image("smooth", (7, 21, 23), 5)
    kept = large(x > np.median(x), min_size)
    np.testing.assert_array_equal(coarse_threshold(x, method="med", min_size=min_size), kept)
    grown = ndi.binary_dilation(kept, structure=ball(2))
    np.testing.assert_array_equal(coarse_threshold(x, method="med", min_size=min_size, dilate=True), grown)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("global_check", [False, True])
@pytest.mark.parametrize("factor", [0.7, 0.98, 1.1])
def test_otsu_of_every_object(kind: str, global_check: bool, factor: float) -> None:
    x = frozen(image(kind, (7, 21, 23), 6))
    objects = frozen(mask("half", x.shape, 7) & mask("dense", x.shape, 8) | mask("blobs", x.shape, 9))
    got = object_otsu_threshold(x, objects, factor=factor, global_check=global_check)
    assert got.dtype == bool
    np.testing.assert_array_equal(got, thresholded_objects(x, objects, factor, global_check))


@pytest.mark.parametrize("seed", range(8))
def test_bins_of_an_object_are_exact_where_values_lie_on_their_edges(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.choice(np.linspace(4000, 4000.1 + seed / 10, 257), (5, 21, 23)).astype(np.float32)
    objects = np.ones(x.shape, bool)
    objects[:, 3:6, 4:9] = False
    expected = objects & (x > otsu_by_definition(x[objects]))
    np.testing.assert_array_equal(object_otsu_threshold(x, objects, factor=1.0), expected)


def test_the_global_check_drops_dim_objects() -> None:
    x = np.zeros((3, 8, 30), np.float32)
    x[1, 2:6, 2:6] = np.linspace(0.02, 0.04, 16).reshape(4, 4)
    x[1, 2:6, 12:16] = np.linspace(0.3, 0.4, 16).reshape(
        4, 4
    )  # the last values below Otsu's threshold of the whole
    x[1, 2:6, 22:26] = np.linspace(0.8, 1, 16).reshape(4, 4)
    objects = x > 0
    got = object_otsu_threshold(x, objects, global_check=True)
    assert not got[:, :, :10].any()
    assert got[:, :, 10:20].any()
    assert got[:, :, 20:].any()
    assert object_otsu_threshold(x, objects)[:, :, :10].any()


@pytest.mark.parametrize(("value", "kept"), [(2.0, True), (0.0, False), (-2.0, False), (1e9, True)])
def test_an_object_of_one_value_is_kept_whole_or_not_at_all(value: float, kept: bool) -> None:
    x = np.full((3, 4, 5), value, np.float32)
    x[0] = value / 2 - 1
    objects = np.zeros(x.shape, bool)
    objects[1:] = True
    np.testing.assert_array_equal(object_otsu_threshold(x, objects), objects & kept)


def test_a_huge_object_does_not_change_the_bins_of_the_others() -> None:
    x = image("smooth", (3, 20, 21), 9)
    objects = np.ones(x.shape, bool)
    objects[:, :, 2] = False
    alone = object_otsu_threshold(x, objects)
    x[:, :, :2] = 1e20
    np.testing.assert_array_equal(object_otsu_threshold(x, objects)[:, :, 3:], alone[:, :, 3:])


@pytest.mark.parametrize("global_check", [False, True])
@pytest.mark.parametrize("dilate", [False, True])
@pytest.mark.parametrize("method", ["tri", "med", "ave"])
@given(
    kind=st.sampled_from(["smooth", "blobs", "noise", "ties"]),
    seed=st.integers(0, 99),
    min_size=st.sampled_from([0, 1, 2, 5, 40, 9000]),
    factor=st.sampled_from([0.9, 1.0, 1.2]),
)
@settings(max_examples=15)
def test_masked_object_thresholding_is_the_one_after_the_other(
    method: str, dilate: bool, global_check: bool, kind: str, seed: int, min_size: int, factor: float
) -> None:
    x = image(kind, (7, 21, 23), seed)
    coarse = coarse_threshold(x, method=method, min_size=min_size, dilate=dilate)
    fine = object_otsu_threshold(x, coarse, factor=factor, global_check=global_check)
    got = masked_object_threshold(
        x, method=method, min_size=min_size, dilate=dilate, factor=factor, global_check=global_check
    )
    np.testing.assert_array_equal(got, fine)


@pytest.mark.parametrize("method", ["tri", "med", "ave"])
def test_reference(method: str) -> None:
    g = golden("gaussian_3d")
    coarse = coarse_threshold(g, method=method, min_size=30)
    np.testing.assert_array_equal(coarse, golden(f"masked_object_{method}_low"))
    fine = masked_object_threshold(g, method=method, min_size=30)
    np.testing.assert_array_equal(fine, golden(f"masked_object_{method}"))


def test_reference_with_other_parameters() -> None:
    g = golden("gaussian_3d")
    got = masked_object_threshold(g, method="ave", min_size=30, global_check=True, factor=0.9, dilate=True)
    np.testing.assert_array_equal(got, golden("masked_object_extra"))
    got = masked_object_threshold(g, method="tri", min_size=50, dilate=True)
    np.testing.assert_array_equal(got, golden("cell_local_adaptive"))


@pytest.mark.parametrize("method", ["tri", "ave"])
@pytest.mark.parametrize("value", [0, 3, 1e9])
def test_a_constant_image_has_no_triangle_threshold(method: str, value: float) -> None:
    with pytest.raises(InputError, match="triangle threshold: the image is constant"):
        coarse_threshold(np.full((3, 4, 5), value, np.float32), method=method, min_size=1)


def test_a_constant_image_is_not_above_its_median() -> None:
    assert not coarse_threshold(np.full((3, 4, 5), 3, np.float32), method="med", min_size=1).any()


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(Problems, match=r"method: input should be 'triangle', 'tri', .* \(given: 'otsu'\)"):
        coarse_threshold(np.zeros((3, 4, 5), np.float32), method="otsu", min_size=1)


def test_a_larger_factor_never_adds_a_voxel() -> None:
    x = image("smooth", (7, 21, 23), 11)
    masks = [masked_object_threshold(x, method="med", min_size=3, factor=f) for f in (0.8, 0.9, 1.0, 1.1)]
    assert all((low | high == low).all() for low, high in pairwise(masks))
    assert masks[0].sum() > masks[-1].sum() > 0


def test_thresholds_follow_the_intensity() -> None:
    x = image("smooth", (7, 21, 23), 12)
    for method in ("tri", "med", "ave"):
        expected = masked_object_threshold(x, method=method, min_size=3)
        np.testing.assert_array_equal(masked_object_threshold(x * 64, method=method, min_size=3), expected)
