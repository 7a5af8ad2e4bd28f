"""Automatic thresholds and suggestions as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastseg.operators.spec import Input, OpSpec, Output
from fastseg.operators.thresholds import otsu, triangle
from fastseg.tiling import Chain, Link, Reduce
from fastseg.tiling.block import Block
from fastseg.tiling.quantiles import MEDIAN, UPPER_HALVES, quantile
from fastseg.tiling.statistics import EXTREMA, HISTOGRAM, MOMENTS, Extrema, Histogram, Moments

_STEP = 0.5
_CANDIDATES = 1999
_UPPER_QUANTILE = 0.9999


def _otsu_finalize(partial: Any, values: tuple[Any, ...], params: Any) -> float:
    extrema: Extrema = values[0]
    histogram: Histogram = HISTOGRAM.finalize(partial, values, params)
    return otsu(histogram, extrema.low if extrema.low == extrema.high else None)


def _triangle_finalize(partial: Any, values: tuple[Any, ...], params: Any) -> float:
    return triangle(HISTOGRAM.finalize(partial, values, params))


def _otsu_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    out = Reduce(HISTOGRAM.chunk, HISTOGRAM.combine, _otsu_finalize)
    return [Link("extrema", EXTREMA, inputs), Link("out", out, (*inputs, "extrema"))]


def _triangle_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    out = Reduce(HISTOGRAM.chunk, HISTOGRAM.combine, _triangle_finalize)
    return [Link("extrema", EXTREMA, inputs), Link("out", out, (*inputs, "extrema"))]


def _median_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    return [Link("upper", UPPER_HALVES, inputs), Link("out", MEDIAN, (*inputs, "upper"))]


def suggested(extrema: Extrema, spread: Moments, bright: float) -> tuple[float, float]:
    """Numbers of standard deviations below and above the mean for `intensity_normalize`.

    Parameters
    ----------
    extrema, spread
        Of the image.
    bright : float
        Its 99.99th percentile.
    """
    candidates = [_STEP * k for k in range(1, _CANDIDATES + 1)]
    upper = lower = 0.0
    for t in candidates:
        reach = spread.mean + spread.std * t
        if reach > bright:
            upper = t - _STEP if reach > extrema.high else t
            break
    for t in candidates:
        if spread.mean - spread.std * t < extrema.low:
            lower = t - _STEP
            break
    return lower, upper


def _nothing(block: Block) -> None:
    return None


def _first(a: None, b: None) -> None:
    return None


def _suggestion(partial: None, values: tuple[Any, ...], params: Any) -> tuple[float, float]:
    return suggested(*values)


def _suggest_links(params: Any, inputs: tuple[str, ...]) -> Sequence[Link]:
    return [
        Link("extrema", EXTREMA, inputs),
        Link("moments", MOMENTS, (*inputs, "extrema")),
        Link("upper", UPPER_HALVES, inputs),
        Link("bright", quantile(_UPPER_QUANTILE), (*inputs, "upper")),
        Link("out", Reduce(_nothing, _first, _suggestion), (*inputs, "extrema", "moments", "bright")),
    ]


_IMAGE = (Input("image", ("image",), (2, 3), "image"),)

OTSU_THRESHOLD = OpSpec(
    name="otsu_threshold",
    summary="Otsu's threshold of the image, from 256 bins",
    inputs=_IMAGE,
    output=Output("scalar", summary="float"),
    rule=Chain(_otsu_links),
    category="thresholds",
    reference="threshold_otsu",
    paper="Otsu, IEEE Trans. Systems, Man, and Cybernetics 9(1), 1979",
)
TRIANGLE_THRESHOLD = OpSpec(
    name="triangle_threshold",
    summary="Triangle threshold of the image, from 256 bins",
    inputs=_IMAGE,
    output=Output("scalar", summary="float"),
    rule=Chain(_triangle_links),
    category="thresholds",
    reference="threshold_triangle",
    paper="Zack, Rogers and Latt, J. Histochem. Cytochem. 25(7), 1977",
)
MEDIAN_THRESHOLD = OpSpec(
    name="median_threshold",
    summary="Median of the image, exact",
    inputs=_IMAGE,
    output=Output("scalar", summary="float"),
    rule=Chain(_median_links),
    category="thresholds",
)
SUGGEST_SCALING = OpSpec(
    name="suggest_scaling",
    summary="Suggested two-value scaling for intensity_normalize: [lower, upper] in standard deviations",
    description="Upper: the first multiple of 0.5 whose limit exceeds the 99.99th percentile, one less if it exceeds "
    "the maximum. Lower: the last multiple whose limit is not below the minimum.",
    inputs=_IMAGE,
    output=Output("scalar", summary="(lower, upper), floats"),
    rule=Chain(_suggest_links),
    category="intensity",
    reference="suggest_normalization_param",
)

SPECS = (OTSU_THRESHOLD, TRIANGLE_THRESHOLD, MEDIAN_THRESHOLD, SUGGEST_SCALING)
