"""Law 1 across devices: a GPU gives what the CPU gives. Run with `make test-gpu`."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

import fastseg
from fastseg.arrays import parse_device, to_device, to_host
from fastseg.arrays.device import cuda_devices, why_no_cuda
from fastseg.operators.functions import function_of
from fastseg.workflow.load import library_names
from fastseg.workflow.segment import segment
from tests.golden import dice, stack
from tests.support import image, mask

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda_devices(), reason=f"no CUDA device: {why_no_cuda()}"),
]

SHAPES = ((7, 33, 45), (1, 20, 31), (3, 2, 5))

# operator, kind of its arrays, parameters
CASES: list[tuple[str, tuple[str, ...], dict[str, Any]]] = [
    ("intensity_normalize", ("image",), {"scaling": [1, 5]}),
    ("intensity_normalize", ("image",), {"scaling": [0]}),
    ("gaussian_smooth", ("image",), {"sigma": 1.5}),
    ("gaussian_smooth_slices", ("image",), {"sigma": 1.0}),
    ("edge_preserving_smooth", ("image",), {}),
    ("background_subtract", ("image",), {"sigma": 3.0}),
    ("rescale_xy", ("image",), {"ratio": 0.7}),
    ("laplacian_of_gaussian", ("image",), {"sigma": 1.0}),
    ("laplacian_of_gaussian_slices", ("image",), {"sigma": 2.0}),
    ("greater_than", ("image",), {"value": 0.5}),
    ("coarse_threshold", ("image",), {"method": "ave_tri_med", "min_size": 3, "dilate": True}),
    ("object_otsu_threshold", ("image", "mask"), {"global_check": True}),
    ("remove_small_objects", ("mask",), {"min_size": 4}),
    ("remove_small_objects_slices", ("mask",), {"min_size": 3}),
    ("fill_holes", ("mask",), {"hole_min": 0, "hole_max": 6}),
    ("fill_all_holes", ("mask",), {}),
    ("remove_hot_pixels", ("mask",), {}),
    ("prune_slices", ("mask",), {}),
    ("thin_preserving_topology", ("mask",), {}),
    ("local_maxima", ("image", "mask"), {}),
    ("watershed_split", ("mask", "mask"), {}),
    ("boundaries", ("mask",), {}),
    ("contour", ("mask",), {}),
    ("erode", ("mask",), {"radius": 1}),
    ("dilate", ("mask",), {"radius": 2, "shape": "disk"}),
    ("otsu_threshold", ("image",), {}),
    ("median_threshold", ("image",), {}),
    ("suggest_scaling", ("image",), {}),
]

NEEDS_TWO = [
    ("jerman_vesselness", {"sigmas": [1, 1.5]}),
    ("jerman_vesselness", {"sigmas": [1], "tau": 0.5}),
    ("jerman_vesselness_slices", {"sigmas": [1]}),
    ("multiscale_filaments", {"scales": [[1, 0.1]]}),
    ("hessian_element", {"row": 0, "column": 2}),
    ("hessian_eigenvalue", {"index": 0}),
]


def _same(found: Any, expected: Any) -> None:
    if not isinstance(expected, np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        return
    assert type(found).__module__.startswith("cupy")
    found = to_host(found)
    assert found.dtype == expected.dtype
    if expected.dtype == bool:
        assert dice(found, expected) >= 0.9999
    elif expected.dtype.kind == "f":
        np.testing.assert_allclose(found, expected, atol=2e-5 * max(1.0, float(np.abs(expected).max())))
    else:
        np.testing.assert_array_equal(found, expected)


def _array(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    return image("blobs", shape, 1) if kind == "image" else mask("half", shape, 2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "kinds", "parameters"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_operator(
    name: str, kinds: tuple[str, ...], parameters: dict[str, Any], shape: tuple[int, ...]
) -> None:
    arrays = [_array(kind, shape) for kind in kinds]
    gpu = parse_device("cuda")
    operator = function_of(name)
    _same(operator(*(to_device(a, gpu) for a in arrays), **parameters), operator(*arrays, **parameters))


@pytest.mark.parametrize(("name", "parameters"), NEEDS_TWO)
def test_operator_on_volumes(name: str, parameters: dict[str, Any]) -> None:
    array = _array("image", SHAPES[0])
    operator = function_of(name)
    _same(operator(to_device(array, parse_device("cuda")), **parameters), operator(array, **parameters))


def test_watershed_and_seeds() -> None:
    array, gpu = _array("image", SHAPES[0]), parse_device("cuda")
    seeds = ndi.label(mask("sparse", SHAPES[0], 3))[0].astype(np.int32)
    expected = fastseg.operators.watershed(array, seeds)
    _same(fastseg.operators.watershed(to_device(array, gpu), to_device(seeds, gpu)), expected)


@pytest.mark.parametrize("name", ["structured", "nuclei"])
@pytest.mark.parametrize("workflow", library_names())
def test_workflow(workflow: str, name: str) -> None:
    array, _ = stack(name)
    expected = segment(array, workflow, "cpu")
    found = segment(array, workflow, "cuda")
    assert isinstance(found, np.ndarray)
    assert dice(found > 0, expected > 0) >= 0.9999


def test_tiles_on_the_gpu_give_the_same_mask() -> None:
    array, _ = stack("nuclei")
    whole = segment(array, "sec61b", "cuda")
    np.testing.assert_array_equal(segment(array, "sec61b", "cuda", tile=(20, 64, 70)), whole)
