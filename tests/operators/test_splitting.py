"""Peaks and watersheds against definitions written out, scikit-image, and the reference's results."""

import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.segmentation import watershed as by_skimage

from fastseg.kernels.cpu import peaks as peaks_kernel
from fastseg.kernels.cpu import split as split_kernel
from fastseg.kernels.cpu.watershed import flood
from fastseg.operators import local_maxima, watershed, watershed_split
from tests.kernels.test_watershed import flood_slowly, layout_ordered_queue
from tests.support import frozen, golden, image, mask

FULL = np.ones((3, 3, 3), bool)


def peaks_by_definition(x: np.ndarray, objects: np.ndarray, sort: str | None = "stable") -> np.ndarray:
    """Section by section: boxes away from the border, window maxima, flat objects, ties in the order of the sort."""
    labels, count = ndi.label(objects, FULL)
    far = np.zeros(x.shape, bool)
    far[2:-2, 2:-2, 2:-2] = True
    found = np.zeros(x.shape, bool)
    for number in range(1, count + 1):
        away = ndi.find_objects(((labels == number) & far).astype(int))
        if not away:
            continue
        inside = labels[away[0]] == number
        values = np.where(inside, x[away[0]], -np.inf)
        candidates = inside & (values == ndi.maximum_filter(values, 5, mode="nearest"))
        if candidates[inside].all():
            candidates = inside & ~ndi.binary_opening(inside)
        candidates &= values > x.min()
        kept: list[np.ndarray] = []
        places = np.argwhere(candidates)
        for place in places[np.argsort(-values[candidates], kind=sort)]:
            if all(np.abs(place - other).max() > 1 for other in kept):
                kept.append(place)
        for place in kept:
            found[away[0]][tuple(place)] = True
    return found


@pytest.mark.parametrize("kind", ["noise", "ties", "blobs", "constant"])
@pytest.mark.parametrize("objects", ["half", "dense", "blobs", "full", "winding", "empty"])
def test_peaks(kind: str, objects: str) -> None:
    x, m = frozen(image(kind, (9, 15, 17), 1)), frozen(mask(objects, (9, 15, 17), 2))
    got = local_maxima(x, m)
    assert got.dtype == bool
    np.testing.assert_array_equal(got, peaks_by_definition(x, m))


def test_peaks_of_the_reference() -> None:
    got = local_maxima(golden("gaussian_3d"), golden("masked_object_ave"))
    np.testing.assert_array_equal(got, golden("local_maxima") > 0)


@pytest.mark.parametrize("shape", [(9, 15, 17), (5, 15, 17), (4, 15, 17), (9, 1, 17)])
@pytest.mark.parametrize("kind", ["noise", "ties", "blobs", "constant"])
def test_peaks_in_the_order_of_the_default_sort(kind: str, shape: tuple[int, int, int]) -> None:
    for objects in ("half", "dense", "full", "winding", "empty"):
        x, m = frozen(image(kind, shape, 3)), frozen(mask(objects, shape, 4))
        got = local_maxima(x, m, compat=True)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, peaks_by_definition(x, m, None))


def test_the_default_sort_takes_other_peaks_of_a_plateau_than_scan_order() -> None:
    differ = 0
    for seed in range(3):
        heights = np.random.default_rng(seed).integers(1, 4, (3, 6, 7))
        x = np.kron(heights, np.ones((3, 3, 3))).astype(np.float32)
        x[0] = 0
        objects = np.ones(x.shape, bool)
        unstable = local_maxima(x, objects, compat=True)
        np.testing.assert_array_equal(unstable, peaks_by_definition(x, objects, None))
        differ += (unstable != local_maxima(x, objects)).any()
    assert differ


def test_peaks_of_the_reference_in_the_order_of_the_default_sort() -> None:
    got = local_maxima(golden("gaussian_3d"), golden("masked_object_ave"), compat=True)
    np.testing.assert_array_equal(got, golden("local_maxima") > 0)


def test_no_peak_lies_within_two_voxels_of_a_face() -> None:
    x = np.zeros((9, 9, 9), np.float32)
    x[1, 4, 4] = x[4, 7, 4] = x[4, 4, 2] = 1
    np.testing.assert_array_equal(np.argwhere(local_maxima(x, np.ones(x.shape, bool))), [[4, 4, 2]])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_volume_of_four_planes_has_no_peaks(axis: int) -> None:
    shape = [9, 9, 9]
    shape[axis] = 4
    assert not local_maxima(image("blobs", tuple(shape), 3), np.ones(shape, bool)).any()


