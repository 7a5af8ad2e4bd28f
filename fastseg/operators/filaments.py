"""Filament filters: Jerman's vesselness of the Hessian, in 3-D, in 2-D, and plane by plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator

from fastseg.arrays import Namespace, to_host
from fastseg.arrays.deferred import held_array
from fastseg.arrays.filters import gaussian_filter
from fastseg.errors import InputError
from fastseg.operators.smoothing import gaussian_reach
from fastseg.operators.spec import Input, Listed, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Link, Local, Reduce
from fastseg.tiling.rules import Halo
from fastseg.tiling.statistics import PROJECTION, minimum_of, pair, per_plane
from fastseg.types import Array

_TRUNCATE = 3.0
_STENCIL = 2
"""The first difference applied twice reaches two voxels."""
_BATCH = 1 << 21
"""Pixels that are smoothed beside the projection at a time: copies of them stay in cache."""
_BATCH_ON_GPU = 1 << 24
"""The same where each launch takes some time; what is copied takes twice 64 MB."""


class VesselnessParams(Params):
    """Parameters of `jerman_vesselness`."""

    sigmas: Annotated[tuple[float, ...], Listed] = Field(
        min_length=1, description="scales in voxels; the largest response over the scales counts"
    )
    tau: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="how far weak last eigenvalues are lowered, as a part of the lowest one",
    )

    @field_validator("sigmas")
    @classmethod
    def _not_negative(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(s < 0 for s in value):
            raise ValueError("must hold no negative number")
        return value


class SlicesParams(Params):
    """Parameters of `jerman_vesselness_slices` and `jerman_vesselness_2d`."""

    sigmas: Annotated[tuple[float, ...], Listed] = Field(
        min_length=1, description="scales in voxels; the largest response over the scales counts"
    )

    @field_validator("sigmas")
    @classmethod
    def _not_negative(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return VesselnessParams._not_negative(value)


class Scale(Params):
    """One scale of a filter."""

    sigma: float
    tau: float = 1.0
    cutoff: float = -1.0
    keep_last: bool = False


def _reach(params: Any) -> int:
    return gaussian_reach(params.sigma, _TRUNCATE) + _STENCIL


def _reach_3d(params: Any) -> Halo:
    return (_reach(params),) * 3


def _widest(params: Any) -> Halo:
    reach = max(gaussian_reach(s, _TRUNCATE) for s in params.sigmas) + _STENCIL
    return reach, reach, reach


def _need_two(name: str, shape: tuple[int, ...]) -> None:
    if min(shape) < 2:
        raise InputError(f"{name}: every filtered axis needs at least 2 voxels, the image has {shape}")


def _weight(sigma: float) -> float:
    return sigma**2 if sigma > 0 else 1.0


def _lowest(partial: float, values: tuple[Any, ...], params: Any) -> float:
    return float(partial)


def _unused_chunk(block: Block) -> Any:
    raise RuntimeError("this statistic is emitted by a local pass")


_LOWEST = Reduce(_unused_chunk, min, _lowest)
_LOWEST_OF_PLANES = Reduce(_unused_chunk, minimum_of, pair)


def _eigenvalues(block: Block) -> tuple[Array, float]:
    """Deciding (or last) eigenvalue of the core's voxels, and the lowest last one."""
    xp, place, params = block.ns.xp, block.place, block.params
    _need_two("jerman_vesselness", place.shape)
    smooth = gaussian_filter(block.ns, block.arrays[0], params.sigma, mode="nearest", truncate=_TRUNCATE)
    shape = place.core.shape
    start = tuple(s.start for s in place.keep)
    middle = xp.empty(shape, np.float32)
    last = xp.empty(shape if params.tau < 1 else (0, 0, 0), np.float32)
    lowest = xp.empty(shape[0] * shape[1], np.float32)
    kernel = block.ns.kernel("vesselness")
    kernel.eigenvalues_3d(smooth, _weight(params.sigma), start, middle, last, lowest)
    return last if params.keep_last else middle, float(to_host(lowest.min()))


def response(block: Block) -> Array:
    """Response of one scale; further arrays: last eigenvalue (tau < 1), then the maximum over earlier scales."""
    params = block.params
    arrays = list(block.arrays)
    middle = arrays.pop(0)
    flat = params.tau == 1
    last = middle if flat else arrays.pop(0)
    floor = np.full(middle.shape[0], params.tau * block.values[0], np.float64)
    return _respond(block.ns, middle, last, floor, flat, arrays.pop(0) if arrays else None)


