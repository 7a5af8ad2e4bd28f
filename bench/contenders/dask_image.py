"""dask-image, where it has the operation; chunks of a quarter of the planes, computed on threads."""

from typing import Any

import dask.array as da
import numpy as np
from dask_image import ndfilters, ndmeasure

from bench.contenders.base import Contender


def _chunked(image: np.ndarray) -> Any:
    return da.from_array(image, chunks=(max(1, -(-image.shape[0] // 4)), *image.shape[1:]))


def _gaussian(image: np.ndarray, sigma: Any) -> np.ndarray:
    return ndfilters.gaussian_filter(_chunked(image), sigma, mode="nearest", truncate=3.0).compute()


def _spots(image: np.ndarray, sigma: float) -> np.ndarray:
    return -(sigma**2) * ndfilters.gaussian_laplace(_chunked(image), sigma).compute()


def _large_components(mask: np.ndarray, min_size: int) -> np.ndarray:
    labels, _ = ndmeasure.label(_chunked(mask))
    found = labels.compute()
    kept = np.bincount(found.ravel()) >= min_size
    kept[0] = False
    return kept[found]


CONTENDER = Contender(
    "dask-image",
    {
        "gaussian_smooth": _gaussian,
        "gaussian_smooth_slices": lambda image, sigma: _gaussian(image, (0, sigma, sigma)),
        "laplacian_of_gaussian": _spots,
        "remove_small_objects": _large_components,
    },
    ("dask-image", "dask", "scipy", "numpy"),
)
