"""cuCIM, where it has the operation."""

from typing import Any

import cupy
from cucim import __version__
from cucim.skimage import filters, morphology
from cupyx.scipy import ndimage as ndi

from bench.contenders.cuda import CudaContender, device_name


def _gaussian(image: Any, sigma: Any) -> Any:
    return filters.gaussian(image, sigma, mode="nearest", truncate=3.0, preserve_range=True)


def _fill_holes(mask: Any, hole_min: int, hole_max: int, slices: bool) -> Any:
    if slices or hole_min > 1:
        raise NotImplementedError("3-D holes of every size up to the largest only")
    return morphology.remove_small_holes(mask, hole_max + 1, connectivity=1)


def _thin(mask: Any, min_thickness: float, thin: int) -> Any:
    """Its medial axis walks along on the host, plane by plane."""
    safe = cupy.zeros_like(mask)
    for z, plane in enumerate(mask):
        if plane.any():
            skeleton = morphology.medial_axis(plane)
            safe[z] = ndi.distance_transform_edt(~skeleton) > min_thickness + 1e-5
    return mask & ~(safe & ~morphology.isotropic_erosion(mask, thin))


CONTENDER = CudaContender(
    "cuCIM",
    {
        "gaussian_smooth": _gaussian,
        "gaussian_smooth_slices": lambda image, sigma: _gaussian(image, (0, sigma, sigma)),
        "remove_small_objects": lambda mask, min_size: morphology.remove_small_objects(mask, min_size),
        "fill_holes": _fill_holes,
        "thin_preserving_topology": _thin,
        "dilate": lambda mask, radius: morphology.isotropic_dilation(mask, radius),
        "otsu_threshold": lambda image: filters.threshold_otsu(image),
    },
    (),
    {"cucim": __version__, "device": device_name()},
)
