"""Automatic thresholds: Otsu, triangle and median; masked object thresholding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from fastseg.arrays.labels import Runs
from fastseg.arrays.morphology import binary_dilation
from fastseg.errors import InputError
from fastseg.operators.boundary import ball
from fastseg.operators.object_histograms import (
    EXTREMES,
    HISTOGRAMS,
    LARGE_HISTOGRAMS,
    extremes_of,
    otsu_of_objects,
    without_small,
)
from fastseg.operators.objects import COUNT, SizeParams, keep_large, row_mask
from fastseg.operators.spec import Input, OpSpec, Output, Params
from fastseg.tiling import Block, Chain, Labels, Link, Local, Table
from fastseg.tiling.quantiles import MEDIAN, UPPER_HALVES
from fastseg.tiling.rules import Halo
from fastseg.tiling.statistics import EXTREMA, HISTOGRAM, Histogram
from fastseg.types import Array


def otsu_of_counts(counts: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Otsu's threshold of each row: the centre that ends the lower class of the best split.

    Parameters
    ----------
    counts : (..., bins)
    centres : (..., bins) float32

    Notes
    -----
    Otsu, IEEE Trans. Systems, Man, and Cybernetics 9(1), 1979. The first maximum of w1 w2 (m1 - m2)^2 counts.
    """
    counts = counts.astype(np.float64)
    weighted = counts * centres
    below, above = np.cumsum(counts, -1), np.cumsum(counts[..., ::-1], -1)[..., ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_below = np.cumsum(weighted, -1) / below
        mean_above = np.cumsum(weighted[..., ::-1], -1)[..., ::-1] / above
    split = below[..., :-1] * above[..., 1:] * (mean_below[..., :-1] - mean_above[..., 1:]) ** 2
    best = np.argmax(np.nan_to_num(split, nan=0.0), axis=-1)  # nan: a class without voxels
    return np.take_along_axis(np.broadcast_to(centres, counts.shape), best[..., None], -1)[..., 0]


def otsu(histogram: Histogram, single: float | None) -> float:
    """Otsu's threshold; of an image of a `single` value, that value."""
    return float(otsu_of_counts(histogram.counts, histogram.centres)) if single is None else single


def triangle(histogram: Histogram) -> float:
    """Zack's triangle threshold (Zack, Rogers and Latt, J. Histochem. Cytochem. 25(7), 1977), in exact integers."""
    counts = [int(c) for c in histogram.counts]
    peak = counts.index(max(counts))
    filled = [k for k, c in enumerate(counts) if c]
    low, high = filled[0], filled[-1]
    flip = peak - low < high - peak
    if flip:
        counts.reverse()
        last = len(counts) - 1
        peak, low = last - peak, last - high
    width, height = peak - low, counts[peak]
    if width == 0:
        raise InputError("triangle threshold: the image is constant, there is nothing to separate")
    distances = [height * k - width * counts[low + k] for k in range(width)]
    at = low + distances.index(max(distances))
    return float(histogram.centres[len(counts) - 1 - at if flip else at])


class CoarseParams(Params):
    """Parameters of `coarse_threshold`."""

    method: Literal["triangle", "tri", "median", "med", "ave_tri_med", "ave"] = Field(
        description="global threshold: triangle, median, or the mean of both"
    )
    min_size: int = Field(ge=0, description="smallest object that is kept, in voxels")
    dilate: bool = Field(default=False, description="dilate the result by a ball of radius 2 voxels")


class ObjectOtsuParams(Params):
    """Parameters of `object_otsu_threshold`."""

    factor: float = Field(default=0.98, gt=0, description="factor of each object's Otsu threshold")
    global_check: bool = Field(
        default=False, description="drop objects whose threshold is at most a third of the whole image's"
    )


class MaskedObjectParams(CoarseParams):
    """Parameters of `masked_object_threshold`."""

    factor: float = Field(default=0.98, gt=0, description="factor of each object's Otsu threshold")
    global_check: bool = Field(
        default=False, description="drop objects whose threshold is at most a third of the whole image's"
    )


class CellWiseParams(Params):
    """Parameters of `cell_wise_threshold`."""

    min_size: int = Field(ge=0, description="smallest cell area that is kept, in voxels")


def _above_global(block: Block) -> Array:
    method = block.params.method
    if method in ("median", "med"):
        threshold = block.values[0]
    elif method in ("triangle", "tri"):
        threshold = triangle(block.values[0])
    else:
        histogram, median = block.values[:2]
        threshold = (np.float32(triangle(histogram)) + np.float32(median)) / np.float32(2)
    return block.arrays[0] > np.float32(threshold)


_GROWTH = 2


def _grown(block: Block) -> Array:
    return binary_dilation(block.ns, block.arrays[0], ball(_GROWTH, block.arrays[0].ndim))


def _growth_halo(params: Any) -> Halo:
    return (_GROWTH,) * 3


def _given(block: Block) -> Array:
    return block.arrays[0]


def _size_tables(params: Any) -> Mapping[str, Table]:
    return {"size": COUNT}


def _whole_links(image: str) -> list[Link]:
    return [Link("extrema", EXTREMA, (image,)), Link("histogram", HISTOGRAM, (image, "extrema"))]


def _global_links(params: CoarseParams, image: str) -> tuple[list[Link], tuple[str, ...]]:
    """Statistics of the whole image, and the names of those that `_above_global` takes."""
    links: list[Link] = []
    values: tuple[str, ...] = ()
    if params.method not in ("median", "med"):
        links += _whole_links(image)
        values += ("histogram",)
    if params.method not in ("triangle", "tri"):
        links += [
            Link("upper", UPPER_HALVES, (image,)),
            Link("median", MEDIAN, (image, "upper")),
        ]
        values += ("median",)
    return links, values


def _coarse_links(params: CoarseParams, inputs: tuple[str, ...]) -> list[Link]:
    image = inputs[0]
    links, values = _global_links(params, image)
    keep = Labels(mask=_given, apply=row_mask, decide=keep_large, tables=_size_tables)
    links += [
        Link("above", Local(_above_global), (image, *values)),
        Link("coarse", keep, ("above",), SizeParams(min_size=params.min_size)),
    ]
    if params.dilate:
        links.append(Link("grown", Local(_grown, _growth_halo), ("coarse",)))
    return links


def _mask_input(block: Block) -> Array:
    return block.arrays[1]


def _object_tables(params: Any) -> Mapping[str, Table]:
    return {"extremes": EXTREMES, "histograms": HISTOGRAMS}


def _object_cutoffs(
    tables: Mapping[str, Any], count: int, values: tuple[Any, ...], params: Any
) -> np.ndarray:
    """The value that a voxel of each object must exceed; infinite for dropped objects and outside."""
    found = otsu_of_objects(*extremes_of(tables), tables["histograms"])
    cutoffs = found * np.float32(params.factor)
    if params.global_check:
        histogram, extrema = values[-2:]
        whole = otsu(histogram, extrema.low if extrema.low == extrema.high else None)
        cutoffs[~(found.astype(np.float64) > 0.333 * whole)] = np.inf
    return cutoffs


def _above_cutoff(block: Block, rows: Array) -> Array:
    return block.arrays[0] > rows


def _above_cutoff_of_runs(block: Block, runs: Runs, cutoffs: np.ndarray) -> Array:
    if block.ns.on_gpu:
        return _above_cutoff(block, runs.paint(cutoffs))
    image = block.arrays[0]
    found = np.empty(image.shape, bool)
    lines = image.reshape(-1, image.shape[-1]), found.reshape(-1, image.shape[-1])
    block.ns.kernel("object_runs").above_cutoffs(lines[0], runs.rows, runs.edges, runs.ids, cutoffs, lines[1])
    return found


_OBJECT_OTSU = Labels(
    mask=_mask_input,
    apply=_above_cutoff,
    apply_runs=_above_cutoff_of_runs,
    decide=_object_cutoffs,
    tables=_object_tables,
)


def _masked_tables(params: Any) -> Mapping[str, Table]:
    return {"size": COUNT, **_object_tables(params), "histograms": LARGE_HISTOGRAMS}


def _masked_cutoffs(
    tables: Mapping[str, Any], count: int, values: tuple[Any, ...], params: Any
) -> np.ndarray:
    """As `_object_cutoffs`; objects that are too small are of one value there, infinity, and so is their cutoff."""
    return _object_cutoffs(without_small(tables, params), count, values, params)


_MASKED = replace(_OBJECT_OTSU, mask=_above_global, decide=_masked_cutoffs, tables=_masked_tables)
"""Both halves at once where nothing comes between them: the objects of both are the same, but for those removed."""


def _object_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    image, mask = inputs
    if not params.global_check:
        return [Link("out", _OBJECT_OTSU, (image, mask))]
    return [*_whole_links(image), Link("out", _OBJECT_OTSU, (image, mask, "histogram", "extrema"))]


def _masked_links(params: MaskedObjectParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    if not params.dilate:
        links, values = _global_links(params, inputs[0])
        if params.global_check:
            links += [link for link in _whole_links(inputs[0]) if link not in links]
            values += ("histogram", "extrema")
        return [*links, Link("out", _MASKED, (inputs[0], *values))]
    coarse = _coarse_links(params, inputs)
    fine = _object_links(params, (inputs[0], coarse[-1].name))
    known = {link.name for link in coarse}
    return [*coarse, *(link for link in fine if link.name not in known)]


def _cell_links(params: CellWiseParams, inputs: tuple[str, ...]) -> Sequence[Link]:
    combined = MaskedObjectParams(method="triangle", min_size=params.min_size, dilate=True)
    return [
        link if link.params is not None else replace(link, params=combined)
        for link in _masked_links(combined, inputs)
    ]


COARSE_THRESHOLD = OpSpec(
    name="coarse_threshold",
    summary="Global threshold (triangle, median or their mean), small objects removed",
    description="First half of masked object thresholding.",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Chain(_coarse_links, kind="Labels"),
    params=CoarseParams,
    halo=_growth_halo,
    scratch=6.0,
    category="thresholds",
    reference="MO_low_level",
)

OBJECT_OTSU_THRESHOLD = OpSpec(
    name="object_otsu_threshold",
    summary="Otsu threshold inside every object of a mask",
    description="Second half of masked object thresholding: each 6-connected object has a histogram of its own, of 256 "
    "bins between its own extremes.",
    inputs=(
        Input("image", ("image",), (3,), "smoothed image"),
        Input("mask", ("mask",), (3,), "objects"),
    ),
    output=Output("mask", summary="bool, same shape"),
    rule=Chain(_object_links, kind="Labels"),
    params=ObjectOtsuParams,
    scratch=8.0,
    category="thresholds",
    reference="MO_high_level",
)

MASKED_OBJECT_THRESHOLD = OpSpec(
    name="masked_object_threshold",
    summary="Masked object thresholding: a global threshold finds objects, Otsu refines each of them",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Chain(_masked_links, kind="Labels"),
    params=MaskedObjectParams,
    halo=_growth_halo,
    scratch=8.0,
    category="thresholds",
    reference="MO",
)

CELL_WISE_THRESHOLD = OpSpec(
    name="cell_wise_threshold",
    summary="Masked object thresholding with a triangle threshold and dilated cells",
    inputs=(Input("image", ("image",), (3,), "smoothed image"),),
    output=Output("mask", summary="bool, same shape"),
    rule=Chain(_cell_links, kind="Labels"),
    params=CellWiseParams,
    halo=_growth_halo,
    scratch=8.0,
    category="thresholds",
    reference="cell_local_adaptive_threshold",
)

SPECS = (COARSE_THRESHOLD, OBJECT_OTSU_THRESHOLD, MASKED_OBJECT_THRESHOLD, CELL_WISE_THRESHOLD)
