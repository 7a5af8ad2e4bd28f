"""Spot filters: the scale-normalised Laplacian of Gaussian."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, field_validator

from fastseg.arrays import Namespace
from fastseg.arrays.filters import gaussian_laplacian
from fastseg.operators.smoothing import gaussian_reach
from fastseg.operators.spec import Input, Listed, OpSpec, Output, Pairs, Params
from fastseg.tiling import Block, Local
from fastseg.tiling.rules import Halo
from fastseg.types import Array

_TRUNCATE = 4.0


class LogParams(Params):
    """Parameters of `laplacian_of_gaussian` and `laplacian_of_gaussian_slices`."""

    sigma: float = Field(
        ge=0, le=1000, description="scale in voxels: about the radius of a spot / sqrt(2 or 3)"
    )


class SpotsParams(Params):
    """Parameters of `multiscale_spots` and `multiscale_spots_slices`."""

    scales: Pairs = Field(
        description="pairs [sigma, cutoff]: sigma in voxels; the response, in grey values, must exceed cutoff"
    )

    @field_validator("scales")
    @classmethod
    def _positive(cls, value: Pairs) -> Pairs:
        if any(sigma < 0 for sigma, _ in value):
            raise ValueError("must hold no negative sigma")
        return value


class Spots2dParams(Params):
    """Parameters of `multiscale_spots_2d`."""

    sigmas: Annotated[tuple[Annotated[float, Field(ge=0, le=1000)], ...], Listed] = Field(
        description="scales in pixels"
    )
    cutoff: float = Field(description="what the response at any scale must exceed, in grey values")


def laplacian(image: Array, sigma: float, axes: tuple[int, ...], ns: Namespace) -> Array:
    """``-sigma**2`` times the sum over `axes` of the second Gaussian derivatives, smoothed along `axes` only.

    The border voxel is mirrored including itself; the kernel reaches 4 sigma. Its second-derivative weights do not
    quite sum to 0, so a flat area of brightness I answers up to 0.14 I per axis at sigma 0.5, below 0.001 I from 1.
    """
    if sigma == 0:
        return image * np.float32(0)
    return gaussian_laplacian(ns, image, sigma, axes, -(sigma**2))


def _log(block: Block) -> Array:
    image = block.arrays[0]
    return laplacian(image, block.params.sigma, tuple(range(image.ndim)), block.ns)


def _log_halo(params: LogParams) -> Halo:
    reach = gaussian_reach(params.sigma, _TRUNCATE)
    return reach, reach, reach


def _log_slices(block: Block) -> Array:
    return laplacian(block.arrays[0], block.params.sigma, (1, 2), block.ns)


def _log_slices_halo(params: LogParams) -> Halo:
    reach = gaussian_reach(params.sigma, _TRUNCATE)
    return 0, reach, reach


def _union(block: Block, scales: tuple[tuple[float, float], ...], axes: tuple[int, ...]) -> Array:
    image = block.arrays[0]
    found = block.ns.xp.zeros(image.shape, bool)
    for sigma, cutoff in scales:
        found |= laplacian(image, sigma, axes, block.ns) > np.float32(cutoff)
    return found


def _spots(block: Block) -> Array:
    return _union(block, block.params.scales, (0, 1, 2))


def _spots_2d(block: Block) -> Array:
    return _union(block, tuple((s, block.params.cutoff) for s in block.params.sigmas), (0, 1))


def _spots_slices(block: Block) -> Array:
    return _union(block, block.params.scales, (1, 2))


def _spots_halo(params: SpotsParams) -> Halo:
    reach = max((gaussian_reach(sigma, _TRUNCATE) for sigma, _ in params.scales), default=0)
    return reach, reach, reach


def _spots_2d_halo(params: Spots2dParams) -> Halo:
    reach = max((gaussian_reach(sigma, _TRUNCATE) for sigma in params.sigmas), default=0)
    return 0, reach, reach


def _spots_slices_halo(params: SpotsParams) -> Halo:
    reach = max((gaussian_reach(sigma, _TRUNCATE) for sigma, _ in params.scales), default=0)
    return 0, reach, reach


_PAPER = "Lindeberg, Int. J. Computer Vision 30(2), 1998"

LAPLACIAN_OF_GAUSSIAN = OpSpec(
    name="laplacian_of_gaussian",
    summary="Spot filter: scale-normalised Laplacian of Gaussian, bright spots positive",
    inputs=(Input("image", ("image",), (2, 3), "image"),),
    output=Output("image", summary="response, float32, same shape"),
    rule=Local(_log, _log_halo),
    params=LogParams,
    scratch=8.0,
    category="spots",
    reference="dot_3d",
    paper=_PAPER,
)

LAPLACIAN_OF_GAUSSIAN_SLICES = OpSpec(
    name="laplacian_of_gaussian_slices",
    summary="Spot filter within each plane: scale-normalised Laplacian of Gaussian along y and x",
    inputs=(Input("image", ("image",), (3,), "image"),),
    output=Output("image", summary="response, float32, same shape"),
    rule=Local(_log_slices, _log_slices_halo),
    params=LogParams,
    scratch=8.0,
    category="spots",
    reference="dot_slice_by_slice",
    paper=_PAPER,
)

MULTISCALE_SPOTS_SLICES = OpSpec(
    name="multiscale_spots_slices",
    summary="Spots of several sizes within each plane: union of thresholded Laplacian of Gaussian responses",
    inputs=(Input("image", ("image",), (3,), "image"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Local(_spots_slices, _spots_slices_halo),
    params=SpotsParams,
    scratch=9.0,
    category="spots",
    reference="dot_2d_slice_by_slice_wrapper",
    paper=_PAPER,
)

MULTISCALE_SPOTS = OpSpec(
    name="multiscale_spots",
    summary="Spots of several sizes: union of thresholded Laplacian of Gaussian responses",
    inputs=(Input("image", ("image",), (3,), "image"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Local(_spots, _spots_halo),
    params=SpotsParams,
    scratch=9.0,
    category="spots",
    reference="dot_3d_wrapper",
    paper=_PAPER,
)

MULTISCALE_SPOTS_2D = OpSpec(
    name="multiscale_spots_2d",
    summary="Spots of several sizes in a 2-D image, with one threshold",
    inputs=(Input("image", ("image",), (2,), "image"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Local(_spots_2d, _spots_2d_halo),
    params=Spots2dParams,
    scratch=9.0,
    category="spots",
    reference="logSlice",
    paper=_PAPER,
)

SPECS = (
    LAPLACIAN_OF_GAUSSIAN,
    LAPLACIAN_OF_GAUSSIAN_SLICES,
    MULTISCALE_SPOTS,
    MULTISCALE_SPOTS_SLICES,
    MULTISCALE_SPOTS_2D,
)
