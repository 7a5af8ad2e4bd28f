"""Size filters and hole filling against SciPy and scikit-image, and the reference's results."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi
from skimage.measure import label
from skimage.morphology import remove_small_objects as by_skimage

from fastseg.arrays import Namespace
from fastseg.operators import (
    fill_all_holes,
    fill_holes,
    label_objects,
    remove_small_labels,
    remove_small_objects,
    remove_small_objects_slices,
)
from fastseg.operators.registry import registry
from fastseg.operators.run import apply
from fastseg.tiling import Engine, Volume
from fastseg.tiling.shelf import MemoryShelf, Shelf
from fastseg.tiling.storage import Memory
from fastseg.tiling.volume import PendingVolume
from tests.support import MASKS, assert_identical, frozen, golden, mask


class Painted:
    """Storage in memory that keeps labels voxel by voxel, as a folder does."""

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        return PendingVolume(tuple(shape), ns.xp)

    def shelf(self) -> Shelf:
        return MemoryShelf()

    def release(self, item: Volume | Shelf) -> None:
        pass


SHAPES = [(7, 17, 19), (1, 17, 19), (7, 1, 19), (17, 19)]


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    shape = tuple(draw(st.integers(1, n)) for n in draw(st.sampled_from([(5, 12, 13), (12, 13)])))
    return mask(draw(st.sampled_from(MASKS)), shape, draw(st.integers(0, 999)))


def filled(objects: np.ndarray, low: int, high: int) -> np.ndarray:
    labels, _ = ndi.label(~objects)
    size = np.bincount(labels.ravel())[labels]
    return objects | ((size >= low) & (size <= high) & ~objects)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_size_filter(shape: tuple[int, ...], kind: str, connectivity: int) -> None:
    objects = mask(kind, shape, 1)
    for min_size in (1, 2, 5, 40):
        got = remove_small_objects(objects, min_size=min_size, connectivity=connectivity)
        expected = by_skimage(objects, max_size=min_size - 1, connectivity=min(connectivity, len(shape)))
        assert got.dtype == bool
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("connectivity", [1, 2])
def test_size_filter_of_slices(kind: str, connectivity: int) -> None:
    objects = mask(kind, (5, 17, 19), 2)
    for min_size in (1, 2, 5, 40):
        got = remove_small_objects_slices(objects, min_size=min_size, connectivity=connectivity)
        for z in range(5):
            expected = by_skimage(objects[z], max_size=min_size - 1, connectivity=connectivity)
            np.testing.assert_array_equal(got[z], expected)


def test_exactly_the_smallest_size_is_kept() -> None:
    objects = np.zeros((1, 3, 9), bool)
    objects[0, 1, 0:3] = objects[0, 1, 5:9] = True
    assert remove_small_objects(objects, min_size=3).sum() == 7
    assert remove_small_objects(objects, min_size=4).sum() == 4
    assert remove_small_objects(objects, min_size=5).sum() == 0


def test_reference() -> None:
    spots, objects = golden("spot_3d_multi"), golden("masked_object_ave")
    np.testing.assert_array_equal(remove_small_objects(spots, min_size=12), golden("size_filter_3d"))
    np.testing.assert_array_equal(
        remove_small_objects_slices(spots, min_size=6), golden("size_filter_planes")
    )
    np.testing.assert_array_equal(fill_holes(objects, hole_min=0, hole_max=400), golden("hole_filling_2d"))
    np.testing.assert_array_equal(fill_holes(objects, hole_min=4, hole_max=60), golden("hole_filling_2d_min"))
    got = fill_holes(objects, hole_min=0, hole_max=4000, slices=False)
    np.testing.assert_array_equal(got, golden("hole_filling_3d"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_labels_of_scikit_image(shape: tuple[int, ...], kind: str, connectivity: int) -> None:
    objects = mask(kind, shape, 6)
    got = label_objects(objects, connectivity=connectivity)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, label(objects, connectivity=min(connectivity, len(shape))))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_labels_are_counted_whatever_their_connectivity(dtype: type) -> None:
    labels = np.array([[[1, 0, 1, 2, 2, 2, 0, 3, 200]]], dtype)
    got = remove_small_labels(labels, min_size=2)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [[[1, 0, 1, 2, 2, 2, 0, 0, 0]]])
    np.testing.assert_array_equal(remove_small_labels(labels, min_size=3), [[[0, 0, 0, 2, 2, 2, 0, 0, 0]]])
    np.testing.assert_array_equal(remove_small_labels(labels, min_size=0), labels)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MASKS)
def test_holes_of_the_volume(shape: tuple[int, ...], kind: str) -> None:
    objects = mask(kind, shape, 3)
    for low, high in ((0, 3), (2, 6), (3, 3), (0, 10_000)):
        got = fill_holes(objects, hole_min=low, hole_max=high, slices=False)
        assert got.dtype == bool
        np.testing.assert_array_equal(got, filled(objects, low, high))


@pytest.mark.parametrize("kind", MASKS)
def test_holes_of_each_plane(kind: str) -> None:
    objects = mask(kind, (5, 17, 19), 4)
    for low, high in ((0, 3), (2, 6), (0, 10_000)):
        got = fill_holes(objects, hole_min=low, hole_max=high)
        for z in range(5):
            np.testing.assert_array_equal(got[z], filled(objects[z], low, high))


def test_a_small_outer_background_is_filled_unless_the_border_is_left_out() -> None:
    objects = np.zeros((3, 7, 7), bool)
    objects[1, 1:6, 1:6] = True
    objects[1, 3, 3] = False
    assert fill_holes(objects, hole_min=0, hole_max=24)[1].all()
    ring_only = fill_holes(objects, hole_min=0, hole_max=24, fill_border=False)
    assert ring_only.sum() == 25
    assert ring_only[1, 3, 3]


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("shape", [(7, 17, 19), (3, 17, 19), (17, 19)])
def test_without_the_border_all_holes_are_those_of_scipy(shape: tuple[int, ...], kind: str) -> None:
    objects = mask(kind, shape, 5)
    got = fill_holes(objects, hole_min=0, hole_max=objects.size, slices=False, fill_border=False)
    np.testing.assert_array_equal(got, ndi.binary_fill_holes(objects))
    planes = fill_holes(objects, hole_min=0, hole_max=objects.size, fill_border=False)
    for plane, given_plane in zip(planes.reshape(-1, 17, 19), objects.reshape(-1, 17, 19), strict=True):
        np.testing.assert_array_equal(plane, ndi.binary_fill_holes(given_plane))


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("shape", [*SHAPES, (7, 17, 1), (1, 19), (3, 3)])
def test_all_holes_are_those_of_scipy(shape: tuple[int, ...], kind: str) -> None:
    objects = frozen(mask(kind, shape, 7))
    got = fill_all_holes(objects)
    assert got.dtype == bool
    np.testing.assert_array_equal(got, ndi.binary_fill_holes(objects))


def test_all_holes_of_any_size_but_none_open_by_a_face() -> None:
    shell = np.zeros((9, 9, 9), bool)
    shell[1:8, 1:8, 1:8] = True
    shell[2:7, 2:7, 2:7] = False
    assert fill_all_holes(shell).sum() == 343
    shell[1, 1, 1] = False  # open by a corner only
    assert fill_all_holes(shell).sum() == 342
    shell[4, 4, 1] = False
    assert fill_all_holes(shell).sum() == shell.sum()
    assert fill_all_holes(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]])).all()


def test_numbers_follow_the_first_voxel_in_scan_order() -> None:
    objects = np.array(
        [[[0, 0, 0, 1], [1, 0, 1, 1], [1, 1, 0, 0]], [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 7]]]
    )
    numbers = [[[0, 0, 0, 1], [2, 0, 1, 1], [2, 2, 0, 0]], [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 3]]]
    np.testing.assert_array_equal(label_objects(objects), numbers)
    edges = [[[0, 0, 0, 1], [1, 0, 1, 1], [1, 1, 0, 0]], [[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]]
    np.testing.assert_array_equal(label_objects(objects, connectivity=2), edges)
    corner = np.zeros((2, 2, 2), np.uint8)
    corner[0, 0, 0] = corner[1, 1, 1] = 255
    assert [label_objects(corner, connectivity=c).max() for c in (1, 2, 3)] == [2, 2, 1]


@given(masks(), st.integers(0, 30))
def test_filtering_twice_is_filtering_once_and_never_adds(objects: np.ndarray, min_size: int) -> None:
    once = remove_small_objects(objects, min_size=min_size)
    np.testing.assert_array_equal(remove_small_objects(once, min_size=min_size), once)
    assert not (once & ~objects).any()
    assert not (remove_small_objects(objects, min_size=min_size + 1) & ~once).any()


@given(masks(), st.integers(0, 30), st.booleans(), st.booleans())
def test_filling_twice_is_filling_once_and_never_removes(
    objects: np.ndarray, high: int, slices: bool, fill_border: bool
) -> None:
    def fill(m: np.ndarray, high: int = high) -> np.ndarray:
        return fill_holes(m, hole_min=0, hole_max=high, slices=slices, fill_border=fill_border)

    once = fill(objects)
    np.testing.assert_array_equal(fill(once), once)
    assert not (objects & ~once).any()
    assert not (once & ~fill(objects, high + 1)).any()


@given(masks(), st.integers(0, 30))
def test_turning_the_plane(objects: np.ndarray, size: int) -> None:
    axes = (objects.ndim - 2, objects.ndim - 1)
    turned = np.rot90(objects, axes=axes)
    for operator, parameters in (
        (remove_small_objects, {"min_size": size}),
        (fill_holes, {"hole_min": 0, "hole_max": size}),
    ):
        expected = np.rot90(operator(objects, **parameters), axes=axes)
        np.testing.assert_array_equal(operator(turned, **parameters), expected)


@given(masks(), st.integers(0, 30), st.booleans(), st.booleans(), st.sampled_from([None, (2, 5, 4)]))
def test_labels_held_voxel_by_voxel_lead_to_the_same(
    objects: np.ndarray, size: int, slices: bool, fill_border: bool, tile: tuple[int, ...] | None
) -> None:
    cases = [
        (label_objects, {}),
        (remove_small_objects, {"min_size": size}),
        (fill_holes, {"hole_min": 0, "hole_max": size, "slices": slices, "fill_border": fill_border}),
        (fill_all_holes, {}),
    ]
    for operator, parameters in cases:
        expected = operator(objects, **parameters)
        engine = Engine(tile=tile, storage=Painted())
        got = apply(registry()[operator.__name__], objects, engine=engine, **parameters)
        assert_identical(got, expected)


def test_holes_are_counted_across_tiles_however_labels_are_kept() -> None:
    objects = mask("dense", (6, 20, 21), 8)
    expected = fill_holes(objects, hole_min=2, hole_max=9, slices=False)
    assert expected.sum() > objects.sum()
    for tile in ((6, 20, 21), (3, 7, 8), (1, 1, 5)):
        for storage in (Memory(), Painted()):
            engine = Engine(tile=tile, storage=storage)
            got = apply(
                registry()["fill_holes"], objects, engine=engine, hole_min=2, hole_max=9, slices=False
            )
            assert_identical(got, expected)
