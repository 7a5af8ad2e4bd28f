"""Law 1 across devices: a GPU gives what the CPU gives. Run with `make test-gpu`."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

import fastseg
from fastseg.arrays import parse_device, to_device, to_host
from fastseg.arrays.device import cuda_devices, why_no_cuda
from fastseg.errors import InputError
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

Kinds = tuple[str | float, ...]

# operator, kinds of its arrays or scalars, parameters
CASES: list[tuple[str, Kinds, dict[str, Any]]] = [
    ("intensity_normalize", ("image",), {"scaling": [1, 5]}),
    ("intensity_normalize", ("image",), {"scaling": [0]}),
    ("intensity_clip", ("image",), {"scaling": [1, 5]}),
    ("invert_image", ("image",), {}),
    ("gaussian_smooth", ("image",), {"sigma": 1.5}),
    ("gaussian_smooth_slices", ("image",), {"sigma": 1.0}),
    ("edge_preserving_smooth", ("image",), {}),
    ("background_subtract", ("image",), {"sigma": 3.0}),
    ("rescale_xy", ("image",), {"ratio": 0.7}),
    ("laplacian_of_gaussian", ("image",), {"sigma": 1.0}),
    ("laplacian_of_gaussian_slices", ("image",), {"sigma": 2.0}),
    ("multiscale_spots", ("image",), {"scales": [[1, 0.03], [2, 0.02]]}),
    ("multiscale_spots_slices", ("image",), {"scales": [[1.5, 0.03]]}),
    ("multiscale_spots_2d", ("plane",), {"sigmas": [1, 2], "cutoff": 0.02}),
    ("greater_than", ("image",), {"value": 0.5}),
    ("greater_than_value", ("image", 0.3), {}),
    ("mask_image", ("image", "mask"), {}),
    ("set_where", ("mask", "other"), {"value": False}),
    ("logical_or", ("mask", "other"), {}),
    ("logical_and", ("mask", "other"), {}),
    ("logical_xor", ("mask", "other"), {}),
    ("and_not", ("mask", "other"), {}),
    ("invert_mask", ("mask",), {}),
    ("take_slice", ("image", 0), {}),
    ("seeds_from_slice", ("plane mask", "image", 0), {"min_size": 2}),
    ("remove_labels", ("labels",), {"ids": [1, 3]}),
    ("remove_small_labels", ("labels",), {"min_size": 3}),
    ("watershed", ("image", "labels"), {}),
    ("cell_wise_threshold", ("image",), {"min_size": 3}),
    ("triangle_threshold", ("image",), {}),
    ("coarse_threshold", ("image",), {"method": "ave_tri_med", "min_size": 3, "dilate": True}),
    ("object_otsu_threshold", ("image", "mask"), {"global_check": True}),
    ("masked_object_threshold", ("image",), {"method": "triangle", "min_size": 3}),
    ("label_objects", ("mask",), {"connectivity": 1}),
    ("label_objects", ("mask",), {"connectivity": 2}),
    ("label_objects", ("mask",), {"connectivity": 3}),
    ("remove_small_objects", ("mask",), {"min_size": 4}),
    ("remove_small_objects_slices", ("mask",), {"min_size": 3}),
    ("fill_holes", ("mask",), {"hole_min": 0, "hole_max": 6}),
    ("fill_holes", ("mask",), {"hole_min": 0, "hole_max": 9, "slices": False, "fill_border": False}),
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
    ("dilate", ("mask",), {"radius": 9}),
    ("erode_image", ("image",), {}),
    ("otsu_threshold", ("image",), {}),
    ("median_threshold", ("image",), {}),
    ("suggest_scaling", ("image",), {}),
]

NEEDS_TWO: list[tuple[str, Kinds, dict[str, Any]]] = [
    ("jerman_vesselness", ("image",), {"sigmas": [1, 1.5]}),
    ("jerman_vesselness", ("image",), {"sigmas": [1], "tau": 0.5}),
    ("jerman_vesselness_slices", ("image",), {"sigmas": [1]}),
    ("jerman_vesselness_one_slice", ("image",), {"sigmas": [1], "z": 3}),
    ("jerman_vesselness_2d", ("plane",), {"sigmas": [1, 2]}),
    ("multiscale_filaments", ("image",), {"scales": [[1, 0.1]]}),
    ("multiscale_filaments_slices", ("image",), {"scales": [[1, 0.1]]}),
    ("multiscale_filaments_2d", ("plane",), {"scales": [[1, 0.01]]}),
    ("hessian_element", ("image",), {"row": 0, "column": 2}),
    ("hessian_eigenvalue", ("image",), {"index": 0}),
    ("middle_frame", ("image",), {"method": "intensity"}),
    ("seeds_for_objects", ("image", "mask"), {"area_min": 2, "area_max": 50}),
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


def _given(kind: str | float, shape: tuple[int, ...]) -> Any:
    if not isinstance(kind, str):
        return kind
    place = shape[1:] if kind.startswith("plane") else shape
    return {
        "image": lambda: image("blobs", place, 1),
        "plane": lambda: image("blobs", place, 1),
        "mask": lambda: mask("half", place, 2),
        "plane mask": lambda: mask("half", place, 2),
        "other": lambda: mask("half", place, 7),
        "labels": lambda: ndi.label(mask("half", place, 5))[0].astype(np.int32),
    }[kind]()


def _on_device(value: Any) -> Any:
    return to_device(value, parse_device("cuda")) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "kinds", "parameters"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_operator(name: str, kinds: Kinds, parameters: dict[str, Any], shape: tuple[int, ...]) -> None:
    given = [_given(kind, shape) for kind in kinds]
    operator = function_of(name)
    _same(operator(*map(_on_device, given), **parameters), operator(*given, **parameters))


@pytest.mark.parametrize(
    ("name", "kinds", "parameters"), NEEDS_TWO, ids=lambda v: v if isinstance(v, str) else ""
)
def test_operator_on_volumes(name: str, kinds: Kinds, parameters: dict[str, Any]) -> None:
    test_operator(name, kinds, parameters, SHAPES[0])


def test_other_layouts() -> None:
    """What is no contiguous float32 is taken as on the CPU."""
    array = _given("image", SHAPES[0])
    for given in (array[:, ::2, 1:], array.astype(np.float64), (1000 * array).astype(np.uint16), array.T):
        for name, parameters in (
            ("gaussian_smooth", {"sigma": 1.0}),
            ("intensity_normalize", {"scaling": [1, 5]}),
        ):
            _same(function_of(name)(_on_device(given), **parameters), function_of(name)(given, **parameters))


def test_on_a_stream_of_the_caller() -> None:
    """Kernels join the stream that CuPy works on, also one that does not wait for the default stream."""
    import cupy

    array = image("blobs", (40, 300, 400), 1)
    expected = function_of("gaussian_smooth")(array, sigma=2.0)
    for _ in range(5):
        with cupy.cuda.Stream(non_blocking=True):
            given = cupy.zeros(array.shape, np.float32)
            given[...] = cupy.asarray(array)
            found = function_of("gaussian_smooth")(given, sigma=2.0)
            given[...] = -1  # queued behind the kernels
            _same(found, expected)


def test_watershed_and_seeds() -> None:
    array = _given("image", SHAPES[0])
    seeds = ndi.label(mask("sparse", SHAPES[0], 3))[0].astype(np.int32)
    expected = fastseg.operators.watershed(array, seeds)
    _same(fastseg.operators.watershed(_on_device(array), _on_device(seeds)), expected)


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_no_workflow_can_segment_is_refused(value: float) -> None:
    """One such voxel is enough, wherever it is; CuPy finds extremes in its own way."""
    array = _given("image", SHAPES[0])
    for place in ((0, 0, 0), (3, 17, 20), (6, 32, 44)):
        broken = array.copy()
        broken[place] = value
        with pytest.raises(InputError, match="1 NaN and 0" if np.isnan(value) else "0 NaN and 1 inf"):
            segment(broken, "rab5a", "cuda")
