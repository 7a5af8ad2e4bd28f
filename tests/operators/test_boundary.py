"""Boundaries against scikit-image and the reference's results; footprints against scikit-image."""

import numpy as np
import pytest
from scipy import ndimage as ndi
from skimage import morphology
from skimage.segmentation import find_boundaries

from fastseg.operators import boundaries
from fastseg.operators.boundary import ball
from tests.support import MASKS, golden, mask

MODES = ["thick", "inner", "outer"]
SHAPES = [(6, 11, 13), (1, 11, 13), (6, 1, 13), (11, 13)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_labels(shape: tuple[int, ...], connectivity: int, mode: str) -> None:
    touching = np.random.default_rng(1).integers(0, 4, shape)
    coarse = ndi.zoom(touching, 3, order=0, mode="nearest", grid_mode=True)[tuple(slice(0, n) for n in shape)]
    for labels in (touching, coarse, ndi.label(mask("half", shape, 2))[0]):
        for dtype in (np.uint8, np.uint16, np.int32, np.int64):
            expected = find_boundaries(labels.astype(dtype), min(connectivity, len(shape)), mode)
            got = boundaries(labels.astype(dtype), connectivity=connectivity, mode=mode)
            assert got.dtype == bool
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", MASKS)
def test_masks(kind: str, mode: str) -> None:
    objects = mask(kind, (6, 11, 13), 3)
    np.testing.assert_array_equal(boundaries(objects, mode=mode), find_boundaries(objects, 1, mode))


def test_reference() -> None:
    np.testing.assert_array_equal(boundaries(golden("masked_object_ave")), golden("boundaries_thick"))


def test_the_border_of_the_image_is_no_edge() -> None:
    assert not boundaries(np.ones((3, 4, 5), bool), connectivity=3).any()


def test_inner_and_outer_of_a_mask_share_out_the_thick_boundary() -> None:
    objects = mask("blobs", (6, 20, 21), 4)
    thick, inner, outer = (boundaries(objects, mode=m) for m in MODES)
    np.testing.assert_array_equal(inner, thick & objects)
    np.testing.assert_array_equal(outer, thick & ~objects)


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 5])
def test_footprints(radius: int) -> None:
    np.testing.assert_array_equal(ball(radius), morphology.ball(radius))
    np.testing.assert_array_equal(ball(radius, 2), morphology.disk(radius))
