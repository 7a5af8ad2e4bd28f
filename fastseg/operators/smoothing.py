"""Smoothing: Gaussian, and edge-preserving by gradient anisotropic diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from fastseg.arrays import namespace_of
from fastseg.arrays.deferred import held_array, kept_on_device
from fastseg.arrays.filters import gaussian_filter
from fastseg.operators.spec import Input, Listed, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Link, Local, Reduce
from fastseg.tiling.rules import Halo
from fastseg.tiling.statistics import EXTREMA, Extrema
from fastseg.types import Array, Box


def gaussian_reach(sigma: float, truncate: float) -> int:
    """Radius in voxels of a truncated Gaussian."""
    return int(truncate * sigma + 0.5) if sigma > 1e-15 else 0


class GaussianParams(Params):
    """Parameters of `gaussian_smooth`."""

    sigma: float | Annotated[tuple[float, float, float], Listed] = Field(
        default=1.0, description="standard deviation in voxels, one number or (z, y, x)"
    )
    truncate: float = Field(
        default=3.0, ge=0, le=100, description="radius of the kernel in standard deviations"
    )

    @field_validator("sigma")
    @classmethod
    def _not_negative(cls, value: Any) -> Any:
        if min(value if isinstance(value, tuple) else (value,)) < 0:
            raise ValueError("must not be negative")
        return value

    @property
    def sigmas(self) -> tuple[float, float, float]:
        return self.sigma if isinstance(self.sigma, tuple) else (self.sigma,) * 3


class GaussianSlicesParams(Params):
    """Parameters of `gaussian_smooth_slices`."""

    sigma: float = Field(default=1.0, ge=0, le=1000, description="standard deviation in voxels along y and x")
    truncate: float = Field(
        default=3.0, ge=0, le=100, description="radius of the kernel in standard deviations"
    )


def _gaussian(block: Block) -> Array:
    sigma = block.params.sigmas[-block.arrays[0].ndim :]
    return gaussian_filter(block.ns, block.arrays[0], sigma, mode="nearest", truncate=block.params.truncate)


def _gaussian_halo(params: GaussianParams) -> Halo:
    z, y, x = (gaussian_reach(s, params.truncate) for s in params.sigmas)
    return z, y, x


def _gaussian_slices(block: Block) -> Array:
    sigma = (0, block.params.sigma, block.params.sigma)
    return gaussian_filter(block.ns, block.arrays[0], sigma, mode="nearest", truncate=block.params.truncate)


def _gaussian_slices_halo(params: GaussianSlicesParams) -> Halo:
    reach = gaussian_reach(params.sigma, params.truncate)
    return 0, reach, reach


class BackgroundParams(Params):
    """Parameters of `background_subtract`."""

    sigma: float = Field(
        gt=0, le=1000, description="scale of the background in voxels, about half the uneven areas"
    )


class DiffusionParams(Params):
    """Parameters of `edge_preserving_smooth`."""

    iterations: int = Field(default=10, ge=0, le=10_000, description="number of time steps")
    conductance: float = Field(
        default=1.2, gt=0, description="contrast of an edge that is kept, relative to the mean"
    )
    time_step: float = Field(
        default=0.0625, gt=0, description="step; stable up to 0.0625 in 3-D with unit spacing"
    )
    spacing: Annotated[tuple[float, float, float], Listed] = Field(
        default=(1.0, 1.0, 1.0), description="voxel size, ordered (x, y, z) as in the reference"
    )

    @field_validator("spacing")
    @classmethod
    def _positive(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0:
            raise ValueError("must hold numbers above 0")
        return value

    @property
    def weights(self) -> tuple[float, float, float]:
        """1 / spacing along z, y, x."""
        x, y, z = self.spacing
        return 1 / z, 1 / y, 1 / x


def _weights(params: DiffusionParams) -> tuple[np.float32, ...]:
    return tuple(np.float32(w) for w in params.weights)


def _one_voxel(params: Any) -> Halo:
    return (1, 1, 1)


def _units(extrema: Extrema, params: DiffusionParams) -> float:
    """Fixed-point units per unit of squared gradient: 2**38 at the largest gradient that the range allows.

    Diffusion does not widen the range. A row of 2**24 voxels still fits into 63 bits.
    """
    bound = 0.25 * (extrema.high - extrema.low) ** 2 * sum(w * w for w in params.weights)
    return 2.0**38 / bound if bound > 0 else 0.0


def _inner(core: Box, box: Box) -> tuple[tuple[int, ...], tuple[int, ...]]:
    keep = core.within(box)
    return tuple(s.start for s in keep), tuple(s.stop for s in keep)


def _gradient_chunk(block: Block) -> tuple[Any, int]:
    """Sum of the squared gradients of a block in fixed point, left where the block lives, and its voxels."""
    start, stop = _inner(block.place.core, block.place.box)
    scale = _units(block.values[0], block.params)
    totals = block.ns.xp.empty(2, np.int64)
    kernel = block.ns.kernel("diffusion")
    kernel.squared_gradients(block.arrays[0], _weights(block.params), start, stop, scale, totals)
    return kept_on_device(totals), block.place.core.size


def _gradient_combine(a: tuple[Any, int], b: tuple[Any, int]) -> tuple[Any, int]:
    return kept_on_device(held_array(a[0]) + held_array(b[0])), a[1] + b[1]


def _gradient_finalize(partial: tuple[Any, int], values: tuple[Any, ...], params: DiffusionParams) -> Any:
    """The factor in the exponent of a flux, (1,) float32, where the sums are; see the kernel `inverse_mean`."""
    totals = held_array(partial[0])
    ns = namespace_of(totals)
    inverse = ns.xp.empty(1, np.float32)
    doubled = 2 * params.conductance**2
    ns.kernel("diffusion").inverse_mean(totals, partial[1], _units(values[0], params), doubled, inverse)
    return kept_on_device(inverse)


_MEAN_SQUARED_GRADIENT = Reduce(_gradient_chunk, _gradient_combine, _gradient_finalize, _one_voxel)


def _diffuse(block: Block) -> Array:
    (image,) = block.arrays
    inverse = block.ns.put(held_array(block.values[0]))
    if not block.ns.on_gpu and inverse[0] > 0:
        return image
    start, _ = _inner(block.place.core, block.place.box)
    out = block.ns.xp.empty(block.place.core.shape, np.float32)
    step = np.float32(block.params.time_step)
    block.ns.kernel("diffusion").step(image, _weights(block.params), inverse, step, start, out)
    return out


_STEP = Local(_diffuse, _one_voxel)


def _diffusion_links(params: DiffusionParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (state,) = inputs
    links = [Link("extrema", EXTREMA, (state,))]
    for i in range(params.iterations):
        links.append(Link(f"gradient{i}", _MEAN_SQUARED_GRADIENT, (state, "extrema")))
        links.append(Link(f"state{i}", _STEP, (state, f"gradient{i}")))
        state = f"state{i}"
    return links if params.iterations else [Link("out", Local(_identity), (state,))]


def _identity(block: Block) -> Array:
    return block.arrays[0]


def _diffusion_halo(params: DiffusionParams) -> Halo:
    return (1, 1, 1)


def _above_background(block: Block) -> Array:
    image = block.arrays[0]
    return image - gaussian_filter(block.ns, image, block.params.sigma, mode="nearest", truncate=3.0)


def _background_halo(params: BackgroundParams) -> Halo:
    return (gaussian_reach(params.sigma, 3.0),) * 3


def _unit_range(block: Block) -> Array:
    image, extrema = block.arrays[0], block.values[0]
    if extrema.high == extrema.low:
        return block.ns.xp.zeros_like(image)
    return (image - np.float32(extrema.low)) / np.float32(extrema.high - extrema.low)


def _background_links(params: BackgroundParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    return [
        Link("above", Local(_above_background, _background_halo), inputs),
        Link("extrema", EXTREMA, ("above",)),
        Link("out", Local(_unit_range), ("above", "extrema")),
    ]


GAUSSIAN_SMOOTH = OpSpec(
    name="gaussian_smooth",
    summary="Gaussian smoothing along every axis",
    description="The border voxel is repeated outside the image. Accumulated in float64, each axis stored as float32.",
    inputs=(Input("image", ("image",), (2, 3), "image"),),
    output=Output("image", summary="float32, same shape"),
    rule=Local(_gaussian, _gaussian_halo),
    params=GaussianParams,
    scratch=4.0,
    category="smoothing",
    reference="image_smoothing_gaussian_3d",
)

GAUSSIAN_SMOOTH_SLICES = OpSpec(
    name="gaussian_smooth_slices",
    summary="Gaussian smoothing of each plane",
    inputs=(Input("image", ("image",), (3,), "image"),),
    output=Output("image", summary="float32, same shape"),
    rule=Local(_gaussian_slices, _gaussian_slices_halo),
    params=GaussianSlicesParams,
    scratch=4.0,
    category="smoothing",
    reference="image_smoothing_gaussian_slice_by_slice",
)

EDGE_PRESERVING_SMOOTH = OpSpec(
    name="edge_preserving_smooth",
    summary="Gradient anisotropic diffusion: smooth inside structures, keep their edges",
    description="The conductance is relative to the mean squared gradient of the whole volume, taken anew in every "
    "iteration and summed in fixed point, so that it does not depend on the tiles.",
    inputs=(Input("image", ("image",), (3,), "image"),),
    output=Output("image", summary="float32, same shape"),
    rule=Chain(_diffusion_links),
    params=DiffusionParams,
    halo=_diffusion_halo,
    scratch=4.0,
    category="smoothing",
    reference="edge_preserving_smoothing_3d",
    paper="Perona and Malik, IEEE TPAMI 12(7), 1990; vector form of Whitaker and Xue, ICIP 2001",
)

BACKGROUND_SUBTRACT = OpSpec(
    name="background_subtract",
    summary="Subtract a wide Gaussian along all axes, then stretch to the unit range",
    description="An image that equals its background everywhere becomes 0.",
    inputs=(Input("image", ("image",), (2, 3), "image"),),
    output=Output("image", summary="float32 in [0, 1], same shape"),
    rule=Chain(_background_links),
    params=BackgroundParams,
    halo=_background_halo,
    scratch=8.0,
    category="intensity",
    reference="background_sub",
)

SPECS = (GAUSSIAN_SMOOTH, GAUSSIAN_SMOOTH_SLICES, EDGE_PRESERVING_SMOOTH, BACKGROUND_SUBTRACT)
