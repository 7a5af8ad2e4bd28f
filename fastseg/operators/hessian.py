"""The Hessian matrix and its eigenvalues, one component at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from fastseg.arrays.filters import gaussian_filter
from fastseg.errors import InputError
from fastseg.operators.smoothing import gaussian_reach
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Local
from fastseg.tiling.rules import Halo
from fastseg.types import Array

_TRUNCATE = 3.0
_STENCIL = 2


class HessianParams(Params):
    """Parameters shared by `hessian_element` and `hessian_eigenvalue`."""

    sigma: float = Field(
        default=1.0, ge=0, le=1000, description="standard deviation of the smoothing in voxels; 0 for none"
    )
    scale: bool = Field(default=True, description="multiply by sigma squared (voxels squared)")
    white_on_black: bool = Field(
        default=True, description="False: change the sign (only together with scale)"
    )

    @property
    def weight(self) -> float:
        """Factor of the matrix."""
        if not self.scale or self.sigma == 0:
            return 1.0
        return self.sigma**2 * (1 if self.white_on_black else -1)


class ElementParams(HessianParams):
    """Parameters of `hessian_element`."""

    row: int = Field(
        ge=0, le=2, description="axis of the first difference, 0 for the first axis of the image"
    )
    column: int = Field(ge=0, le=2, description="axis of the second difference")


class EigenvalueParams(HessianParams):
    """Parameters of `hessian_eigenvalue`."""

    index: int = Field(ge=0, le=2, description="0 for the smallest in magnitude")


def _halo(params: Any) -> Halo:
    return (gaussian_reach(params.sigma, _TRUNCATE) + _STENCIL,) * 3


def _smoothed(block: Block, name: str) -> Array:
    shape = block.place.shape
    if min(shape) < 2:
        raise InputError(f"{name}: every axis needs at least 2 voxels, the image has {shape}")
    if block.params.sigma == 0:
        return block.arrays[0]
    return gaussian_filter(block.ns, block.arrays[0], block.params.sigma, mode="nearest", truncate=_TRUNCATE)


def _axis(index: int, what: str, ndim: int) -> int:
    if index >= ndim:
        raise InputError(f"{what} {index} does not exist in a {ndim}-D image: use 0 to {ndim - 1}")
    return index


def _element(block: Block) -> Array:
    xp, params = block.ns.xp, block.params
    smooth = _smoothed(block, "hessian_element")
    row, column = (
        _axis(a, "hessian_element: axis", smooth.ndim) for a in sorted((params.row, params.column))
    )
    element = xp.gradient(xp.gradient(smooth, axis=row), axis=column)
    return element * np.float32(params.weight)


def _eigenvalue(block: Block) -> Array:
    smooth = _smoothed(block, "hessian_eigenvalue")
    index = _axis(block.params.index, "hessian_eigenvalue: eigenvalue", smooth.ndim)
    out = block.ns.xp.empty(smooth.shape, np.float32)
    kernel = block.ns.kernel("vesselness")
    if smooth.ndim == 3:
        kernel.eigenvalue_3d(smooth, block.params.weight, index, out)
    else:
        kernel.eigenvalue_2d(smooth[None], block.params.weight, index, out[None])
    return out


_IMAGE = (Input("image", ("image",), (2, 3), "image"),)
_DIFFERENCES = (
    "Central differences, one-sided at the ends of an axis, applied twice to the smoothed image; every axis needs at "
    "least 2 voxels."
)

HESSIAN_ELEMENT = OpSpec(
    name="hessian_element",
    summary="One element of the Hessian matrix of the smoothed image",
    description=_DIFFERENCES,
    inputs=_IMAGE,
    output=Output("image", summary="float32, same shape"),
    rule=Local(_element, _halo),
    params=ElementParams,
    scratch=12.0,
    category="filaments",
    reference="compute_3d_hessian_matrix",
)
HESSIAN_EIGENVALUE = OpSpec(
    name="hessian_eigenvalue",
    summary="One eigenvalue of the Hessian matrix, by rising magnitude",
    description=_DIFFERENCES + " Equal magnitudes keep the ascending order of the values.",
    inputs=_IMAGE,
    output=Output("image", summary="float32, same shape"),
    rule=Local(_eigenvalue, _halo),
    params=EigenvalueParams,
    scratch=8.0,
    category="filaments",
    reference="absolute_3d_hessian_eigenvalues",
)

SPECS = (HESSIAN_ELEMENT, HESSIAN_EIGENVALUE)
