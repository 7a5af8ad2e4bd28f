"""Compares CUDA kernels whose threads share memory, run with their threads interleaved, with their CPU twins.

Run by ``python -m tests.kernels.simulated``. What a thread reads may be out of date, and any other may come before its
next access: a missing atomic operation or a wrong idea of who is first shows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.kernels.simulated_objects import same
from tests.kernels.simulator import interleaved


def joins() -> None:
    from fastseg.kernels.cpu import labelling as cpu
    from fastseg.kernels.cuda import labelling as cuda

    rng = np.random.default_rng(3)
    for seed in range(24):
        shape = ((3, 4, 9), (1, 6, 12), (4, 3, 7))[seed % 3]
        mask = (rng.random(shape) < (0.5, 0.7)[seed % 2]).view(np.uint8)
        expected = cpu.find_runs(mask, True, seed % 3 + 1, False)
        with interleaved(seed, "join_kernel", "shorten_kernel", "number_kernel"):
            found = cuda.find_runs(mask, True, seed % 3 + 1, False)
        for a, b in zip(expected, found, strict=True):
            same(b, a)


def extremes() -> None:
    from fastseg.kernels.cpu import object_runs as cpu
    from fastseg.kernels.cuda import object_runs as cuda

    rng = np.random.default_rng(7)
    labels = np.repeat(rng.integers(0, 3, (3, 7)), 3, axis=1).astype(np.int32)
    runs = cpu.runs_of_labels(labels)
    for seed in range(6):
        image = rng.standard_normal(labels.shape).astype(np.float32)
        if seed > 3:
            image[1, 4] = np.nan
        with interleaved(seed, "extremes_kernel"):
            found = cuda.object_extremes(image, *runs, 2)
        for a, b in zip(cpu.object_extremes(image, *runs, 2), found, strict=True):
            same(b, a)


def plateaus() -> None:
    from fastseg.kernels.cpu import peaks as cpu
    from fastseg.kernels.cuda import peaks as cuda

    shape = (2, 5, 9)
    values = np.ones(shape, np.float32)
    values[0, 0, 0] = 0  # the object is not flat: its plateau has peaks everywhere
    labels = np.ones(shape, np.int32)
    expected = np.zeros(shape, bool)
    cpu.peaks_of_objects(values, labels, 1, (0, 0, 0), shape, 0.0, expected)
    for seed in range(3):
        found = np.zeros(shape, bool)
        with interleaved(seed, "candidates_kernel", "thin_kernel", "keep_first_kernel"):
            cuda.peaks_of_objects(values, labels, 1, (0, 0, 0), shape, 0.0, found)
        same(found, expected)


def counts() -> None:
    """What many threads add to: histograms and sizes of objects, seeds and distances of a flood."""
    from fastseg.kernels.cpu import object_runs
    from fastseg.kernels.cpu import split as cpu_split
    from fastseg.kernels.cpu import thresholds as cpu
    from fastseg.kernels.cuda import split as cuda_split
    from fastseg.kernels.cuda import thresholds as cuda

    rng = np.random.default_rng(14)
    names = ("sizes_kernel", "count_kernel", "open_kernel", "gather_kernel")
    for seed in range(6):
        labels = np.repeat(rng.integers(0, 3, (6, 3)), 3, axis=1).astype(np.int32)
        image = rng.integers(0, 3, labels.shape).astype(np.float32)
        runs = object_runs.runs_of_labels(labels)
        low, high = object_runs.object_extremes(image, *runs, 2)
        stack = np.ones((1, 4, 9), np.int32)
        seeds = np.where(rng.random(stack.shape) < 0.5, rng.integers(1, 4, stack.shape), 0).astype(np.int32)
        squared = rng.integers(1, 5, stack.shape).astype(np.int32)
        expected, found = (np.empty_like(stack) for _ in range(2))
        cpu_split.cut_objects(stack, 1, seeds, squared.copy(), expected)
        with interleaved(seed, *names):
            histograms = cuda.histograms(image, *runs, low, high)
            thresholds = cuda.otsu(*histograms, low, high)
            cuda_split.cut_objects(stack, 1, seeds, squared.copy(), found)
        known = cpu.histograms(image, *runs, low, high)
        same(histograms[0][1:], known[0][1:])
        same(thresholds, cpu.otsu(*known, low, high))
        same(found, expected)


def walk() -> None:
    from scipy import ndimage as ndi

    from fastseg.kernels.cpu import thinning as cpu
    from fastseg.kernels.cuda import thinning as cuda

    rng = np.random.default_rng(13)
    for seed in range(6):
        mask = ndi.gaussian_filter(rng.standard_normal((8, 9)), 1) > -0.1
        with interleaved(seed, "walk_kernel"):
            found = cuda.medial_axis(mask)
        same(found, cpu.medial_axis(mask))


CASES: dict[str, Callable[[], None]] = {
    function.__name__: function for function in (joins, extremes, plateaus, counts, walk)
}
