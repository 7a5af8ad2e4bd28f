"""ITK, where it has the operation."""

import itk
import numpy as np

from bench.contenders.base import Contender


def _diffusion(image: np.ndarray) -> np.ndarray:
    smooth = itk.gradient_anisotropic_diffusion_image_filter(
        itk.GetImageViewFromArray(image),
        number_of_iterations=10,
        conductance_parameter=1.2,
        time_step=0.0625,
    )
    return itk.GetArrayFromImage(smooth)


def _large_components(mask: np.ndarray, min_size: int) -> np.ndarray:
    view = itk.GetImageViewFromArray(mask.view(np.uint8))
    kind = itk.Image[itk.UL, 3]
    labels = itk.connected_component_image_filter(view, ttype=(type(view), kind), fully_connected=False)
    kept = itk.relabel_component_image_filter(labels, minimum_object_size=min_size)
    return itk.GetArrayViewFromImage(kept) > 0


def _fill_holes(mask: np.ndarray, hole_min: int, hole_max: int, slices: bool) -> np.ndarray:
    if slices or hole_min > 1:
        raise NotImplementedError("3-D holes of every size up to the largest only")
    return ~_large_components(~mask, hole_max + 1)


CONTENDER = Contender(
    "ITK",
    {
        "edge_preserving_smooth": _diffusion,
        "remove_small_objects": _large_components,
        "fill_holes": _fill_holes,
    },
    ("itk", "numpy"),
)
