"""Setting voxels by masks, labels and values against NumPy's indexing."""

import numpy as np
import pytest

from fastseg.errors import InputError, Problems
from fastseg.operators import greater_than_value, mask_image, remove_labels, set_where
from tests.support import MASKS, assert_identical, frozen, image, mask

SHAPES = [(4, 7, 9), (1, 7, 9), (4, 1, 9), (7, 9), (1, 9)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("value", [0.0, -1.5, 0.1, 30000.0])
def test_masked_voxels_get_the_value(shape: tuple[int, ...], kind: str, value: float) -> None:
    x, where = frozen(image("noise", shape, 1)), frozen(mask(kind, shape, 2))
    expected = x.copy()
    expected[where] = value
    assert_identical(mask_image(x, where, value=value), expected)


def test_the_value_is_zero_if_none_is_given_and_masks_may_be_numbers() -> None:
    x = image("offset", (3, 4, 5), 3)
    where = np.zeros(x.shape, np.uint8)
    where[0, 1, 2], where[2, 3, 4] = 1, 255
    expected = x.copy()
    expected[0, 1, 2] = expected[2, 3, 4] = 0
    assert_identical(mask_image(x, where), expected)
    assert_identical(
        mask_image(x.astype(np.uint16), where), np.where(where, 0, x.astype(np.uint16)).astype("f4")
    )


@pytest.mark.parametrize("shape", [(4, 7, 9), (2, 7, 9), (5, 1, 9)])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("value", [True, False])
def test_voxels_or_with_compat_whole_planes_are_set(shape: tuple[int, ...], kind: str, value: bool) -> None:
    target, where = frozen(mask("half", shape, 4)), frozen(mask(kind, shape, 5))
    expected = target.copy()
    expected[where] = value
    assert_identical(set_where(target, where, value=value), expected)
    planes = target.copy()
    planes[where.astype(np.int64)] = value
    assert_identical(set_where(target, where, value=value, compat=True), planes)


@pytest.mark.parametrize(("kind", "planes"), [("empty", [0]), ("full", [1]), ("half", [0, 1])])
def test_the_planes_are_numbered_by_the_values_that_occur(kind: str, planes: list[int]) -> None:
    target = np.ones((4, 5, 6), bool)
    got = set_where(target, mask(kind, target.shape, 6), compat=True)
    assert [z for z in range(4) if not got[z].any()] == planes
    assert got.sum() == (4 - len(planes)) * 30


def test_a_plane_that_does_not_exist_is_not_set() -> None:
    target = np.ones((1, 5, 6), bool)
    assert set_where(target, target, compat=True).all()
    assert not set_where(target, ~target, compat=True).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_removed(dtype: type, shape: tuple[int, ...]) -> None:
    labels = frozen(np.random.default_rng(7).integers(0, 9, shape).astype(dtype))
    for ids in ([], [1], [0], [3, 8, 3], [70_000, 5], [-1, 2], [2**63, 4], [-(2**70), 10**30, 6]):
        kept = [0 if value in ids else value for value in labels.ravel().tolist()]
        expected = np.array(kept, dtype).reshape(shape)
        assert_identical(remove_labels(labels, ids=ids), expected)


def test_large_labels_are_told_apart() -> None:
    signed = np.array([[2**53, 2**53 + 1, -(2**63)]])
    assert_identical(remove_labels(signed, ids=[2**53, -(2**63)]), np.array([[0, 2**53 + 1, 0]]))
    labels = np.array([[2**53, 2**53 + 1, 2**63 + 5, 1]], np.uint64)
    for k in range(4):
        expected = labels.copy()
        expected[0, k] = 0
        assert_identical(remove_labels(labels, ids=[int(labels[0, k])]), expected)
    assert_identical(remove_labels(labels > 1, ids=[0, 1, 2]), np.zeros((1, 4), bool))


def test_label_one_is_removed_if_none_is_named() -> None:
    np.testing.assert_array_equal(remove_labels(np.array([[0, 1, 2, 1, 3]])), [[0, 0, 2, 0, 3]])
    np.testing.assert_array_equal(remove_labels(np.array([[-1, 1, 2]]), ids=[-1]), [[0, 1, 2]])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["noise", "ties", "offset"])
def test_above_a_value_is_strict(shape: tuple[int, ...], kind: str) -> None:
    x = frozen(image(kind, shape, 8))
    for value in (float(x.ravel()[3]), 0, 0.1, -1.0, float(x.max()), np.float64(x.min())):
        assert_identical(greater_than_value(x, value), x > np.float32(value))
    assert not greater_than_value(x, float(x.max())).any()


def test_wrong_inputs_are_refused() -> None:
    x, objects, labels = np.zeros((3, 4), np.float32), np.zeros((3, 5), bool), np.zeros((3, 4), np.int32)
    with pytest.raises(InputError, match=r"'mask' has shape \(3, 5\), the inputs before it have \(3, 4\)"):
        mask_image(x, objects)
    with pytest.raises(Problems, match=r"value: input should be a finite number \(given: nan\)"):
        mask_image(x, x != 0, value=float("nan"))
    with pytest.raises(InputError, match=r"set_where: 'mask' is 2-D \(3, 5\); it must be 3-D"):
        set_where(objects, objects)
    with pytest.raises(Problems, match=r"value: input should be a valid boolean \(given: 1\)"):
        set_where(objects[None], objects[None], value=1)
    with pytest.raises(Problems, match=r"ids.0: input should be a valid integer \(given: 1.5\)"):
        remove_labels(labels, ids=[1.5])
    with pytest.raises(InputError, match="'labels' has dtype float32; integer labels are needed"):
        remove_labels(x)
    with pytest.raises(InputError, match="greater_than_value: 'value' must be one number"):
        greater_than_value(x, np.zeros(2))
