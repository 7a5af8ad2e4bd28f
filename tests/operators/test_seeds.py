"""Seeds of the objects in the middle plane against the definition, step by step."""

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage.filters import threshold_otsu

from fastseg.errors import InputError, Problems
from fastseg.operators import seeds_for_objects, seeds_from_slice
from tests.operators.test_frames import split_by_definition
from tests.support import assert_identical, frozen, image, mask

CORNERS = np.ones((3, 3), bool)


def sizes(plane: np.ndarray) -> np.ndarray:
    """Size of the face-connected object of each pixel; 0 outside."""
    labels, _ = ndi.label(plane)
    return np.bincount(labels.ravel())[labels] * plane


def middle_by_definition(x: np.ndarray) -> int:
    foreground = x > np.float32(threshold_otsu(x))
    return round(split_by_definition(foreground.sum(axis=(1, 2))) * len(x))


def seeds_by_definition(
    x: np.ndarray, objects: np.ndarray, area_min: int, area_max: int, background_seed: bool
) -> np.ndarray:
    z = middle_by_definition(x)
    hole = sizes(~objects[z])
    plane = objects[z] | (~objects[z] & (hole >= area_min) & (hole <= area_max))
    plane &= sizes(plane) >= area_min
    labels, count = ndi.label(plane, CORNERS)
    seeds = np.zeros(x.shape, np.int32)
    number = 1
    if background_seed:
        seeds[0] = number
        number += 1
    for k in range(1, count + 1):
        where = np.argwhere(labels == k)
        seeds[z, round(where[:, 0].mean()), round(where[:, 1].mean())] = number
        number += 1
    return seeds


def rising(depth: int) -> np.ndarray:
    """An image whose planes brighten up to half the stack."""
    ramp = np.minimum(np.arange(depth), depth - np.arange(depth))
    return np.repeat(np.repeat(ramp[:, None, None], 15, 1), 17, 2).astype(np.float32)


@pytest.mark.parametrize("kind", ["sparse", "half", "dense", "blobs", "winding", "empty", "full"])
@pytest.mark.parametrize(("area_min", "area_max"), [(0, 0), (1, 10_000), (1, 3), (3, 40), (5, 5)])
@pytest.mark.parametrize("background", [True, False])
def test_seeds(kind: str, area_min: int, area_max: int, background: bool) -> None:
    for shape in ((7, 15, 17), (2, 15, 17), (6, 1, 17), (6, 15, 1)):
        x, objects = frozen(image("noise", shape, 1)), frozen(mask(kind, shape, 2))
        parameters = {"area_min": area_min, "area_max": area_max, "background_seed": background}
        got = seeds_for_objects(x, objects, **parameters)
        assert_identical(got, seeds_by_definition(x, objects, **parameters))


@pytest.mark.parametrize("seed", range(6))
def test_the_middle_plane_is_found_by_intensity(seed: int) -> None:
    x = image("noise", (9, 15, 17), seed)
    x[: seed + 2] += 9
    objects = mask("blobs", x.shape, seed)
    z = middle_by_definition(x)
    assert z == (0, 1, 1, 2, 2, 3)[seed]
    assert objects[z].any()
    got = seeds_for_objects(x, objects, background_seed=False)
    assert set(np.flatnonzero(got.any(axis=(1, 2)))) == {z}
    assert_identical(got, seeds_by_definition(x, objects, 1, 10_000, False))


def test_seeds_are_the_centroids_of_filled_bodies() -> None:
    x = rising(5)
    z = middle_by_definition(x)
    objects = np.zeros(x.shape, bool)
    objects[z, 1:10, 1:10] = True
    objects[z, 2:5, 2:9] = False  # a hole of 21 pixels above the centre
    objects[z, 12, 12:14] = True
    filled = seeds_for_objects(x, objects, area_min=3, area_max=21)
    np.testing.assert_array_equal(np.argwhere(filled > 1), [[z, 5, 5]])
    assert filled[z, 5, 5] == 2
    assert (filled[0] == 1).all()
    open_ = seeds_for_objects(x, objects, area_min=3, area_max=20)
    np.testing.assert_array_equal(np.argwhere(open_ > 1), [[z, 6, 5]])


def test_objects_that_touch_by_a_corner_share_a_seed_but_count_their_sizes_apart() -> None:
    x = rising(5)
    z = middle_by_definition(x)
    objects = np.zeros(x.shape, bool)
    objects[z, 2:4, 2:4] = objects[z, 4:6, 4:6] = True
    together = seeds_for_objects(x, objects, area_min=4, area_max=9, background_seed=False)
    np.testing.assert_array_equal(np.argwhere(together), [[z, 4, 4]])
    assert not seeds_for_objects(x, objects, area_min=5, area_max=9, background_seed=False).any()


def test_wrong_inputs_are_refused() -> None:
    x, objects = np.zeros((3, 5, 6), np.float32), np.ones((3, 5, 6), bool)
    with pytest.raises(Problems, match=r"area_max \(3\) must be at least area_min \(5\)"):
        seeds_for_objects(x, objects, area_min=5, area_max=3)
    with pytest.raises(Problems, match=r"area_min: input should be greater than or equal to 0 \(given: -1\)"):
        seeds_for_objects(x, objects, area_min=-1)
    with pytest.raises(InputError, match="needs at least 2 planes, the image has 1"):
        seeds_for_objects(x[:1], objects[:1])
    with pytest.raises(
        InputError, match=r"'mask' has shape \(3, 5, 5\), the inputs before it have \(3, 5, 6\)"
    ):
        seeds_for_objects(x, objects[..., :5])


@pytest.mark.parametrize("shape", [(5, 7), (6, 6), (1, 7), (7, 6)])
@pytest.mark.parametrize("kind", ["full", "empty"])
def test_a_plane_of_another_shape_gives_no_seeds(shape: tuple[int, int], kind: str) -> None:
    message = rf"'mask' has shape \({shape[0]}, {shape[1]}\), the planes of 'like' have \(6, 7\); they must be equal"
    with pytest.raises(InputError, match=f"seeds_from_slice: {message}"):
        seeds_from_slice(mask(kind, shape, 1), np.zeros((4, 6, 7), np.float32), 2)
