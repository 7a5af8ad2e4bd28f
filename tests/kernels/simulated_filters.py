"""Compares the CUDA launchers of filters and statistics, simulated, with the CPU's.

Run by ``python -m tests.kernels.simulated``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import numpy as np

SHAPES = ((3, 5, 6), (1, 3, 33), (3, 1, 5), (2, 9, 1))
"""No multiples of a block, one plane, one row, one column."""


def _image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32) + np.float32(3)


def _near(found: np.ndarray, expected: np.ndarray, span: float, ulps: float) -> None:
    error = float(np.abs(found.astype(np.float64) - expected).max())
    assert error <= ulps * 2.0**-23 * span, f"{error / 2.0**-23 / span:.2f} ulp of the range"


def _gaussian_tables(shape: tuple[int, ...], radii: Any, mode: str) -> list[np.ndarray]:
    from fastseg.arrays.filters import _sources

    return [_sources(n, r, mode).astype(np.int32) for n, r in zip(shape, radii, strict=True)]


def small_gaussian(cuda: Any, shared: int) -> Any:
    """Blocks of 4 x 2 threads, tiles of 4 or 2 rows, and 2 planes or more to a block."""
    sizes = {"ACROSS": np.uint64(4), "DOWN": np.uint64(2), "_ROWS": (4, 2), "_PLANES": 2, "_BLOCKS": 4}
    return patch.multiple(cuda, _SHARED=shared, **sizes)


def gaussian() -> None:
    """In one pass and axis by axis, beside SciPy in float64."""
    from scipy import ndimage as ndi

    from fastseg.arrays.filters import _half_kernel, float32_weights
    from fastseg.kernels.cuda import gaussian as cuda

    three, two, none = (
        ((1.0, 1.0, 1.0), "nearest"),
        ((0.0, 0.5, 1.2), "reflect"),
        ((0.0, 0.0, 0.0), "nearest"),
    )
    for shared, cases in ((48 << 10, (three, two, none)), (0, (three, two))):
        for shape in SHAPES:
            for sigmas, mode in cases:
                image = _image(shape)
                weights = [float32_weights(_half_kernel(float(s), 0, 3.0)) for s in sigmas]
                out = np.full_like(image, np.nan)
                with small_gaussian(cuda, shared):
                    assert (cuda.rows_of_tile(1, 1, 1) is None) == (shared == 0)
                    tables = _gaussian_tables(shape, [w.size - 1 for w in weights], mode)
                    cuda.smooth(image, *weights, *tables, out)
                expected = ndi.gaussian_filter(image.astype(np.float64), sigmas, mode=mode, truncate=3.0)
                _near(out, expected, 1.0, 4)  # half an ulp at 3 to 4 alone is one of a range of 1


def laplacian() -> None:
    """In one pass and axis by axis, beside SciPy in float64."""
    from scipy import ndimage as ndi

    from fastseg.arrays.filters import _half_kernel, float32_weights
    from fastseg.kernels.cuda import gaussian as cuda

    for shared in (48 << 10, 0):
        for shape in SHAPES:
            for volume in (True, False):
                image = _image(shape)
                smoothing, curvature = (float32_weights(_half_kernel(0.6, order, 4.0)) for order in (0, 2))
                out = np.full_like(image, np.nan)
                with small_gaussian(cuda, shared):
                    tables = _gaussian_tables(shape, [smoothing.size - 1] * 3, "reflect")
                    cuda.laplacian(image, smoothing, curvature, volume, np.float32(-2), *tables, out)
                axes = (0, 1, 2) if volume else (1, 2)
                scales = [0.6 if a in axes else 0 for a in range(3)]
                exact = sum(
                    ndi.gaussian_filter(image.astype(np.float64), scales, [2 * (a == b) for a in range(3)])
                    for b in axes
                )
                _near(out, -2 * exact, 20.0, 4)


def _boxes() -> Iterator[tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]]:
    """Images of several characters, and a box of each that leaves out one of its sides."""
    rng = np.random.default_rng(1)
    for shape in ((3, 4, 9), (1, 3, 6), (4, 1, 1)):
        noise = rng.normal(size=shape)
        for values in (
            noise,
            5 * rng.integers(-2, 3, shape),
            noise * 1e-30,
            noise * 5e37,
            0 * noise,
            -noise * 1e20,
        ):
            image = np.ascontiguousarray(values, np.float32)
            yield image, (0, 0, 0), shape
            yield image, tuple(int(n > 1) for n in shape), shape


def small_boxes(module: Any) -> Any:
    """Blocks of 4 threads along x and 2 along y, two of them."""
    from fastseg.kernels.cuda import boxes

    sizes = {"ACROSS": np.uint64(4), "THREADS": 8}
    held = {name: size for name, size in sizes.items() if hasattr(module, name)}
    stack = ExitStack()
    stack.enter_context(patch.multiple(boxes, **sizes, DOWN=np.uint64(2), _BLOCKS=2))
    stack.enter_context(patch.multiple(module, **held))
    return stack


def small_diffusion(cuda: Any) -> Any:
    """Tiles of 3 x 2 voxels, and 2 planes or more to a block."""
    sizes = {"ACROSS": 4, "DOWN": 3, "_AREA": 12, "_TWO_AREAS": 24, "_PLANES": 2, "ALONG_ROW": np.uint64(4)}
    return patch.multiple(cuda, **sizes)


def extremes() -> None:
    from fastseg.kernels.cpu import statistics as cpu
    from fastseg.kernels.cuda import statistics as cuda

    with small_boxes(cuda):
        for image, start, stop in _boxes():
            for replaced in ((), (100, -7)):
                found = [np.zeros(2, np.int32) for _ in range(2)]
                for kernel, target in zip((cpu, cuda), found, strict=True):
                    kernel.extremes(image.view(np.int32), start, stop, target, *replaced)
                np.testing.assert_array_equal(*found)


def fixed_point() -> None:
    from fastseg.kernels.cpu import statistics as cpu
    from fastseg.kernels.cuda import statistics as cuda

    with small_boxes(cuda):
        for image, start, stop in _boxes():
            low, high = float(image.min()), float(image.max())
            scale = 2.0**31 / (high - low) if high > low else 0.0
            quarter = np.float32(0.75 * low + 0.25 * high)
            for limits in ((np.float32(-np.inf), np.float32(np.inf)), (quarter, np.float32(high))):
                sums = [np.full(5, 7, np.int64) for _ in range(2)]
                for kernel, target in zip((cpu, cuda), sums, strict=True):
                    kernel.fixed_point(image, start, stop, limits, low, scale, target)
                np.testing.assert_array_equal(*sums)


def stretch() -> None:
    from fastseg.kernels.cpu import statistics as cpu
    from fastseg.kernels.cuda import statistics as cuda

    image = np.random.default_rng(0).normal(size=(7, 43)).astype(np.float32)
    three = tuple(map(np.float32, (-0.3, 1e-8, 1.7)))
    for bound in map(np.float32, (np.inf, 0.8)):
        found = [np.zeros_like(image) for _ in range(2)]
        for kernel, target in zip((cpu, cuda), found, strict=True):
            kernel.stretch(image, (np.float32(-1), np.float32(1)), bound, *three, target)
        np.testing.assert_array_equal(*found)


def histogram() -> None:
    from fastseg.kernels.cpu import counting as cpu
    from fastseg.kernels.cuda import counting as cuda
    from fastseg.tiling.statistics import _bin_scale, bin_edges

    with small_boxes(cuda):
        for image, start, stop in _boxes():
            edges = bin_edges(float(image.min()), float(image.max()))
            counts = [np.full(256, 7, np.int64) for _ in range(2)]
            for kernel, target in zip((cpu, cuda), counts, strict=True):
                kernel.histogram(image, start, stop, edges, *_bin_scale(edges), target)
            np.testing.assert_array_equal(*counts)


def halves() -> None:
    from fastseg.kernels.cpu import counting as cpu
    from fastseg.kernels.cuda import counting as cuda

    five = (
        int(np.float32(5).view(np.int32)) >> 16
    )  # among the values of an image, the first beyond the window
    window = {"_LOWEST": np.int32(0x8000 + five - 256), "_WINDOW": 256, "_ENTRIES": 257}
    with small_boxes(cuda), patch.multiple(cuda, **window):
        for image, start, stop in _boxes():
            bits = np.where(image == 0, np.float32(-0.0), image).view(np.int32)
            upper = [np.full(1 << 16, 7, np.int64) for _ in range(2)]
            for kernel, target in zip((cpu, cuda), upper, strict=True):
                kernel.upper_halves(bits, start, stop, target)
            np.testing.assert_array_equal(*upper)
            found = np.flatnonzero(upper[0])
            for uppers in ((found[0], found[-1]), (found[len(found) // 2],) * 2):
                lower = [np.full((2, 1 << 16), 7, np.int64) for _ in range(2)]
                for kernel, target in zip((cpu, cuda), lower, strict=True):
                    kernel.lower_halves(bits, start, stop, uppers, target)
                np.testing.assert_array_equal(*lower)


def eigenvalues() -> None:
    from fastseg.kernels.cpu import vesselness as cpu
    from fastseg.kernels.cuda import vesselness as cuda

    for image in map(_image, ((3, 5, 6), (2, 2, 2), (4, 3, 9))):
        for start in ((0, 0, 0), (1, 1, 0)):
            shape = tuple(n - a for n, a in zip(image.shape, start, strict=True))
            for last_shape in (shape, (0, 0, 0)):
                found = []
                for kernel in (cpu, cuda):
                    middle, last = np.zeros(shape, np.float32), np.zeros(last_shape, np.float32)
                    lowest = np.zeros(shape[0] * shape[1], np.float32)
                    kernel.eigenvalues_3d(image, 2.25, start, middle, last, lowest)
                    found.append((middle, last, lowest))
                for a, b in zip(*found, strict=True):
                    np.testing.assert_allclose(a, b, atol=4e-6)  # matrices of up to 9, a few ulp each


def planes() -> None:
    from fastseg.kernels.cpu import vesselness as cpu
    from fastseg.kernels.cuda import vesselness as cuda

    for image in map(_image, ((3, 5, 6), (2, 2, 2), (4, 3, 9))):
        for first, left_out in ((0, 0), (1, 0), (0, 1)):
            found = []
            columns = image.shape[2] - first
            for kernel in (cpu, cuda):
                larger = np.zeros((*image.shape[:2], columns - left_out), np.float32)
                lowest = np.zeros(image.shape[:2], np.float32)
                kernel.eigenvalues_2d(image, 1.0, first, columns, larger, lowest)
                found.append((larger, lowest))
            for a, b in zip(*found, strict=True):
                np.testing.assert_allclose(a, b, atol=4e-6)  # matrices of up to 9, a few ulp each


def diffusion() -> None:
    from fastseg.kernels.cpu import diffusion as cpu
    from fastseg.kernels.cuda import diffusion as cuda

    weights = (np.float32(1.0), np.float32(0.5), np.float32(2.0))
    with small_boxes(cuda), small_diffusion(cuda):
        for shape in ((5, 5, 6), (1, 4, 7), (2, 1, 3), (3, 2, 1)):
            image = _image(shape)
            for start, stop in (
                ((0, 0, 0), shape),
                (tuple(int(n > 2) for n in shape), tuple(n - (n > 2) for n in shape)),
            ):
                totals = [np.full(2, 7, np.int64) for _ in range(2)]
                for kernel, target in zip((cpu, cuda), totals, strict=True):
                    kernel.squared_gradients(image, weights, start, stop, 2.0**20, target)
                sums = [(int(a) << 24) + int(b) for a, b in totals]
                size = int(np.prod([b - a for a, b in zip(start, stop, strict=True)]))
                assert abs(sums[0] - sums[1]) <= size  # float32 is rounded once less where it is fused
                for factor in (-2.5, 1.0):
                    found = [
                        np.full([b - a for a, b in zip(start, stop, strict=True)], np.nan, np.float32)
                        for _ in "ab"
                    ]
                    arguments = (image, weights, np.full(1, factor, np.float32), np.float32(0.0625), start)
                    for kernel, target in zip((cpu, cuda), found, strict=True):
                        kernel.step(*arguments, target)
                    np.testing.assert_allclose(found[0], found[1], rtol=3e-7)
                    inner = image[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
                    assert np.array_equal(found[1], inner) == (factor > 0)
    inverse = [np.full(1, np.nan, np.float32) for _ in range(2)]
    for totals in (np.array([12345678901, 98765432109876]), np.zeros(2, np.int64)):
        for kernel, target in zip((cpu, cuda), inverse, strict=True):
            kernel.inverse_mean(totals, 10**9, 3.7e11, 2.88, target)
        np.testing.assert_array_equal(*inverse)


def response() -> None:
    from fastseg.kernels.cpu import vesselness as cpu
    from fastseg.kernels.cuda import vesselness as cuda

    for shape in ((3, 5, 7), (2, 2, 2), (1, 9, 3)):
        image = np.random.default_rng(3).random(shape, np.float32)
        middle, last = image - np.float32(0.6), np.float32(1.5) * (image[::-1] - np.float32(0.7))
        last = np.ascontiguousarray(last)
        floor = np.linspace(-1.5, -0.5, image.shape[0]).astype(np.float32)
        before = np.full(image.shape, np.float32(0.1))
        for flat in (True, False):
            for first in (True, False):
                out = [np.full(image.shape, np.float32(np.nan)) for _ in range(2)]
                for kernel, found in zip((cpu, cuda), out, strict=True):
                    kernel.ridge_response(middle, last, floor, flat, before, first, found)
                assert out[0].max() > 0.5
                # Python where the compiled code keeps float32 shows in the last bits
                np.testing.assert_allclose(*out, rtol=2e-6, atol=2e-7)


CASES: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        gaussian,
        laplacian,
        extremes,
        fixed_point,
        stretch,
        histogram,
        halves,
        eigenvalues,
        planes,
        diffusion,
        response,
    )
}
