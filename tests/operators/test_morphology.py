"""Erosion, dilation and contours against shifted copies, at and away from the border."""

import numpy as np
import pytest
from skimage.morphology import ball, disk

from fastseg.errors import InputError, Problems
from fastseg.operators import contour, dilate, erode, erode_image
from fastseg.operators.morphology import FootprintParams
from tests.operators.mask_oracles import dilated, eroded, neighbours, offsets
from tests.support import MASKS, assert_identical, frozen, image, mask

SHAPES = [(7, 12, 13), (1, 12, 13), (7, 1, 13), (7, 12, 1), (1, 1, 1), (12, 13), (1, 13)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("footprint", ["ball", "disk"])
@pytest.mark.parametrize("radius", [0, 1, 2, 3])
def test_erosion_and_dilation_ignore_what_lies_outside(
    shape: tuple[int, ...], footprint: str, radius: int
) -> None:
    around = offsets(radius, len(shape), footprint)
    for kind in MASKS:
        objects = frozen(mask(kind, shape, 1))
        assert_identical(erode(objects, radius=radius, shape=footprint), eroded(objects, around))
        assert_identical(dilate(objects, radius=radius, shape=footprint), dilated(objects, around))


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 7])
def test_footprints_are_those_of_scikit_image(radius: int) -> None:
    np.testing.assert_array_equal(FootprintParams(radius=radius).footprint(3), ball(radius))
    np.testing.assert_array_equal(FootprintParams(radius=radius).footprint(2), disk(radius))
    np.testing.assert_array_equal(
        FootprintParams(radius=radius, shape="disk").footprint(3), disk(radius)[None]
    )


def test_a_footprint_wider_than_the_image_reaches_all_of_it() -> None:
    objects = np.zeros((2, 3, 4), bool)
    objects[0, 0, 0] = True
    assert dilate(objects, radius=6).all()
    assert not erode(~objects, radius=6).any()
    assert erode(np.ones((2, 3, 4), bool), radius=6).all()
    assert not dilate(objects, radius=6, shape="disk")[1].any()


@pytest.mark.parametrize("footprint", ["ball", "disk"])
def test_eroding_the_background_is_dilating_the_foreground(footprint: str) -> None:
    objects = mask("half", (6, 11, 13), 2)
    got = ~erode(~objects, radius=2, shape=footprint)
    assert_identical(got, dilate(objects, radius=2, shape=footprint))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["smooth", "noise", "ties"])
def test_grey_erosion_is_the_minimum_of_the_face_neighbours(shape: tuple[int, ...], kind: str) -> None:
    x = frozen(image(kind, shape, 3))
    lowest = neighbours(x, offsets(1, len(shape)), np.inf).min(axis=0)
    assert_identical(erode_image(x), lowest)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", MASKS)
def test_contours_touch_background_by_a_face(shape: tuple[int, ...], kind: str) -> None:
    objects = frozen(mask(kind, shape, 4))
    touches = (~neighbours(objects, offsets(1, len(shape)), True)).any(axis=0)
    assert_identical(contour(objects), objects & touches)


def test_the_border_of_the_image_and_corners_of_voxels_make_no_contour() -> None:
    objects = np.ones((3, 5, 5), bool)
    assert not contour(objects).any()
    objects[1, 2, 2] = False
    np.testing.assert_array_equal(contour(objects).sum(axis=(1, 2)), [1, 4, 1])


def test_wrong_footprints_are_refused() -> None:
    with pytest.raises(Problems, match=r"radius: input should be greater than or equal to 0 \(given: -1\)"):
        erode(np.ones((3, 4), bool), radius=-1)
    with pytest.raises(Problems, match=r"shape: input should be 'ball' or 'disk' \(given: 'cube'\)"):
        dilate(np.ones((3, 4), bool), radius=1, shape="cube")
    with pytest.raises(Problems, match=r"erode: 1 problem\n  - radius: is required"):
        erode(np.ones((3, 4), bool))
    with pytest.raises(InputError, match=r"contour: 'mask' is 1-D \(4,\); it must be 2-D or 3-D"):
        contour(np.ones(4, bool))
