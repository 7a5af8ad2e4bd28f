"""Packed binary morphology against SciPy, for every footprint it takes and every it leaves to the library."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.arrays import Device, Namespace, namespace_for
from fastseg.arrays.morphology import binary_dilation, binary_erosion, inner_border, least_of_faces
from fastseg.operators.boundary import ball
from fastseg.tiling.components import structure_of
from tests.support import frozen

NS = namespace_for(Device("cpu"))


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    """Rows of one to three words, and single voxels on their ends."""
    shape = tuple(draw(st.integers(1, n)) for n in (6, 7, 140)[-draw(st.integers(2, 3)) :])
    share = draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 0.99, 1.0]))
    mask = np.random.default_rng(draw(st.integers(0, 999))).random(shape) < share
    for x in draw(st.lists(st.sampled_from([0, 63, 64, -1]), max_size=2)):
        mask[..., min(x, shape[-1] - 1)] ^= True
    return mask


def footprints_of(ndim: int) -> list[np.ndarray]:
    lopsided = np.zeros(
        (3, 5, 7)[-ndim:], bool
    )  # rows are intervals around their middle, but not symmetric in y, z
    lopsided[..., 0, 3], lopsided[..., 1, 1:6] = True, True
    if ndim == 3:
        lopsided[0] = False
    hollow = ball(2, ndim)
    hollow[(2,) * ndim] = False
    disk = ball(3, 2) if ndim == 2 else ball(3, 2)[None]
    crosses = [structure_of(ndim, k, False) for k in range(1, ndim + 1)]
    return [ball(0, ndim), ball(1, ndim), ball(2, ndim), ball(5, ndim), disk, lopsided, hollow, *crosses]


@given(masks(), st.integers(0, 8))
def test_dilation_erosion_and_border(mask: np.ndarray, number: int) -> None:
    footprint = footprints_of(mask.ndim)[number]
    before = mask.copy()
    grown = binary_dilation(NS, mask, footprint)
    shrunk = binary_erosion(NS, mask, footprint)
    expected = ndi.binary_erosion(mask, structure=footprint, border_value=1)
    np.testing.assert_array_equal(grown, ndi.binary_dilation(mask, structure=footprint))
    np.testing.assert_array_equal(shrunk, expected)
    np.testing.assert_array_equal(inner_border(NS, mask, footprint), mask & ~expected)
    assert (grown.dtype, grown.shape, shrunk.dtype) == (np.bool_, mask.shape, np.bool_)
    np.testing.assert_array_equal(mask, before)


@pytest.mark.parametrize("footprint", [np.ones((2, 3, 3), bool), np.eye(3, dtype=bool)[None]])
def test_other_footprints_are_left_to_the_library(footprint: np.ndarray) -> None:
    mask = np.random.default_rng(1).random((5, 6, 9)) < 0.3
    expected = ndi.binary_dilation(mask, structure=footprint)
    np.testing.assert_array_equal(binary_dilation(NS, mask, footprint), expected)
    expected = ndi.binary_erosion(mask, structure=footprint, border_value=1)
    np.testing.assert_array_equal(binary_erosion(NS, mask, footprint), expected)


def test_a_large_ball() -> None:
    mask = np.zeros((9, 80, 150), bool)
    mask[4, 40, [3, 149]] = True
    at = np.stack([np.indices(mask.shape)[a] for a in range(3)])
    near = [((at - np.array([4, 40, x])[:, None, None, None]) ** 2).sum(0) <= 45**2 for x in (3, 149)]
    np.testing.assert_array_equal(binary_dilation(NS, mask, ball(45)), near[0] | near[1])


def test_views_and_read_only_masks() -> None:
    mask = frozen(np.random.default_rng(2).random((7, 12, 40)) < 0.1)[::2, :, 1::3]
    np.testing.assert_array_equal(
        binary_dilation(NS, mask, ball(1)), ndi.binary_dilation(mask, structure=ball(1))
    )


@given(masks(), st.integers(0, 99))
def test_least_of_faces(mask: np.ndarray, seed: int) -> None:
    image = np.random.default_rng(seed).choice([-3e38, -1e-45, 0.5, 3e38], mask.shape).astype(np.float32)
    cross = structure_of(image.ndim, 1, False)
    expected = ndi.grey_erosion(image, footprint=cross, mode="reflect")
    np.testing.assert_array_equal(least_of_faces(NS, image, cross), expected)


def test_the_library_is_given_other_footprints_on_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    library: Any = ModuleType("cupyx.scipy.ndimage")

    def dilated(mask: Any, structure: Any) -> str:
        called.append(structure)
        return "grown"

    library.binary_dilation = dilated

    class Arrays:
        def asarray(self, array: Any) -> tuple[str, Any]:
            return "moved", array

    for name in ("cupyx", "cupyx.scipy"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, library.__name__, library)
    ns = Namespace(Arrays(), Device("cuda"))
    assert binary_dilation(ns, np.ones((2, 2), bool), np.ones((2, 2), bool)) == "grown"
    assert called[0][0] == "moved"
