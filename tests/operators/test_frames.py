"""Middle frames, planes and seeds against definitions written out."""

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu

from fastseg.errors import InputError, Problems
from fastseg.operators import middle_frame, seeds_from_slice, take_slice
from fastseg.operators.frames import profile_split
from tests.support import frozen, golden, image, mask


def split_by_definition(profile: np.ndarray) -> float:
    counts = profile + 1e-5
    centres = np.arange(counts.size) / (counts.size - 1)
    best, at = -1.0, 0
    for k in range(counts.size - 1):
        w1, w2 = counts[: k + 1].sum(), counts[k + 1 :].sum()
        m1 = (counts[: k + 1] * centres[: k + 1]).sum() / w1
        m2 = (counts[k + 1 :] * centres[k + 1 :]).sum() / w2
        if w1 * w2 * (m1 - m2) ** 2 > best * (1 + 1e-12):
            best, at = w1 * w2 * (m1 - m2) ** 2, k
    return centres[at]


@pytest.mark.parametrize(
    "profile", [[0, 0, 5, 9, 3, 0], [7, 1], [1, 1, 1, 1], [0, 0, 0], [100, 3, 2, 50, 80, 2, 1]]
)
def test_split_of_a_profile(profile: list[int]) -> None:
    assert profile_split(np.array(profile)) == pytest.approx(split_by_definition(np.array(profile, float)))


@pytest.mark.parametrize("depth", [1, 2, 5, 8])
def test_middle_by_z(depth: int) -> None:
    z = middle_frame(image("noise", (depth, 3, 4), 1))
    assert type(z) is int
    assert z == depth // 2


@pytest.mark.parametrize("kind", ["smooth", "noise", "blobs", "ties"])
@pytest.mark.parametrize("depth", [2, 7, 13])
def test_middle_by_intensity(kind: str, depth: int) -> None:
    x = frozen(image(kind, (depth, 15, 17), 2))
    foreground = x > np.float32(threshold_otsu(x))
    expected = round(split_by_definition(foreground.sum(axis=(1, 2))) * depth)
    assert middle_frame(x, method="intensity") == expected


def test_middle_of_a_constant_image() -> None:
    assert middle_frame(np.full((2, 3, 4), 5, np.float32), method="intensity") == 0


def test_middle_of_the_reference() -> None:
    g = golden("gaussian_3d")
    assert [middle_frame(g), middle_frame(g, method="intensity")] == golden("middle_frame").tolist()


def test_one_plane_has_no_middle_by_intensity() -> None:
    with pytest.raises(InputError, match="needs at least 2 planes, the image has 1; use method 'z'"):
        middle_frame(np.zeros((1, 3, 4), np.float32), method="intensity")
    with pytest.raises(Problems, match="method: input should be 'z' or 'intensity' \\(given: 'max'\\)"):
        middle_frame(np.zeros((3, 3, 4), np.float32), method="max")


def test_plane_of_a_stack() -> None:
    x = frozen(image("noise", (5, 6, 7), 3))
    for z in range(5):
        got = take_slice(x, z)
        np.testing.assert_array_equal(got, x[z])
        assert not np.shares_memory(got, x)
    m = mask("half", (5, 6, 7), 3)
    assert take_slice(m, 2).dtype == bool
    np.testing.assert_array_equal(take_slice(m, 2), m[2])


@pytest.mark.parametrize("z", [-1, 5])
def test_there_is_no_such_plane(z: int) -> None:
    with pytest.raises(InputError, match=f"take_slice: there is no plane {z}; the image has planes 0 to 4"):
        take_slice(np.zeros((5, 6, 7), np.float32), z)
    with pytest.raises(
        InputError, match=f"seeds_from_slice: there is no plane {z}; the image has planes 0 to 4"
    ):
        seeds_from_slice(np.ones((6, 7), bool), np.zeros((5, 6, 7)), z)


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("min_size", [1, 3, 8])
@pytest.mark.parametrize("kind", ["sparse", "half", "blobs", "winding", "empty", "full"])
def test_seeds(kind: str, min_size: int, background: bool) -> None:
    objects = frozen(mask(kind, (15, 17), 4))
    faces, _ = ndi.label(objects)
    kept = objects & (np.bincount(faces.ravel())[faces] >= min_size)
    labels, count = ndi.label(kept, np.ones((3, 3)))
    expected = np.zeros((5, 15, 17), int)
    expected[0] = 1 if background else 0
    for number in range(1, count + 1):
        y, x = (round(c) for c in ndi.center_of_mass(labels == number))
        expected[3, y, x] = number + 1 if background else number
    got = seeds_from_slice(objects, np.zeros((5, 15, 17)), 3, min_size=min_size, background_seed=background)
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, expected)


def test_a_centroid_may_lie_outside_its_object_and_later_seeds_win() -> None:
    objects = np.zeros((7, 7), bool)
    objects[0, :] = objects[-1, :] = objects[:, 0] = objects[:, -1] = True
    objects[3, 3] = True
    seeds = seeds_from_slice(objects, np.zeros((2, 7, 7)), 1)
    assert seeds[1, 3, 3] == 3
    assert np.count_nonzero(seeds[1]) == 1


def test_the_background_seed_collides_with_the_first_plane() -> None:
    objects = np.zeros((5, 5), bool)
    objects[1:3, 1:3] = True
    seeds = seeds_from_slice(objects, np.zeros((3, 5, 5)), 0)
    assert sorted(np.unique(seeds[0])) == [1, 2]


def test_a_3d_mask_gives_no_seeds() -> None:
    with pytest.raises(InputError, match=r"seeds_from_slice: 'mask' is 3-D \(3, 5, 5\); it must be 2-D"):
        seeds_from_slice(np.zeros((3, 5, 5), bool), np.zeros((3, 5, 5)), 1)
