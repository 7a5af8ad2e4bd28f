"""Gaussian filters: compiled loops for float32 stacks on the CPU, the array library's own everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fastseg.arrays.namespace import Namespace
from fastseg.types import Array

_NONE = 1e-15
"""A standard deviation up to this leaves an axis as it is, as in SciPy."""


@lru_cache(maxsize=64)
def _half_kernel(sigma: float, order: int, truncate: float) -> np.ndarray:
    """Weights from the farthest to the centre's, bit for bit those that SciPy uses."""
    from scipy.ndimage import gaussian_filter1d

    if sigma <= _NONE:
        return np.ones(1)
    radius = int(truncate * sigma + 0.5)
    impulse = np.zeros(2 * radius + 1)
    impulse[radius] = 1.0
    weights = gaussian_filter1d(impulse, sigma, order=order, mode="constant", truncate=truncate)
    return np.ascontiguousarray(weights[: radius + 1])


@lru_cache(maxsize=64)
def _sources(size: int, radius: int, mode: str) -> np.ndarray:
    """For each position of an axis with its border, the voxel that its value is taken from."""
    position = np.arange(-radius, size + radius)
    if mode == "nearest":
        return np.clip(position, 0, size - 1)
    position %= 2 * size  # reflect: mirrored with the border voxel repeated
    return np.minimum(position, 2 * size - 1 - position)


def _has_kernel(ns: Namespace, image: Array) -> bool:
    return not ns.on_gpu and image.dtype == np.float32 and image.ndim in (2, 3) and image.size > 0


def gaussian_filter(
    ns: Namespace, image: Array, sigma: float | Sequence[float], *, mode: str, truncate: float
) -> Array:
    """Smooth with a Gaussian.

    Parameters
    ----------
    ns : Namespace
        Of the image.
    image : array (Z, Y, X) or (Y, X)
    sigma : float or sequence of float
        Standard deviation in voxels, for all axes or each.
    mode : {"nearest", "reflect"}
        What lies beyond the border.
    truncate : float
        Radius of the kernel in standard deviations.

    Returns
    -------
    array
        Of the image's shape and dtype; on the CPU bit for bit that of `scipy.ndimage.gaussian_filter`.
    """
    if not _has_kernel(ns, image):
        return ns.ndi.gaussian_filter(image, sigma, mode=mode, truncate=truncate)
    sigmas = [float(s) for s in (sigma if isinstance(sigma, Sequence) else [sigma] * image.ndim)]
    stack = np.ascontiguousarray(image if image.ndim == 3 else image[np.newaxis])
    kernels = [_half_kernel(s, 0, float(truncate)) for s in ([0.0] * (3 - image.ndim) + sigmas)]
    sources = [_sources(n, len(w) - 1, mode) for n, w in zip(stack.shape, kernels, strict=True)]
    out = np.empty_like(stack)
    ns.kernel("gaussian").smooth(stack, *kernels, *sources, out)
    return out.reshape(image.shape)


def gaussian_laplacian(
    ns: Namespace, image: Array, sigma: float, axes: tuple[int, ...], factor: float
) -> Array:
    """The sum over some axes of the second Gaussian derivatives, smoothed along these axes only, times a factor.

    Parameters
    ----------
    ns : Namespace
        Of the image.
    image : array (Z, Y, X) or (Y, X)
    sigma : float
        Standard deviation in voxels, above 0; the kernel reaches 4 of them, and the border is mirrored with its voxel
        repeated.
    axes : tuple of int
        All axes, or the last two.
    factor : float

    Returns
    -------
    array
        Of the image's shape and dtype; on the CPU bit for bit the sum of what `scipy.ndimage.gaussian_filter` gives.
    """
    scale = np.float32(factor)
    smoothing = _half_kernel(float(sigma), 0, 4.0) if sigma > _NONE else np.ones(1)
    if not _has_kernel(ns, image) or len(smoothing) < 2:
        scales = [sigma if axis in axes else 0.0 for axis in range(image.ndim)]
        total: Array = None
        for axis in axes:
            order = [2 if a == axis else 0 for a in range(image.ndim)]
            part = ns.ndi.gaussian_filter(image, scales, order=order, mode="reflect", truncate=4.0)
            total = part if total is None else total + part
        return total * scale
    stack = np.ascontiguousarray(image if image.ndim == 3 else image[np.newaxis])
    curvature = _half_kernel(float(sigma), 2, 4.0)
    sources = [_sources(n, len(smoothing) - 1, "reflect") for n in stack.shape]
    out = np.empty_like(stack)
    volume = len(axes) == 3
    ns.kernel("gaussian").laplacian(stack, smoothing, curvature, volume, scale, *sources, out)
    return out.reshape(image.shape)
