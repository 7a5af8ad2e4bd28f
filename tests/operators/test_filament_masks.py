"""Masks of filaments of several widths, and one filtered plane, against float64 and the reference's results."""

import numpy as np
import pytest

from fastseg.errors import InputError, Problems
from fastseg.operators import (
    jerman_vesselness_one_slice,
    multiscale_filaments,
    multiscale_filaments_2d,
    multiscale_filaments_slices,
)
from tests.operators.test_filaments import expected_of
from tests.support import assert_identical, frozen, golden, image

SCALES = [[0.8, 0.3], [1.5, 0.6]]


def by_slices(x: np.ndarray, sigma: float) -> np.ndarray:
    out = np.zeros(x.shape)
    for z, plane in enumerate(x):
        joined = np.concatenate([plane, x.max(axis=0)], axis=1)
        out[z, :, :-3] = expected_of(joined, [sigma])[:, : x.shape[2] - 3]
    return out


def assert_union(got: np.ndarray, responses: list[np.ndarray], cutoffs: list[float]) -> None:
    """Equal to the union of responses above their cutoffs, but where float32 cannot tell on which side one lies."""
    assert got.dtype == bool
    tell = np.all([np.abs(r - c) > 5e-5 for r, c in zip(responses, cutoffs, strict=True)], axis=0)
    expected = np.any([r > c for r, c in zip(responses, cutoffs, strict=True)], axis=0)
    assert tell.mean() > 0.99
    np.testing.assert_array_equal(got[tell], expected[tell])


@pytest.mark.parametrize("kind", ["smooth", "noise"])
@pytest.mark.parametrize("shape", [(9, 14, 17), (2, 11, 13), (5, 2, 3)])
def test_in_3d(kind: str, shape: tuple[int, int, int]) -> None:
    x = frozen(image(kind, shape, 1))
    got = multiscale_filaments(x, scales=SCALES)
    assert_union(got, [expected_of(x, [s]) for s, _ in SCALES], [c for _, c in SCALES])
    assert got.any() or min(shape) == 2


@pytest.mark.parametrize("kind", ["smooth", "noise"])
@pytest.mark.parametrize("shape", [(14, 17), (2, 13)])
def test_in_2d(kind: str, shape: tuple[int, int]) -> None:
    x = frozen(image(kind, shape, 2))
    got = multiscale_filaments_2d(x, scales=SCALES)
    assert_union(got, [expected_of(x, [s]) for s, _ in SCALES], [c for _, c in SCALES])


@pytest.mark.parametrize("kind", ["smooth", "noise"])
@pytest.mark.parametrize("shape", [(5, 14, 17), (1, 9, 12), (3, 2, 4)])
def test_in_slices(kind: str, shape: tuple[int, int, int]) -> None:
    x = frozen(image(kind, shape, 3))
    got = multiscale_filaments_slices(x, scales=SCALES)
    assert_union(got, [by_slices(x, s) for s, _ in SCALES], [c for _, c in SCALES])
    assert not got[:, :, -3:].any()


def test_reference() -> None:
    g = golden("gaussian_3d")
    got = multiscale_filaments(g, scales=[[1, 0.05], [1.5, 0.1]])
    assert_identical(got, golden("filament_3d_mask"))
    got = multiscale_filaments_slices(g, scales=[[1, 0.05], [2, 0.1]])
    assert_identical(got, golden("filament_planes_mask"))


@pytest.mark.parametrize(
    "operator", [multiscale_filaments, multiscale_filaments_slices], ids=lambda o: o.__name__
)
def test_every_scale_has_a_minimum_of_its_own_and_cutoffs_are_strict(operator: object) -> None:
    x = image("smooth", (5, 15, 19), 4)
    one, two = (operator(x, scales=[pair]) for pair in SCALES)
    assert one.any()
    assert two.any()
    assert (one != two).any()
    assert_identical(operator(x, scales=SCALES), one | two)
    assert_identical(operator(x, scales=SCALES[::-1]), one | two)
    assert not operator(x, scales=[[1.0, 1.0]]).any()
    assert not operator(x, scales=[]).any()
    assert operator(x, scales=[[1.0, -0.1]]).all()
    assert not operator(np.full(x.shape, 3, np.float32), scales=[[1.0, 0.0]]).any()


@pytest.mark.parametrize("z", [0, 2, 4])
@pytest.mark.parametrize("shape", [(5, 14, 17), (5, 2, 9), (5, 7, 2)])
def test_one_plane(shape: tuple[int, int, int], z: int) -> None:
    x = frozen(image("noise", shape, 5))
    got = jerman_vesselness_one_slice(x, z=z, sigmas=[0.7, 1.5])
    assert got.dtype == np.float32
    expected = np.zeros(shape)
    expected[z] = expected_of(x[z], [0.7, 1.5])
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-5)
    assert (got[z] == 1).any()


def test_one_plane_of_the_reference() -> None:
    got = jerman_vesselness_one_slice(golden("gaussian_3d"), z=10, sigmas=[1])
    np.testing.assert_allclose(got[10], golden("filament_2d"), rtol=0, atol=2e-6)
    assert not np.delete(got, 10, axis=0).any()


def test_wrong_inputs_are_refused() -> None:
    x = np.zeros((4, 5, 6), np.float32)
    with pytest.raises(InputError, match="there is no plane 4; the image has planes 0 to 3"):
        jerman_vesselness_one_slice(x, z=4, sigmas=[1.0])
    with pytest.raises(Problems, match=r"z: input should be greater than or equal to 0 \(given: -1\)"):
        jerman_vesselness_one_slice(x, z=-1, sigmas=[1.0])
    with pytest.raises(InputError, match=r"at least 2 voxels, the image has \(1, 6\)"):
        jerman_vesselness_one_slice(x[:, :1], z=0, sigmas=[1.0])
    with pytest.raises(InputError, match=r"at least 2 voxels, the image has \(1, 5, 6\)"):
        multiscale_filaments(x[:1], scales=[[1.0, 0.1]])
    with pytest.raises(InputError, match=r"at least 2 rows and 3 columns, the image has \(4, 5, 2\)"):
        multiscale_filaments_slices(x[:, :, :2], scales=[[1.0, 0.1]])
    for operator in (multiscale_filaments, multiscale_filaments_slices):
        with pytest.raises(Problems, match="scales: must hold no negative sigma"):
            operator(x, scales=[[-1.0, 0.1]])
        with pytest.raises(InputError, match=r"'image' is 2-D \(5, 6\); it must be 3-D"):
            operator(x[0], scales=[[1.0, 0.1]])
