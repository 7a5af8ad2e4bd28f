"""Resampling in the plane with a quadratic spline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from fastseg.operators.intensity import MINMAX
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Link, Local
from fastseg.tiling.statistics import EXTREMA
from fastseg.types import Array


class RescaleParams(Params):
    """Parameters of `rescale_xy`."""

    ratio: float = Field(gt=0, le=100, description="new length over old length along y and x")
    compat: bool = Field(
        default=False,
        description="fill the last row or column with 0 where its sample position exceeds the image by a rounding "
        "error, as the reference does",
    )


def rescaled_shape(shape: tuple[int, ...], params: RescaleParams) -> tuple[int, ...]:
    """Shape after rescaling: y and x times the ratio, rounded half to even, at least 1."""
    return (*shape[:-2], *(max(1, round(n * params.ratio)) for n in shape[-2:]))


def _positions(n: int, m: int) -> np.ndarray:
    """Sample positions in the old grid: first and last samples coincide."""
    return np.arange(m) * ((n - 1) / (m - 1)) if m > 1 else np.zeros(1)


def _overshoots(n: int, m: int) -> bool:
    """Whether the position of the last sample exceeds the last voxel by a rounding error."""
    return m > 1 and ((n - 1) / (m - 1)) * (m - 1) > n - 1


def _resample(block: Block) -> Array:
    xp, ndi = block.ns.xp, block.ns.ndi
    (image,) = block.arrays
    planes, ny, nx = image.shape
    _, my, mx = rescaled_shape(image.shape, block.params)
    rows = xp.asarray(np.minimum(_positions(ny, my), ny - 1))
    columns = xp.asarray(np.minimum(_positions(nx, mx), nx - 1))
    grid = xp.stack(xp.meshgrid(rows, columns, indexing="ij"))
    out = xp.empty((planes, my, mx), np.float32)
    for z in range(planes):
        plane = image[z].astype(np.float64)
        out[z] = ndi.map_coordinates(plane, grid, order=2, mode="mirror", prefilter=True)
    if block.params.compat:
        if _overshoots(ny, my):
            out[:, -1, :] = 0
        if _overshoots(nx, mx):
            out[:, :, -1] = 0
    return out


def _links(params: RescaleParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    resample = Local(_resample, planes=True, output_shape=rescaled_shape)
    return [
        Link("resampled", resample, (image,)),
        Link("extrema", EXTREMA, ("resampled",)),
        Link("out", MINMAX, ("resampled", "extrema")),
    ]


RESCALE_XY = OpSpec(
    name="rescale_xy",
    summary="Resample y and x by a ratio with a quadratic B-spline, then stretch to the unit range",
    description="z is left alone; first and last samples coincide with those of the input.",
    inputs=(Input("image", ("image",), (3,), "image"),),
    output=Output("image", summary="float32 of shape (Z, round(Y ratio), round(X ratio))"),
    rule=Chain(_links, kind="Planes"),
    params=RescaleParams,
    scratch=8.0,
    category="intensity",
    reference="zoom of the structure workflows (order 2)",
    paper="Unser, IEEE Signal Processing Magazine 16(6), 1999",
)

SPECS = (RESCALE_XY,)
