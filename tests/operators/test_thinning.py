"""Thinning against scikit-image's medial axis with ties in scan order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.errors import InputError, Problems
from fastseg.kernels.cpu.thinning import medial_axis
from fastseg.operators import thin_preserving_topology
from tests.operators.mask_oracles import dilated, medial_axis_in_scan_order, offsets, thinned
from tests.support import MASKS, assert_identical, frozen, mask

CORNERS = np.ones((3, 3), bool)


def bodies(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Objects thick enough to lose a layer."""
    return dilated(mask("blobs", shape, seed), offsets(2, len(shape)))


@pytest.mark.parametrize("shape", [(31, 33), (1, 33), (31, 1), (2, 9), (9, 2), (3, 3), (1, 1)])
@pytest.mark.parametrize("kind", [k for k in MASKS if k != "empty"])
def test_medial_axis(shape: tuple[int, int], kind: str) -> None:
    plane = mask(kind, shape, 1)
    got = medial_axis(plane)
    np.testing.assert_array_equal(got, medial_axis_in_scan_order(plane))


@settings(max_examples=40)
@given(st.integers(1, 14), st.integers(1, 14), st.sampled_from([0.3, 0.6, 0.8, 0.95]), st.integers(0, 9999))
def test_medial_axis_of_any_plane(height: int, width: int, density: float, seed: int) -> None:
    plane = np.random.default_rng(seed).random((height, width)) < density
    got = medial_axis(plane)
    np.testing.assert_array_equal(got, medial_axis_in_scan_order(plane))


@pytest.mark.parametrize("shape", [(5, 21, 23), (1, 21, 23), (5, 1, 23), (5, 21, 1), (1, 1, 1)])
@pytest.mark.parametrize("min_thickness", [0.0, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("thin", [0, 1, 2])
def test_thinning(shape: tuple[int, int, int], min_thickness: float, thin: int) -> None:
    for kind in MASKS:
        objects = frozen(mask(kind, shape, 2))
        got = thin_preserving_topology(objects, min_thickness=min_thickness, thin=thin)
        assert_identical(got, thinned(objects, min_thickness, thin))


@pytest.mark.parametrize("seed", range(3))
def test_thick_bodies_lose_a_layer(seed: int) -> None:
    objects = bodies((9, 41, 43), seed)
    got = [thin_preserving_topology(objects, min_thickness=1.0, thin=t) for t in (0, 1, 2)]
    assert_identical(got[0], objects)
    for thin in (1, 2):
        assert_identical(got[thin], thinned(objects, 1.0, thin))
        assert got[thin].sum() < got[thin - 1].sum()


def test_the_medial_axis_of_every_plane_stays_and_nothing_is_added() -> None:
    objects = bodies((7, 41, 43), 3)
    got = thin_preserving_topology(objects, min_thickness=0.0, thin=9)
    for plane, before in zip(got, objects, strict=True):
        assert not (plane & ~before).any()
        assert not (medial_axis_in_scan_order(before) & ~plane).any()
        assert ndi.label(plane, CORNERS)[1] == ndi.label(before, CORNERS)[1]


def test_the_border_of_the_volume_is_not_thinned() -> None:
    objects = np.ones((3, 9, 21), bool)
    objects[:, 0] = False
    got = thin_preserving_topology(objects, min_thickness=1.0, thin=1)
    assert got[:, 2:].all()
    assert not got[:, 1, 5:16].any()
    assert_identical(got, thinned(objects, 1.0, 1))


def test_planes_above_and_below_count_for_the_layer() -> None:
    objects = np.zeros((3, 15, 15), bool)
    objects[1, 2:13, 2:13] = True
    flat = thin_preserving_topology(objects, min_thickness=1.0, thin=1)
    solid = thin_preserving_topology(np.repeat(objects[1:2], 3, 0), min_thickness=1.0, thin=1)
    assert flat[1].sum() < solid[1].sum() < objects[1].sum()


def test_the_distance_to_keep_is_closed() -> None:
    objects = np.zeros((1, 9, 41), bool)
    objects[0, 1:8] = True
    keep_three = thin_preserving_topology(objects, min_thickness=3.0, thin=3)
    keep_less = thin_preserving_topology(objects, min_thickness=2.99, thin=3)
    assert keep_three[0, 1, 20]
    assert not keep_less[0, 1, 20]
    assert keep_less[0, 2, 20]


def test_results_never_change() -> None:
    objects = mask("dense", (3, 41, 43), 4)
    first = thin_preserving_topology(objects)
    assert_identical(thin_preserving_topology(objects), first)
    assert_identical(first, thinned(objects, 1.0, 1))


def test_wrong_inputs_are_refused() -> None:
    objects = np.ones((2, 5, 6), bool)
    with pytest.raises(Problems, match=r"thin: input should be greater than or equal to 0 \(given: -1\)"):
        thin_preserving_topology(objects, thin=-1)
    with pytest.raises(Problems, match=r"thin: input should be a valid integer \(given: 1.5\)"):
        thin_preserving_topology(objects, thin=1.5)
    with pytest.raises(Problems, match="min_thickness: input should be greater than or equal to 0"):
        thin_preserving_topology(objects, min_thickness=-0.5)
    with pytest.raises(InputError, match=r"'mask' is 2-D \(5, 6\); it must be 3-D"):
        thin_preserving_topology(objects[0])
