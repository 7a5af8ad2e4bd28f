"""scikit-image, where it has the operation or its usual functions compose it."""

from functools import partial

import numpy as np
from scipy import ndimage as ndi
from skimage import exposure, filters, measure, morphology, segmentation
from skimage.feature import peak_local_max

from bench.contenders.base import Contender


def _normalize(image: np.ndarray, scaling: list[float]) -> np.ndarray:
    mean, deviation = float(image.mean()), float(image.std())
    low = max(mean - scaling[0] * deviation, float(image.min()))
    high = min(mean + scaling[1] * deviation, float(image.max()))
    return exposure.rescale_intensity(image, (low, high), (0.0, 1.0))


def _gaussian(image: np.ndarray, sigma: float, slices: bool = False) -> np.ndarray:
    sigmas = (0, sigma, sigma) if slices else sigma
    return filters.gaussian(image, sigmas, mode="nearest", truncate=3.0, preserve_range=True)


def _fill_holes(mask: np.ndarray, hole_min: int, hole_max: int, slices: bool) -> np.ndarray:
    if hole_min > 1:
        raise NotImplementedError("holes of every size up to the largest only")
    fill = partial(morphology.remove_small_holes, area_threshold=hole_max + 1, connectivity=1)
    return np.stack([fill(plane) for plane in mask]) if slices else fill(mask)


def _thin(mask: np.ndarray, min_thickness: float, thin: int) -> np.ndarray:
    safe = np.zeros_like(mask)
    for z, plane in enumerate(mask):
        if plane.any():
            skeleton = morphology.medial_axis(plane, rng=0)  # it draws the order of ties
            safe[z] = ndi.distance_transform_edt(~skeleton) > min_thickness + 1e-5
    shell = mask & ~ndi.binary_erosion(mask, morphology.ball(thin), border_value=1)
    return mask & ~(shell & safe)


def _split(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    objects = measure.label(mask, connectivity=3)
    peaks = np.zeros(mask.shape, bool)
    peaks[tuple(peak_local_max(image, min_distance=2, labels=objects).T)] = True
    seeds = measure.label(ndi.binary_dilation(peaks, morphology.ball(1)), connectivity=3)
    distance = ndi.distance_transform_edt(mask)
    return segmentation.watershed(-distance, seeds, mask=mask, watershed_line=True)


CONTENDER = Contender(
    "scikit-image",
    {
        "intensity_normalize": _normalize,
        "gaussian_smooth": _gaussian,
        "gaussian_smooth_slices": partial(_gaussian, slices=True),
        "remove_small_objects": lambda mask, min_size: morphology.remove_small_objects(mask, min_size),
        "fill_holes": _fill_holes,
        "thin_preserving_topology": _thin,
        "split_objects": _split,
    },
    ("scikit-image", "scipy", "numpy"),
)
