"""Objects on a GPU, exactly as on the CPU, at sizes where blocks really run side by side. Run with `make test-gpu`."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from scipy import ndimage as ndi

from fastseg.arrays import Device, parse_device, to_device, to_host
from fastseg.arrays.device import cuda_devices, why_no_cuda
from fastseg.arrays.host_steps import host_steps
from fastseg.operators.functions import function_of
from fastseg.operators.registry import registry
from fastseg.operators.run import apply
from fastseg.tiling import Engine
from tests.support import winding

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda_devices(), reason=f"no CUDA device: {why_no_cuda()}"),
]

SHAPE = (37, 210, 333)


def _masks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    relief = ndi.gaussian_filter(rng.standard_normal(SHAPE), 4)
    return {
        "blobs": relief > 0.01,
        "noise": rng.random(SHAPE) < 0.32,  # near the percolation threshold: one object of many branches
        "winding": winding(SHAPE),
        "checkerboard": np.indices(SHAPE).sum(0) % 2 == 0,
        "empty": np.zeros(SHAPE, bool),
        "full": np.ones(SHAPE, bool),
    }


MASKS = _masks()


def _image() -> np.ndarray:
    smooth = ndi.gaussian_filter(np.random.default_rng(2).standard_normal(SHAPE), 2)
    return (np.round(smooth * 400) / 400).astype(np.float32)  # with plateaus


def _same(name: str, *arrays: np.ndarray, **parameters: Any) -> np.ndarray:
    gpu = parse_device("cuda")
    expected = function_of(name)(*arrays, **parameters)
    given = [to_device(a, gpu) for a in arrays]
    for _ in range(3):  # a race would hardly end the same way each time
        found = to_host(function_of(name)(*given, **parameters))
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    return expected


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("connectivity", [1, 2, 3])
def test_labels(kind: str, connectivity: int) -> None:
    _same("label_objects", MASKS[kind], connectivity=connectivity)


@pytest.mark.parametrize("kind", MASKS)
def test_sizes_and_holes(kind: str) -> None:
    _same("remove_small_objects", MASKS[kind], min_size=50)
    _same("remove_small_objects_slices", MASKS[kind], min_size=20)
    for slices in (True, False):
        _same("fill_holes", MASKS[kind], hole_min=1, hole_max=400, slices=slices, fill_border=slices)
    _same("fill_all_holes", MASKS[kind])


def test_small_labels() -> None:
    labels = ndi.label(MASKS["noise"])[0].astype(np.int32)
    _same("remove_small_labels", labels, min_size=30)


@pytest.mark.parametrize("kind", MASKS)
def test_thresholds_of_objects(kind: str) -> None:
    _same("object_otsu_threshold", _image(), MASKS[kind])


@pytest.mark.parametrize("radius", [1, 3, 40])
def test_morphology(radius: int) -> None:
    for name in ("erode", "dilate"):
        _same(name, MASKS["blobs"], radius=radius)


@pytest.mark.parametrize("kind", MASKS)
def test_thinning(kind: str) -> None:
    _same("thin_preserving_topology", MASKS[kind])


@pytest.mark.parametrize("kind", MASKS)
def test_peaks_and_floods(kind: str) -> None:
    peaks = _same("local_maxima", _image(), MASKS[kind])
    for on_device in (True, False):
        with (
            patch("fastseg.operators.splitting.flood_on_device", return_value=on_device),
            host_steps() as found,
        ):
            _same("watershed_split", MASKS[kind], peaks)
        assert bool(found) == (not on_device and kind != "empty")  # without objects there is nothing to flood


def test_tiles_on_the_gpu() -> None:
    image, objects = _image(), MASKS["blobs"]
    peaks = function_of("local_maxima")(image, objects)
    cases: list[tuple[str, tuple[np.ndarray, ...], dict[str, Any]]] = [
        ("label_objects", (objects,), {"connectivity": 3}),
        ("fill_holes", (objects,), {"hole_min": 1, "hole_max": 400}),
        ("object_otsu_threshold", (image, objects), {}),
        ("watershed_split", (objects, peaks), {}),
    ]
    for name, arrays, parameters in cases:
        expected = function_of(name)(*arrays, **parameters)
        engine = Engine(tile=(20, 90, 100), device=Device("cuda"))
        found = apply(registry()[name], *arrays, engine=engine, **parameters)
        np.testing.assert_array_equal(to_host(found), expected)
