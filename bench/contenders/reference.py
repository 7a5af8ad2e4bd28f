"""The reference implementation, run as it is shipped."""

import importlib
from typing import Any

import numpy as np

from bench.contenders.base import Contender
from bench.peers.shim import install

install()

core = "aicssegmentation.core"
intensity = importlib.import_module(f"{core}.pre_processing_utils")
vessel = importlib.import_module(f"{core}.vessel")
dots = importlib.import_module(f"{core}.seg_dot")
utils = importlib.import_module(f"{core}.utils")
thresholds = importlib.import_module(f"{core}.MO_threshold")


def _masked_object_threshold(image: np.ndarray, method: str, min_size: int) -> np.ndarray:
    return thresholds.MO(image, global_thresh_method=method, object_minArea=min_size)


def _fill_holes(mask: np.ndarray, hole_min: int, hole_max: int, slices: bool) -> np.ndarray:
    return utils.hole_filling(mask, hole_min, hole_max, fill_2d=slices)


def _thin(mask: np.ndarray, min_thickness: float, thin: int) -> np.ndarray:
    return utils.topology_preserving_thinning(mask, min_thickness, thin)


def _split(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return utils.watershed_wrapper(mask, utils.peak_local_max_wrapper(image, mask))


def _workflow(image: np.ndarray, name: str) -> Any:
    try:
        module = importlib.import_module(f"aicssegmentation.structure_wrapper.seg_{name}")
    except ModuleNotFoundError:
        raise NotImplementedError(f"the published package has no workflow {name}") from None
    return getattr(module, f"Workflow_{name}")(image, -1, output_type="array")


CONTENDER = Contender(
    "reference",
    {
        "intensity_normalize": lambda image, scaling: intensity.intensity_normalization(image, scaling),
        "gaussian_smooth": lambda image, sigma: intensity.image_smoothing_gaussian_3d(image, sigma),
        "gaussian_smooth_slices": lambda image, sigma: intensity.image_smoothing_gaussian_slice_by_slice(
            image, sigma
        ),
        "edge_preserving_smooth": lambda image: intensity.edge_preserving_smoothing_3d(image),
        "laplacian_of_gaussian": lambda image, sigma: dots.dot_3d(image, sigma),
        "laplacian_of_gaussian_slices": lambda image, sigma: dots.dot_slice_by_slice(image, sigma),
        "jerman_vesselness": lambda image, sigmas: vessel.vesselness3D(image, sigmas),
        "jerman_vesselness_slices": lambda image, sigmas: vessel.vesselnessSliceBySlice(image, sigmas),
        "masked_object_threshold": _masked_object_threshold,
        "remove_small_objects": lambda mask, min_size: utils.size_filter(mask, min_size),
        "fill_holes": _fill_holes,
        "thin_preserving_topology": _thin,
        "split_objects": _split,
        "workflow": _workflow,
    },
    ("aicssegmentation", "numpy", "scipy", "scikit-image", "itk"),
)
