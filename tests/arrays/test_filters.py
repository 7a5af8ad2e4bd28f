"""Fused Gaussian filters against SciPy's, axis by axis: equal to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage as ndi

from fastseg.arrays import Device, namespace_for
from fastseg.arrays.filters import gaussian_filter, gaussian_laplacian
from tests.gpu_double import gpu_double
from tests.support import image

NS = namespace_for(Device("cpu"))


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    shape = tuple(draw(st.integers(1, n)) for n in (7, 70, 30)[-draw(st.integers(2, 3)) :])
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    kind = draw(st.sampled_from(["noise", "large", "steps"]))
    image = rng.normal(size=shape) * (1e6 if kind == "large" else 1.0)
    return np.ascontiguousarray(np.rint(image) if kind == "steps" else image, np.float32)


scales = st.one_of(st.sampled_from([0.0, 1e-16, 0.1, 0.5, 1.0, 8.0]), st.floats(0.05, 5))


@given(images(), st.data(), st.sampled_from(["nearest", "reflect"]), st.sampled_from([0.5, 3.0, 4.0]))
def test_smoothing(image: np.ndarray, data: st.DataObject, mode: str, truncate: float) -> None:
    sigma: Any = data.draw(st.one_of(scales, st.tuples(*[scales] * image.ndim)))
    before = image.copy()
    found = gaussian_filter(NS, image, sigma, mode=mode, truncate=truncate)
    np.testing.assert_array_equal(found, ndi.gaussian_filter(image, sigma, mode=mode, truncate=truncate))
    assert (found.dtype, found.shape) == (image.dtype, image.shape)
    np.testing.assert_array_equal(image, before)


@given(images(), scales.filter(lambda s: s > 0), st.booleans())
def test_laplacian(image: np.ndarray, sigma: float, planes: bool) -> None:
    axes = tuple(range(image.ndim))[-2:] if planes else tuple(range(image.ndim))
    scales = [sigma if axis in axes else 0 for axis in range(image.ndim)]
    total = np.zeros_like(image)
    for number, axis in enumerate(axes):
        order = [2 if a == axis else 0 for a in range(image.ndim)]
        part = ndi.gaussian_filter(image, scales, order=order, mode="reflect", truncate=4.0)
        total = total + part if number else part
    found = gaussian_laplacian(NS, image, sigma, axes, -2.5)
    np.testing.assert_array_equal(found, total * np.float32(-2.5))


@pytest.mark.parametrize("dtype", [np.float64, np.uint16])
def test_other_types_are_left_to_the_library(dtype: Any) -> None:
    image = np.random.default_rng(0).integers(0, 999, (5, 9, 8)).astype(dtype)
    found = gaussian_filter(NS, image, 1.5, mode="nearest", truncate=3.0)
    np.testing.assert_array_equal(found, ndi.gaussian_filter(image, 1.5, mode="nearest", truncate=3.0))


def test_views_that_are_not_contiguous() -> None:
    image = np.random.default_rng(0).normal(size=(9, 8, 14)).astype(np.float32)[::2, :, ::2]
    found = gaussian_filter(NS, image, 1.0, mode="reflect", truncate=3.0)
    np.testing.assert_array_equal(found, ndi.gaussian_filter(image, 1.0, mode="reflect", truncate=3.0))


def test_tables_that_are_kept_on_a_gpu_are_copied_and_waited_for_once() -> None:
    values = image("noise", (6, 9, 11), 0)
    with gpu_double() as gpu:
        ns = namespace_for(Device("cuda"))
        with ns.active():
            stack = ns.put(values)
            found = gaussian_filter(ns, stack, 1.5, mode="nearest", truncate=3.0)
            tables = len(gpu.transfers) - 1
            assert gpu.waits == list(range(2, 2 + tables))
            gaussian_filter(ns, stack, 1.5, mode="nearest", truncate=3.0)
        assert len(gpu.transfers) == len(gpu.waits) + 1
    np.testing.assert_array_equal(found.raw, ndi.gaussian_filter(values, 1.5, mode="nearest", truncate=3.0))