def test_the_first_of_equal_neighbouring_peaks_is_taken() -> None:
    x = np.zeros((7, 9, 9), np.float32)
    x[3, 4, 3:6] = 1
    x[3, 4, 4] = 1
    np.testing.assert_array_equal(
        np.argwhere(local_maxima(x, np.ones(x.shape, bool))), [[3, 4, 3], [3, 4, 5]]
    )


def two_balls(distance: int) -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.indices((15, 15, 15 + distance)) - 7
    objects = (z**2 + y**2 + x**2 <= 30) | (z**2 + y**2 + (x - distance) ** 2 <= 30)
    peaks = np.zeros(objects.shape, bool)
    peaks[7, 7, 7] = peaks[7, 7, 7 + distance] = True
    return objects, peaks


def test_two_balls_are_cut_where_they_touch() -> None:
    objects, peaks = two_balls(8)
    labels = watershed_split(objects, peaks)
    assert labels.dtype == np.int32
    assert set(np.unique(labels)) == {0, 1, 2}
    assert (labels[7, 7, 7], labels[7, 7, 15]) == (1, 2)
    assert not (labels[:, :, 11]).any()
    np.testing.assert_array_equal(labels[:, :, :11] > 0, objects[:, :, :11])
    np.testing.assert_array_equal(labels == 2, np.flip(labels == 1, 2))


def test_an_object_without_a_peak_vanishes() -> None:
    objects = np.zeros((5, 9, 20), bool)
    objects[1:4, 2:7, 2:7] = objects[1:4, 2:7, 12:17] = True
    peaks = np.zeros_like(objects)
    peaks[2, 4, 4] = True
    np.testing.assert_array_equal(watershed_split(objects, peaks) > 0, objects & (np.arange(20) < 10))


def test_objects_split_as_the_reference() -> None:
    labels = watershed_split(golden("masked_object_ave"), golden("local_maxima"))
    np.testing.assert_array_equal(labels, golden("watershed_cutting"))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["blobs", "dense", "winding"])
def test_object_by_object_is_the_flood_of_the_whole_volume(kind: str, seed: int) -> None:
    objects = ndi.binary_dilation(mask(kind, (9, 25, 27), seed) & mask("dense", (9, 25, 27), seed + 50))
    objects ^= objects & mask("sparse", objects.shape, seed + 100)
    peaks = mask("sparse", objects.shape, seed + 200) & mask("half", objects.shape, seed + 300)
    seeds, _ = ndi.label(ndi.binary_dilation(peaks), FULL)
    expected = flood(
        -ndi.distance_transform_edt(objects), np.where(objects, seeds, 0).astype(np.int32), objects, True
    )
    np.testing.assert_array_equal(watershed_split(objects, peaks), expected)
    assert len(np.unique(expected)) > 3