def _respond(
    ns: Namespace, middle: Array, last: Array, floor: np.ndarray, flat: bool, before: Array | None
) -> Array:
    """The response, or what another scale gave where that is larger."""
    out = ns.xp.empty(middle.shape, np.float32)
    lowest = ns.put(floor.astype(np.float32))
    first = before is None
    ns.kernel("vesselness").ridge_response(
        middle, last, lowest, flat, middle if first else before, first, out
    )
    return out


def _links_3d(params: VesselnessParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    links: list[Link] = []
    best: tuple[str, ...] = ()
    for i, sigma in enumerate(params.sigmas):
        scale = Scale(sigma=sigma, tau=params.tau)
        links.append(Link(f"middle{i}", EIGEN_3D, (image,), scale))
        arrays: tuple[str, ...] = (f"middle{i}",)
        if params.tau < 1:
            links.append(Link(f"last{i}", EIGEN_3D, (image,), scale.model_copy(update={"keep_last": True})))
            arrays = (f"middle{i}", f"last{i}")
        links.append(Link(f"best{i}", Local(response), (*arrays, *best, f"middle{i}.emitted"), scale))
        best = (f"best{i}",)
    return links


def _as_stack(image: Array) -> Array:
    return image if image.ndim == 3 else image[None]


def _eigenvalues_2d(block: Block) -> tuple[Array, np.ndarray]:
    """Larger eigenvalue of a 2-D image (core) and its minimum."""
    xp, place = block.ns.xp, block.place
    _need_two("jerman_vesselness_2d", place.shape)
    sigma = block.params.sigma
    smooth = gaussian_filter(block.ns, block.arrays[0], sigma, mode="nearest", truncate=_TRUNCATE)
    rows, columns = place.keep
    larger = xp.empty((1, smooth.shape[0], columns.stop - columns.start), np.float32)
    lowest = xp.empty(larger.shape[:2], np.float32)
    kernel = block.ns.kernel("vesselness")
    kernel.eigenvalues_2d(smooth[None], _weight(sigma), columns.start, larger.shape[2], larger, lowest)
    core = larger[0, rows]
    return core, np.asarray([float(to_host(core.min()))])


def response_2d(block: Block) -> Array:
    middle = _as_stack(block.arrays[0])
    floor = np.asarray(block.values[0], np.float64)
    return _respond(block.ns, middle, middle, floor, True, None)[0]


def _best_2d(block: Block) -> Array:
    out = response_2d(block)
    return block.ns.xp.maximum(out, block.arrays[1]) if len(block.arrays) > 1 else out


EIGEN_3D = Local(_eigenvalues, _reach_3d, emits=_LOWEST)
EIGEN_2D = Local(_eigenvalues_2d, _reach_3d, emits=_LOWEST_OF_PLANES)


def links_of_scales(
    inputs: tuple[str, ...], scales: Sequence[Scale], eigen: Local, join: Local
) -> list[Link]:
    links: list[Link] = []
    best: tuple[str, ...] = ()
    for i, scale in enumerate(scales):
        links.append(Link(f"larger{i}", eigen, inputs, scale))
        links.append(Link(f"best{i}", join, (f"larger{i}", *best, f"larger{i}.emitted"), scale))
        best = (f"best{i}",)
    return links


def _links_2d(params: SlicesParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    scales = [Scale(sigma=s) for s in params.sigmas]
    return links_of_scales(inputs, scales, EIGEN_2D, Local(_best_2d))


def _joined_eigenvalues(block: Block) -> tuple[Array, np.ndarray]:
    """Larger eigenvalue of every plane beside the stack's maximum projection, and its minimum per joined plane.

    The plane and the projection are neighbours along x. Only columns near the junction see both; the projection
    beyond them is the same for every plane and evaluated once.
    """
    xp = block.ns.xp
    kernel = block.ns.kernel("vesselness")
    image, sigma, core = block.arrays[0], block.params.sigma, block.place.core
    projection = block.ns.put(held_array(block.values[0]))
    planes, ny, nx = image.shape
    if nx < 3 or ny < 2:
        raise InputError(
            f"jerman_vesselness_slices: planes need at least 2 rows and 3 columns, the image has {block.place.shape}"
        )
    reach = _reach(block.params)
    width = min(nx, 2 * reach)
    columns = 2 * nx if width == nx else nx + reach
    beyond = np.inf
    if width < nx:
        rows = xp.empty((1, ny), np.float32)
        alone = gaussian_filter(block.ns, projection, sigma, mode="nearest", truncate=_TRUNCATE)
        rest = xp.empty((1, ny, nx - reach), np.float32)
        kernel.eigenvalues_2d(alone[None], _weight(sigma), reach, nx - reach, rest, rows)
        beyond = float(to_host(rows.min()))
    larger = xp.empty(image.shape, np.float32)
    batch = max(1, (_BATCH_ON_GPU if block.ns.on_gpu else _BATCH) // (ny * (nx + width)))
    joined = xp.empty((min(batch, planes), ny, nx + width), np.float32)
    joined[:, :, nx:] = projection[:, :width]
    rows = xp.empty((planes, ny), np.float32)
    for z in range(0, planes, batch):
        some = slice(z, min(z + batch, planes))
        part = joined[: some.stop - z]
        part[:, :, :nx] = image[some]
        smooth = gaussian_filter(block.ns, part, (0, sigma, sigma), mode="nearest", truncate=_TRUNCATE)
        kernel.eigenvalues_2d(smooth, _weight(sigma), 0, columns, larger[some], rows[some])
    lowest = np.minimum(to_host(rows.min(axis=1)).astype(np.float64), beyond)
    return larger, per_plane(lowest, core, block.place.shape, np.inf)


EIGEN_JOINED = Local(_joined_eigenvalues, planes=True, emits=_LOWEST_OF_PLANES)

_BLANK = 3
"""Columns at the right edge that the reference leaves empty."""


def response_slices(block: Block) -> Array:
    core = block.place.core
    middle = block.arrays[0]
    floor = block.values[0][core.start[0] : core.stop[0]]
    before = block.arrays[1] if len(block.arrays) > 1 else None
    out = _respond(block.ns, middle, middle, floor, True, before)
    edge = block.place.shape[2] - _BLANK - core.start[2]
    out[:, :, max(0, edge) :] = 0
    return out


def _links_slices(params: SlicesParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    (image,) = inputs
    links = [Link("projection", PROJECTION, (image,))]
    best: tuple[str, ...] = ()
    for i, sigma in enumerate(params.sigmas):
        scale = Scale(sigma=sigma)
        links.append(Link(f"larger{i}", EIGEN_JOINED, (image, "projection"), scale))
        links.append(
            Link(f"best{i}", Local(response_slices), (f"larger{i}", *best, f"larger{i}.emitted"), scale)
        )
        best = (f"best{i}",)
    return links


PAPER = "Jerman et al., IEEE Transactions on Medical Imaging 35(9), 2016"
_RESPONSE = Output("image", summary="response, float32 in [0, 1], same shape")

JERMAN_VESSELNESS = OpSpec(
    name="jerman_vesselness",
    summary="Filament filter in 3-D: Jerman's vesselness for bright tubes",
    description="Scaled by the most negative eigenvalue of the whole volume: one very bright voxel changes the "
    "response everywhere.",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=_RESPONSE,
    rule=Chain(_links_3d),
    params=VesselnessParams,
    halo=_widest,
    scratch=12.0,
    category="filaments",
    reference="vesselness3D",
    paper=PAPER,
)

JERMAN_VESSELNESS_2D = OpSpec(
    name="jerman_vesselness_2d",
    summary="Filament filter of a 2-D image: Jerman's vesselness for bright lines",
    inputs=(Input("image", ("image",), (2,), "smoothed image"),),
    output=_RESPONSE,
    rule=Chain(_links_2d),
    params=SlicesParams,
    halo=_widest,
    scratch=12.0,
    category="filaments",
    reference="vesselness2D",
    paper=PAPER,
)

JERMAN_VESSELNESS_SLICES = OpSpec(
    name="jerman_vesselness_slices",
    summary="Filament filter plane by plane, each measured against the stack's maximum projection",
    description="Every plane is filtered side by side with the maximum projection, so that empty planes are measured "
    "against the brightest ridges of the stack. Columns near the right edge see the projection as their neighbour, and "
    "the last three columns are always 0, as in the reference.",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=_RESPONSE,
    rule=Chain(_links_slices, kind="Planes"),
    params=SlicesParams,
    scratch=12.0,
    category="filaments",
    reference="vesselnessSliceBySlice",
    paper=PAPER,
)

SPECS = (JERMAN_VESSELNESS, JERMAN_VESSELNESS_2D, JERMAN_VESSELNESS_SLICES)
