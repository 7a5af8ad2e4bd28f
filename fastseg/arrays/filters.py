"""Gaussian filters: compiled loops for float32 stacks, the array library's own for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np

from fastseg.arrays.device import Device
from fastseg.arrays.namespace import Namespace, namespace_for, to_device
from fastseg.types import Array

_NONE = 1e-15
"""A standard deviation up to this leaves an axis as it is, as in SciPy."""

_WIDEST_ON_GPU = 700
"""Largest radius of the CUDA kernels; `fastseg.kernels.cuda.gaussian.WIDEST`."""


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


def float32_weights(half: np.ndarray) -> np.ndarray:
    """A half kernel as the CUDA kernels take it: float32, the sum of all weights in the place of the centre's."""
    return np.append(half[:-1], half[-1] + 2 * half[:-1].sum()).astype(np.float32)


def _to_keep(table: np.ndarray, device: Device) -> Array:
    """A table on a GPU, all of it: who uses it next may do so on another stream, which would not wait for a copy."""
    ns = namespace_for(device)
    with ns.active():
        kept = to_device(table, device)
        ns.xp.cuda.get_current_stream().synchronize()
    return kept


@lru_cache(maxsize=256)
def _weights_on(device: Device, sigma: float, order: int, truncate: float) -> Array:
    return _to_keep(float32_weights(_half_kernel(sigma, order, truncate)), device)


@lru_cache(maxsize=256)
def _sources_on(device: Device, size: int, radius: int, mode: str) -> Array:
    return _to_keep(_sources(size, radius, mode).astype(np.int32), device)


def _weights(ns: Namespace, sigma: float, order: int, truncate: float) -> Array:
    """The half kernel in the form of the compiled loops of a device."""
    return (
        _weights_on(ns.device, sigma, order, truncate) if ns.on_gpu else _half_kernel(sigma, order, truncate)
    )


def _tables(ns: Namespace, shape: Sequence[int], radii: Sequence[int], mode: str) -> list[Array]:
    """`_sources` of every axis on the device."""
    on = partial(_sources_on, ns.device) if ns.on_gpu else _sources
    return [on(n, radius, mode) for n, radius in zip(shape, radii, strict=True)]


def _has_kernel(ns: Namespace, image: Array, radius: float) -> bool:
    fits = image.dtype == np.float32 and image.ndim in (2, 3) and image.size > 0
    return fits and (not ns.on_gpu or radius <= _WIDEST_ON_GPU)  # own kernels on the GPU, or CuPy's


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
        Of the image's shape and dtype. On the CPU bit for bit that of `scipy.ndimage.gaussian_filter`; on a GPU summed
        in float32, see `fastseg.kernels.voxel.gaussian` for the error.
    """
    sigmas = [float(s) for s in (sigma if isinstance(sigma, Sequence) else [sigma] * image.ndim)]
    if not _has_kernel(ns, image, truncate * max(sigmas) + 1):
        return ns.ndi.gaussian_filter(image, sigma, mode=mode, truncate=truncate)
    stack = ns.xp.ascontiguousarray(image if image.ndim == 3 else image[np.newaxis])
    kernels = [_weights(ns, s, 0, float(truncate)) for s in ([0.0] * (3 - image.ndim) + sigmas)]
    sources = _tables(ns, stack.shape, [w.size - 1 for w in kernels], mode)
    out = ns.xp.empty_like(stack)
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
    radius = int(4.0 * sigma + 0.5) if sigma > _NONE else 0
    if not _has_kernel(ns, image, radius) or radius < 1:
        scales = [sigma if axis in axes else 0.0 for axis in range(image.ndim)]
        total: Array = None
        for axis in axes:
            order = [2 if a == axis else 0 for a in range(image.ndim)]
            part = ns.ndi.gaussian_filter(image, scales, order=order, mode="reflect", truncate=4.0)
            total = part if total is None else total + part
        return total * scale
    stack = ns.xp.ascontiguousarray(image if image.ndim == 3 else image[np.newaxis])
    smoothing, curvature = (_weights(ns, float(sigma), order, 4.0) for order in (0, 2))
    sources = _tables(ns, stack.shape, [radius] * 3, "reflect")
    out = ns.xp.empty_like(stack)
    volume = len(axes) == 3
    ns.kernel("gaussian").laplacian(stack, smoothing, curvature, volume, scale, *sources, out)
    return out.reshape(image.shape)
