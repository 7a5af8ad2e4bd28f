"""Spots of several sizes as masks against the filter in float64 and the reference's results."""

import numpy as np
import pytest

from fastseg.errors import InputError, Problems
from fastseg.operators import multiscale_spots, multiscale_spots_2d
from tests.operators import oracles
from tests.support import assert_identical, frozen, golden, image

SCALES = [[0.7, 0.5], [1.5, 0.2], [2.0, -0.9]]


def assert_union(got: np.ndarray, x: np.ndarray, scales: list[list[float]]) -> None:
    """Equal to the union over scales, but where float32 cannot tell on which side of a cutoff a response lies."""
    axes = tuple(range(x.ndim))
    margin = np.array([oracles.laplacian_of_gaussian(x, s, axes) - c for s, c in scales])
    tell = (np.abs(margin) > 1e-5).all(axis=0)
    assert got.dtype == bool
    assert tell.mean() > 0.98
    np.testing.assert_array_equal(got[tell], (margin > 0).any(axis=0)[tell])


@pytest.mark.parametrize("shape", [(7, 11, 13), (1, 11, 13), (7, 1, 13), (7, 11, 1)])
@pytest.mark.parametrize("kind", ["noise", "smooth", "ties", "blobs"])
def test_spots_in_3d(shape: tuple[int, int, int], kind: str) -> None:
    x = frozen(image(kind, shape, 1))
    for scales in (SCALES, SCALES[:1], SCALES[::-1], [[1.0, 0.013]]):
        assert_union(multiscale_spots(x, scales=scales), x, scales)


@pytest.mark.parametrize("shape", [(11, 13), (1, 13), (11, 1)])
@pytest.mark.parametrize("cutoff", [0.2, 0.013, -0.3])
def test_spots_in_2d_share_a_cutoff(shape: tuple[int, int], cutoff: float) -> None:
    x = frozen(image("noise", shape, 2))
    for sigmas in ([0.7], [0.7, 1.6, 2.5]):
        got = multiscale_spots_2d(x, sigmas=sigmas, cutoff=cutoff)
        assert_union(got, x, [[s, cutoff] for s in sigmas])


def test_reference() -> None:
    g = golden("gaussian_3d")
    assert_identical(multiscale_spots(g, scales=[[1, 0.03], [2, 0.05]]), golden("spot_3d_multi"))
    response = golden("spot_2d")
    for cutoff in (-0.01, 0.012345, 0.05):
        assert np.abs(response - cutoff).min() > 3e-7
        assert_identical(
            multiscale_spots_2d(g[10], sigmas=[1.0], cutoff=cutoff), response > np.float32(cutoff)
        )


def test_every_scale_adds_and_none_gives_an_empty_mask() -> None:
    x = image("noise", (9, 15, 16), 3)
    one, two = (multiscale_spots(x, scales=[pair]) for pair in ([0.8, 0.5], [2.0, 0.2]))
    assert (one & ~two).any()
    assert (two & ~one).any()
    assert_identical(multiscale_spots(x, scales=[[0.8, 0.5], [2.0, 0.2]]), one | two)
    assert not multiscale_spots(x, scales=[]).any()
    assert not multiscale_spots_2d(x[0], sigmas=[], cutoff=-9.0).any()


def test_sigma_zero_answers_zero_and_cutoffs_are_strict() -> None:
    x = image("noise", (3, 5, 6), 4)
    assert not multiscale_spots(x, scales=[[0.0, 0.0]]).any()
    assert multiscale_spots(x, scales=[[0.0, -1e-9]]).all()
    assert not multiscale_spots_2d(x[0], sigmas=[0.0], cutoff=0.0).any()
    assert multiscale_spots_2d(x[0], sigmas=[0.0], cutoff=-1e-9).all()


def test_a_flat_bright_area_answers_at_sigma_one_half() -> None:
    flat = np.full((9, 9), 10, np.float32)
    assert multiscale_spots_2d(flat, sigmas=[0.5], cutoff=2.7).all()
    assert not multiscale_spots_2d(flat, sigmas=[0.5], cutoff=2.9).any()
    assert multiscale_spots(np.repeat(flat[None], 9, 0), scales=[[0.5, 4.1]]).all()


def test_wrong_scales_are_refused() -> None:
    x = np.zeros((3, 4, 5), np.float32)
    with pytest.raises(Problems, match="scales: must hold no negative sigma"):
        multiscale_spots(x, scales=[[-1.0, 0.1]])
    with pytest.raises(
        Problems, match=r"sigmas.1: input should be greater than or equal to 0 \(given: -1.0\)"
    ):
        multiscale_spots_2d(x[0], sigmas=[1.0, -1.0], cutoff=0.1)
    with pytest.raises(Problems, match="cutoff: is required"):
        multiscale_spots_2d(x[0], sigmas=[1.0])
    with pytest.raises(InputError, match=r"multiscale_spots_2d: 'image' is 3-D \(3, 4, 5\); it must be 2-D"):
        multiscale_spots_2d(x, sigmas=[1.0], cutoff=0.1)
    with pytest.raises(InputError, match=r"multiscale_spots: 'image' is 2-D \(4, 5\); it must be 3-D"):
        multiscale_spots(x[0], scales=[[1.0, 0.1]])