def test_a_split_holds_four_arrays_beside_its_inputs() -> None:
    """Seeds, distances, the queue of the flood, and the objects, which become the result."""
    objects = np.ones((40, 70, 80), bool)
    objects[:, ::35] = False
    peaks = np.zeros_like(objects)
    peaks[20, 15::35, 20] = peaks[20, 15::35, 60] = True
    expected = watershed_split(objects, peaks)
    tracemalloc.start()
    got = watershed_split(objects, peaks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(got, expected)
    assert len(np.unique(got)) == 5
    assert peak < 16.6 * objects.size


def test_grown_peaks_are_gone_when_the_flood_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    grow, cut = peaks_kernel.dilate_by_faces, split_kernel.cut_objects
    grown: list[weakref.ref[np.ndarray]] = []
    alive: list[bool] = []

    def growing(found: np.ndarray, out: np.ndarray) -> None:
        grown.append(weakref.ref(out))
        grow(found, out)

    def cutting(*arguments: Any) -> None:
        alive.extend(reference() is not None for reference in grown)
        cut(*arguments)

    monkeypatch.setattr(peaks_kernel, "dilate_by_faces", growing)
    monkeypatch.setattr(split_kernel, "cut_objects", cutting)
    watershed_split(*two_balls(8))
    assert alive == [False]


def flooded_in_heap_order(objects: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    seeds, _ = ndi.label(ndi.binary_dilation(peaks), FULL)
    cost = -ndi.distance_transform_edt(objects)
    return flood_slowly(
        cost, np.where(objects, seeds, 0).astype(np.int32), objects, True, layout_ordered_queue
    )


@pytest.mark.parametrize("kind", ["blobs", "dense", "half", "winding"])
@pytest.mark.parametrize("shape", [(7, 13, 15), (1, 13, 15), (7, 1, 15), (7, 13, 1)])
def test_heap_order(kind: str, shape: tuple[int, int, int]) -> None:
    for seed in range(3):
        objects = frozen(mask(kind, shape, seed) & mask("dense", shape, seed + 50))
        peaks = frozen(mask("sparse", shape, seed + 100))
        got = watershed_split(objects, peaks, compat=True)
        assert got.dtype == np.int32
        np.testing.assert_array_equal(got, flooded_in_heap_order(objects, peaks))


def test_the_order_of_the_heap_moves_lines_between_equal_seeds() -> None:
    for seed in range(3):
        objects = mask("dense", (9, 25, 27), seed)
        peaks = np.random.default_rng(seed).random(objects.shape) < 0.01
        got = watershed_split(objects, peaks, compat=True)
        np.testing.assert_array_equal(got, flooded_in_heap_order(objects, peaks))
        assert (got != watershed_split(objects, peaks)).any()


def test_objects_split_as_the_reference_in_heap_order() -> None:
    labels = watershed_split(golden("masked_object_ave"), golden("local_maxima"), compat=True)
    np.testing.assert_array_equal(labels, golden("watershed_cutting"))


def test_the_background_around_the_bounding_box_of_an_object_counts() -> None:
    objects = np.zeros((9, 12, 30), bool)
    objects[2:7, 2:10, 3:27] = True
    objects[2:7, 2:5, 10:14] = False
    peaks = np.zeros_like(objects)
    peaks[4, 5, 6] = peaks[4, 7, 21] = peaks[3, 7, 12] = True
    seeds, _ = ndi.label(ndi.binary_dilation(peaks), FULL)
    expected = flood(-ndi.distance_transform_edt(objects), seeds.astype(np.int32), objects, True)
    np.testing.assert_array_equal(watershed_split(objects, peaks), expected)


def test_each_region_holds_its_seed_and_stays_in_its_object() -> None:
    objects = mask("dense", (9, 15, 17), 5) & mask("dense", (9, 15, 17), 6)
    peaks = mask("sparse", (9, 15, 17), 7) & objects
    labels = watershed_split(objects, peaks)
    assert not labels[~objects].any()
    seeds, _ = ndi.label(ndi.binary_dilation(peaks) & objects, FULL)
    parts, _ = ndi.label(objects)
    for number in np.unique(labels[labels > 0]):
        assert len(np.unique(parts[labels == number])) >= 1
        assert ((labels == number) & (seeds > 0)).any()


@pytest.mark.parametrize("shape", [(7, 13, 15), (1, 13, 15), (7, 1, 15)])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_watershed_of_distinct_costs(shape: tuple[int, ...], dtype: type) -> None:
    cost = np.random.default_rng(8).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    seeds = ndi.label(mask("sparse", shape, 9))[0].astype(dtype)
    labels = watershed(cost, frozen(seeds))
    assert labels.dtype == dtype
    np.testing.assert_array_equal(labels, by_skimage(cost.astype(np.float64), seeds))


def test_watershed_lines_separate_the_regions() -> None:
    cost = image("smooth", (7, 21, 23), 10)
    seeds = np.zeros(cost.shape, np.int32)
    seeds[1, 2, 2], seeds[5, 18, 20], seeds[3, 3, 20] = 1, 2, 3
    labels = watershed(cost, seeds, lines=True)
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    for number in (1, 2, 3):
        grown = ndi.binary_dilation(labels == number)
        assert set(np.unique(labels[grown])) <= {0, number}
    assert (watershed(cost, seeds) > 0).all()


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, ">i4", ">u2"])
def test_seeds_of_every_integer_type(dtype: object) -> None:
    cost = image("noise", (5, 9, 11), 11)
    seeds = (ndi.label(mask("sparse", cost.shape, 12))[0] % 100).astype(dtype)
    labels = watershed(cost, seeds)
    assert labels.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(labels, watershed(cost, seeds.astype(np.int32)))
