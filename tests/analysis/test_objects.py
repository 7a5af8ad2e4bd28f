"""Object tables within regions."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from fastseg.analysis import RegionObject, label_within_regions
from fastseg.errors import InputError


def test_objects_are_cut_at_regions_and_numbered_region_by_region() -> None:
    mask = np.array([[1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 1]])
    regions = np.array([[7, 7, 3, 3, 3, 3], [7, 7, 3, 3, 3, 0]], np.uint16)
    labels, table = label_within_regions(mask, regions)
    np.testing.assert_array_equal(labels, [[3, 3, 1, 1, 0, 2], [0, 0, 0, 0, 0, 0]])
    assert labels.dtype == np.int32
    assert table == [RegionObject(3, 1, 2), RegionObject(3, 2, 1), RegionObject(7, 3, 2)]


def test_a_mask_of_regions_is_split_into_components() -> None:
    rng = np.random.default_rng(0)
    mask, regions = rng.random((6, 9, 10)) < 0.6, rng.random((6, 9, 10)) < 0.5
    labels, table = label_within_regions(mask, regions)
    parts, count = ndi.label(regions)
    expected = np.zeros(mask.shape, np.int64)
    for region in range(1, count + 1):
        found, more = ndi.label(mask & (parts == region))
        expected[found > 0] = found[found > 0] + expected.max()
        assert [t.region for t in table].count(region) == more
    np.testing.assert_array_equal(labels, expected)
    assert [t.voxels for t in table] == np.bincount(labels.ravel())[1:].tolist()
    assert [t.label for t in table] == list(range(1, labels.max() + 1))


def test_no_object_gives_an_empty_table() -> None:
    labels, table = label_within_regions(np.zeros((2, 3, 4)), np.full((2, 3, 4), 5))
    assert table == []
    assert not labels.any()


@pytest.mark.parametrize(
    ("mask", "regions", "message"),
    [
        (np.ones((2, 3)), np.ones((3, 2), int), "the mask has shape"),
        (np.ones((2, 3)), np.ones((2, 3)), "integer labels are needed"),
        (np.ones((2, 3)), np.zeros((2, 3), int), "no voxel belongs to a region"),
    ],
)
def test_wrong_regions_are_refused(mask: np.ndarray, regions: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        label_within_regions(mask, regions)
