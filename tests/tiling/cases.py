"""How to call every operator: what its inputs look like and from which parameters to draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import ndimage as ndi

from tests import support

Shape = tuple[int, ...]
Inputs = Callable[[st.DataObject, Shape], list[Any]]
Parameters = dict[str, st.SearchStrategy[Any]]


@dataclass(frozen=True)
class Case:
    """One operator: its inputs for a shape, its parameters, the accepted dimensions and the shortest axis."""

    inputs: Inputs
    parameters: Parameters
    dims: tuple[int, ...] = (3,)
    least: int = 1


def _seed(data: st.DataObject) -> int:
    return data.draw(st.integers(0, 9999), label="seed")


def _image(data: st.DataObject, shape: Shape) -> list[Any]:
    return [support.image(data.draw(st.sampled_from(support.IMAGES), label="image"), shape, _seed(data))]


def _mask(data: st.DataObject, shape: Shape) -> list[Any]:
    return [support.mask(data.draw(st.sampled_from(support.MASKS), label="mask"), shape, _seed(data))]


def _image_and_mask(data: st.DataObject, shape: Shape) -> list[Any]:
    return _image(data, shape) + _mask(data, shape)


def _image_and_value(data: st.DataObject, shape: Shape) -> list[Any]:
    return [*_image(data, shape), data.draw(st.sampled_from([-1.0, 0.1, 1.0, 30200.0]), label="value")]


def _masks(data: st.DataObject, shape: Shape) -> list[Any]:
    return [m for _ in range(data.draw(st.integers(1, 3), label="masks")) for m in _mask(data, shape)]


def _two_masks(data: st.DataObject, shape: Shape) -> list[Any]:
    return _mask(data, shape) + _mask(data, shape)


def _labels(data: st.DataObject, shape: Shape) -> list[Any]:
    """Components numbered, or scattered labels that are not connected, in any integer type."""
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]), label="dtype")
    if data.draw(st.booleans(), label="connected"):
        return [ndi.label(_mask(data, shape)[0])[0].astype(dtype)]
    return [np.random.default_rng(_seed(data)).integers(0, 9, shape).astype(dtype)]


def _mask_and_peaks(data: st.DataObject, shape: Shape) -> list[Any]:
    (objects,) = _mask(data, shape)
    return [objects, objects & support.mask("sparse", shape, _seed(data))]


def _image_and_seeds(data: st.DataObject, shape: Shape) -> list[Any]:
    seeds, _ = ndi.label(support.mask("sparse", shape, _seed(data)))
    return [*_image(data, shape), seeds.astype(np.int32)]


def _image_and_plane(data: st.DataObject, shape: Shape) -> list[Any]:
    return [*_image(data, shape), data.draw(st.integers(0, shape[0] - 1), label="z")]


def _seeding(data: st.DataObject, shape: Shape) -> list[Any]:
    return [_mask(data, shape[1:])[0], *_image_and_plane(data, shape)]


_sigma = st.sampled_from([0.0, 0.5, 0.8, 1.0, 1.7])
_scale = st.sampled_from([0.5, 1.0, 1.3])
_pairs = st.lists(st.tuples(_scale, st.sampled_from([-0.1, 0.0, 0.02, 0.3])), max_size=2)
_scales = st.lists(_scale, min_size=1, max_size=2)
_size = st.sampled_from([0, 1, 2, 5, 30])
_scaling = st.sampled_from([[0], [1], [30200], [0.5, 3.0], [2, 2], [0.5, 1, -0.5, 1], [1, 1, 0.1, 0.4]])
_hessian: Parameters = {"sigma": _sigma, "scale": st.booleans(), "white_on_black": st.booleans()}
_footprint: Parameters = {"radius": st.integers(0, 3), "shape": st.sampled_from(["ball", "disk"])}
_method = st.sampled_from(["triangle", "tri", "median", "med", "ave_tri_med", "ave"])
_coarse: Parameters = {"method": _method, "min_size": _size, "dilate": st.booleans()}
_fine: Parameters = {"factor": st.sampled_from([0.5, 0.98, 1.2]), "global_check": st.booleans()}

CASES: dict[str, Case] = {
    "intensity_normalize": Case(_image, {"scaling": _scaling}, (2, 3)),
    "intensity_clip": Case(_image, {"scaling": _scaling}, (2, 3)),
    "background_subtract": Case(_image, {"sigma": st.sampled_from([0.5, 1.0, 2.5])}, (2, 3)),
    "suggest_scaling": Case(_image, {}, (2, 3)),
    "rescale_xy": Case(
        _image, {"ratio": st.sampled_from([0.2, 0.7, 0.85, 1.0, 1.3]), "compat": st.booleans()}
    ),
    "gaussian_smooth": Case(
        _image,
        {
            "sigma": st.one_of(_sigma, st.tuples(_sigma, _sigma, _sigma)),
            "truncate": st.sampled_from([2.1, 3.0, 4.0]),
        },
        (2, 3),
    ),
    "gaussian_smooth_slices": Case(_image, {"sigma": _sigma, "truncate": st.sampled_from([2.1, 3.0])}),
    "edge_preserving_smooth": Case(
        _image,
        {
            "iterations": st.integers(0, 3),
            "conductance": st.sampled_from([0.5, 1.2]),
            "time_step": st.sampled_from([0.03, 0.0625]),
            "spacing": st.sampled_from([(1.0, 1.0, 1.0), (1.0, 1.0, 2.5)]),
        },
    ),
    "laplacian_of_gaussian": Case(_image, {"sigma": _sigma}, (2, 3)),
    "laplacian_of_gaussian_slices": Case(_image, {"sigma": _sigma}),
    "multiscale_spots_slices": Case(_image, {"scales": _pairs}),
    "multiscale_spots": Case(_image, {"scales": _pairs}),
    "multiscale_spots_2d": Case(
        _image, {"sigmas": _scales, "cutoff": st.sampled_from([-0.1, 0.0, 0.3])}, (2,)
    ),
    "jerman_vesselness": Case(_image, {"sigmas": _scales, "tau": st.sampled_from([0.3, 0.75, 1.0])}, least=2),
    "jerman_vesselness_2d": Case(_image, {"sigmas": _scales}, (2,), least=2),
    "jerman_vesselness_slices": Case(_image, {"sigmas": _scales}, least=3),
    "multiscale_filaments_2d": Case(_image, {"scales": _pairs}, (2,), least=2),
    "multiscale_filaments": Case(_image, {"scales": _pairs}, least=2),
    "multiscale_filaments_slices": Case(_image, {"scales": _pairs}, least=3),
    "jerman_vesselness_one_slice": Case(_image, {"sigmas": _scales, "z": st.integers(0, 3)}, least=2),
    "hessian_element": Case(
        _image, {**_hessian, "row": st.integers(0, 2), "column": st.integers(0, 2)}, (2, 3), least=2
    ),
    "hessian_eigenvalue": Case(_image, {**_hessian, "index": st.integers(0, 2)}, (2, 3), least=2),
    "otsu_threshold": Case(_image, {}, (2, 3)),
    "triangle_threshold": Case(_image, {}, (2, 3)),
    "median_threshold": Case(_image, {}, (2, 3)),
    "cell_wise_threshold": Case(_image, {"min_size": _size}),
    "coarse_threshold": Case(_image, _coarse),
    "object_otsu_threshold": Case(_image_and_mask, _fine),
    "masked_object_threshold": Case(_image, {**_coarse, **_fine}),
    "remove_small_objects": Case(_mask, {"min_size": _size, "connectivity": st.integers(1, 3)}, (2, 3)),
    "remove_small_objects_slices": Case(_mask, {"min_size": _size, "connectivity": st.integers(1, 2)}),
    "remove_small_labels": Case(_labels, {"min_size": _size}, (2, 3)),
    "fill_holes": Case(
        _mask,
        {
            "hole_min": st.sampled_from([0, 2]),
            "hole_max": st.sampled_from([3, 20, 5000]),
            "slices": st.booleans(),
            "fill_border": st.booleans(),
        },
        (2, 3),
    ),
    "label_objects": Case(_mask, {"connectivity": st.integers(1, 3)}, (2, 3)),
    "fill_all_holes": Case(_mask, {}, (2, 3)),
    "remove_labels": Case(_labels, {"ids": st.lists(st.integers(0, 9), max_size=3)}, (2, 3)),
    "remove_hot_pixels": Case(_mask, {}),
    "prune_slices": Case(_mask, {}),
    "thin_preserving_topology": Case(
        _mask, {"min_thickness": st.sampled_from([0.0, 1.0, 1.5]), "thin": st.integers(0, 3)}
    ),
    "erode": Case(_mask, _footprint, (2, 3)),
    "dilate": Case(_mask, _footprint, (2, 3)),
    "erode_image": Case(_image, {}, (2, 3)),
    "contour": Case(_mask, {}, (2, 3)),
    "mask_image": Case(_image_and_mask, {"value": st.sampled_from([0.0, -1.5])}, (2, 3)),
    "set_where": Case(_two_masks, {"value": st.booleans(), "compat": st.booleans()}),
    "greater_than_value": Case(_image_and_value, {}, (2, 3)),
    "greater_than": Case(_image, {"value": st.sampled_from([-1.0, 0.1, 1.0, 30200.0])}, (2, 3)),
    "logical_or": Case(_masks, {}, (2, 3)),
    "logical_and": Case(_masks, {}, (2, 3)),
    "logical_xor": Case(_masks, {}, (2, 3)),
    "and_not": Case(_two_masks, {}, (2, 3)),
    "invert_image": Case(_image, {}, (2, 3)),
    "invert_mask": Case(_mask, {}, (2, 3)),
    "local_maxima": Case(_image_and_mask, {"compat": st.booleans()}),
    "watershed_split": Case(_mask_and_peaks, {"compat": st.booleans()}),
    "watershed": Case(_image_and_seeds, {"lines": st.booleans()}),
    "middle_frame": Case(_image, {"method": st.sampled_from(["z", "intensity"])}),
    "take_slice": Case(_image_and_plane, {}),
    "seeds_from_slice": Case(_seeding, {"min_size": _size, "background_seed": st.booleans()}),
    "seeds_for_objects": Case(
        _image_and_mask,
        {
            "area_min": st.sampled_from([0, 1, 4]),
            "area_max": st.sampled_from([4, 40, 10_000]),
            "background_seed": st.booleans(),
        },
    ),
    "boundaries": Case(
        _labels,
        {"connectivity": st.integers(1, 3), "mode": st.sampled_from(["thick", "inner", "outer"])},
        (2, 3),
    ),
}
