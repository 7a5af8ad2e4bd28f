"""Objects gathered voxel by voxel against the same objects in their boxes."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.errors import UsageError
from fastseg.kernels.cpu.packed import flood_packed, peaks_packed
from fastseg.kernels.cpu.watershed import flood
from fastseg.operators import local_maxima
from fastseg.operators.registry import get_operator
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.estimate import object_voxel_bytes
from fastseg.tiling.packed import PackedObject
from fastseg.tiling.program import Node, flatten
from fastseg.tiling.rules import Objects
from fastseg.types import Box
from tests.kernels.test_peaks import object_peaks
from tests.support import MASKS, image, mask


def packed(inside: np.ndarray, *arrays: np.ndarray) -> PackedObject:
    positions = np.flatnonzero(inside)
    values = tuple(a.reshape(-1)[positions] for a in arrays)
    return PackedObject(positions, values, inside.shape, Box.whole(inside.shape))


@st.composite
def objects(draw: st.DrawFn) -> np.ndarray:
    shape = tuple(draw(st.integers(1, n)) for n in (7, 12, 13))
    inside = mask(draw(st.sampled_from(MASKS)), shape, draw(st.integers(0, 999)))
    inside[tuple(draw(st.integers(0, n - 1)) for n in shape)] = True
    return inside


@given(objects(), st.integers(0, 99))
def test_flood(inside: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    squared = rng.integers(1, 6, inside.shape)
    seeds = np.where(rng.random(inside.shape) < 0.1, rng.integers(1, 5, inside.shape), 0).astype(np.int32)
    item = packed(inside, squared, seeds)
    cost = -np.sqrt(squared)
    expected = flood(cost, np.where(inside, seeds, 0).astype(np.int32), inside, True)
    found = flood_packed(*item.arrays, item.positions, item.shape)
    np.testing.assert_array_equal(found, expected[inside])


@given(objects(), st.integers(0, 99), st.sampled_from(["noise", "ties"]))
def test_peaks(inside: np.ndarray, seed: int, kind: str) -> None:
    values = image(kind, inside.shape, seed)
    item = packed(inside, values)
    found = peaks_packed(item.arrays[0], item.positions, item.shape, 0.1)
    np.testing.assert_array_equal(found, object_peaks(values, inside, 0.1)[inside])


def test_flat_objects_keep_only_what_an_opening_removes() -> None:
    inside = np.zeros((9, 9, 9), bool)
    inside[2:7, 2:7, 2:7] = True
    inside[4, 4, 7:] = True
    values = inside.astype(np.float32)
    item = packed(inside, values)
    found = peaks_packed(item.arrays[0], item.positions, item.shape, 0.0)
    expected = object_peaks(values, inside, 0.0)
    assert expected.any()
    np.testing.assert_array_equal(found, expected[inside])


@given(objects(), st.sampled_from([1, 8]), st.sampled_from([150, 400, 5000]))
def test_distances_in_windows(inside: np.ndarray, halo: int, limit: int) -> None:
    inside[0, 0, 0] = False
    item = packed(inside)
    with patch("fastseg.tiling.packed._FIRST_HALO", halo):
        try:
            found = item.squared_distances(limit)
        except UsageError:
            assume(False)
    np.testing.assert_array_equal(np.sqrt(found), ndi.distance_transform_edt(inside)[inside])


def test_an_object_too_thick_for_any_window_is_refused() -> None:
    inside = np.ones((20, 20, 20), bool)
    inside[0] = False
    with pytest.raises(
        UsageError, match=r"at least \d+ voxels thick .* room for 2,000 voxels .* larger --memory"
    ):
        packed(inside).squared_distances(2000)


def net(shape: tuple[int, ...]) -> np.ndarray:
    """Bars joined into one object that spans everything, thicker at some places."""
    found = np.zeros(shape, bool)
    found[shape[0] // 2, ::6] = True
    found[shape[0] // 2, :, ::9] = True
    found[:, shape[1] // 2, ::9] = True
    found[3:6, 4:9, 10:17] = True
    found[4:8, 20:26, 20:25] = True
    return found


SHAPE = (11, 34, 36)


def engine_for(limit: int, name: str, tile: tuple[int, ...]) -> Engine:
    """An engine whose room is that of boxes of `limit` voxels."""
    spec = get_operator(name)
    nodes = flatten(
        "out", spec.rule, {i.name: i.name for i in spec.inputs}, spec.params(), scratch=spec.scratch
    )
    node: Node = next(n for n in nodes if isinstance(n.rule, Objects))
    return Engine(tile, room=int(limit * object_voxel_bytes(node, 2)) + 1)


@pytest.mark.parametrize("tile", [(4, 12, 13), (11, 7, 36)])
@pytest.mark.parametrize("name", ["local_maxima", "watershed_split"])
def test_a_budget_that_cannot_hold_the_box_changes_nothing(name: str, tile: tuple[int, ...]) -> None:
    spec, inside = get_operator(name), net(SHAPE)
    values = image("ties", SHAPE, 1) + inside
    peaks = local_maxima(values, inside)
    assert peaks.any()
    assert ndi.label(inside, np.ones((3, 3, 3)))[1] == 1
    given_arrays = (values, inside) if name == "local_maxima" else (inside, peaks)
    inputs = {i.name: ArrayVolume(a) for i, a in zip(spec.inputs, given_arrays, strict=True)}
    whole = Engine().run(spec.rule, inputs, spec.params()).read(Box.whole(SHAPE))
    assert len(np.unique(whole)) > 1
    engine = engine_for(7000, name, tile)
    tiled = engine.run(spec.rule, inputs, spec.params()).read(Box.whole(SHAPE))
    np.testing.assert_array_equal(tiled, whole)


def test_an_object_larger_than_the_budget_in_any_form_is_refused() -> None:
    spec, inside = get_operator("local_maxima"), net(SHAPE)
    inputs = {"image": ArrayVolume(image("noise", SHAPE, 1)), "mask": ArrayVolume(inside)}
    engine = engine_for(300, "local_maxima", (4, 12, 13))
    with pytest.raises(
        UsageError, match=r"object 1 spans 11x34x36 voxels, .* of them its own, .* give a larger --memory"
    ):
        engine.run(spec.rule, inputs, spec.params())
