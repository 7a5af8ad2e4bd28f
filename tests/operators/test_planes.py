"""Hot columns and ranges of planes against loops written out."""

import numpy as np
import pytest

from fastseg.errors import InputError
from fastseg.operators import prune_slices, remove_hot_pixels
from tests.operators.mask_oracles import pruned, without_hot_columns
from tests.support import MASKS, assert_identical, frozen, mask


def planes_of(counts: list[int], shape: tuple[int, int] = (14, 15)) -> np.ndarray:
    """A mask with so many voxels in every plane."""
    flat = np.arange(shape[0] * shape[1]).reshape(shape)
    return np.stack([flat < n for n in counts])


@pytest.mark.parametrize(
    "shape", [(7, 11, 13), (3, 11, 13), (2, 11, 13), (1, 11, 13), (6, 1, 13), (6, 11, 1)]
)
@pytest.mark.parametrize("kind", MASKS)
def test_hot_columns(shape: tuple[int, int, int], kind: str) -> None:
    objects = frozen(mask(kind, shape, 1))
    assert_identical(remove_hot_pixels(objects), without_hot_columns(objects))


@pytest.mark.parametrize(("planes", "hot"), [(8, True), (7, True), (6, True), (5, False), (0, False)])
def test_a_column_is_hot_if_all_its_planes_but_two_are_set(planes: int, hot: bool) -> None:
    objects = np.zeros((8, 9, 9), bool)
    objects[:planes, 4, 4] = True
    objects[2, :, :] = True
    cleared = objects & ~remove_hot_pixels(objects)
    dy, dx = np.indices((9, 9)) - 4
    np.testing.assert_array_equal(cleared[2], (dy**2 + dx**2 <= 4) & hot)
    assert not (cleared & ~objects).any()


@pytest.mark.parametrize("depth", [1, 2])
def test_two_planes_are_cleared_altogether(depth: int) -> None:
    assert not remove_hot_pixels(np.ones((depth, 5, 5), bool)).any()


def test_with_three_planes_every_voxel_is_hot() -> None:
    objects = np.zeros((3, 9, 9), bool)
    objects[0, 2, 2] = objects[2, 7, 7] = True
    assert not remove_hot_pixels(objects).any()


RANGES = [
    ([50, 60, 150, 200, 150, 60, 50, 50], [1, 5]),
    ([50, 150, 99, 200, 100, 99, 150, 150], [2, 5]),
    ([50, 60, 70, 200, 150, 150, 150, 150], [2, 6]),
    ([200, 60, 70, 150, 150], [0, 1]),
    ([50, 150, 150, 150, 200], [0, 3]),
    ([50, 99, 150, 150, 200], [1, 3]),
    ([10, 200, 200, 200, 10], [0, 3]),
    ([200, 10, 200, 10], [0, 1]),
    ([0, 0, 0, 0], [0, 1]),
    ([9, 9, 9], [0, 1]),
    ([150, 200], [0, 0]),
    ([200], None),
]


@pytest.mark.parametrize(("counts", "kept"), RANGES)
def test_ranges_of_planes(counts: list[int], kept: list[int] | None) -> None:
    objects = frozen(planes_of(counts))
    z = np.arange(len(counts))[:, None, None]
    expected = objects & (z >= kept[0]) & (z <= kept[1]) if kept else np.zeros_like(objects)
    np.testing.assert_array_equal(pruned(objects), expected)
    assert_identical(prune_slices(objects), expected)


@pytest.mark.parametrize("seed", range(40))
def test_random_ranges_of_planes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = np.array([0, 50, 99, 100, 101, 150, 210])
    objects = planes_of([int(n) for n in rng.choice(levels, rng.integers(1, 12))])
    assert_identical(prune_slices(objects), pruned(objects))


def test_a_full_plane_may_hold_more_than_65535_voxels() -> None:
    objects = planes_of([50, 150, 65546, 150, 50, 50], (257, 256))
    got = [int(plane.sum()) for plane in prune_slices(objects)]
    assert got == [50, 150, 65546, 150, 50, 0]


@pytest.mark.parametrize("operator", [remove_hot_pixels, prune_slices], ids=lambda o: o.__name__)
def test_a_plane_alone_is_refused(operator: object) -> None:
    with pytest.raises(InputError, match=rf"{operator.__name__}: 'mask' is 2-D \(5, 6\); it must be 3-D"):
        operator(np.ones((5, 6), bool))
