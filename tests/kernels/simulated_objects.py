"""Compares the CUDA launchers for objects, simulated, with their CPU twins: exactly equal.

Run by ``python -m tests.kernels.simulated``. Sizes are no multiples of blocks and words; axes of one voxel and stacks
of one plane are among them, and empty and full masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

SHAPES = ((3, 5, 70), (1, 4, 33), (5, 3, 1), (4, 1, 9), (1, 1, 64), (2, 3, 128))
DENSITIES = (0.0, 0.05, 0.45, 0.9, 1.1)


def same(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def _masks() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        for density in DENSITIES:
            yield (rng.random(shape) < density).view(np.uint8)


def morphology() -> None:
    from fastseg.arrays.morphology import _reach
    from fastseg.kernels.cpu import morphology as cpu
    from fastseg.kernels.cuda import morphology as cuda
    from fastseg.operators.boundary import ball

    lopsided = np.zeros((3, 5, 7), bool)
    lopsided[1, 0, 3], lopsided[2, 1, 1:6] = True, True
    disk = ball(3, 2)[None]
    for k, mask in enumerate(_masks()):
        footprint = (ball(0), ball(1), ball(2), lopsided, disk, ball(33, 2)[None])[k % 6]
        for inside in (True, False):
            found = []
            for kernel in (cpu, cuda):
                bits = np.full((*mask.shape[:2], -(-mask.shape[2] // 64)), 7, np.uint64)
                kernel.pack(mask, inside, bits)
                packed, grown = bits.copy(), np.zeros_like(bits)
                kernel.dilate(bits, _reach(footprint), grown)
                out, within = np.full(mask.shape, 9, np.uint8), np.full(mask.shape, 9, np.uint8)
                kernel.unpack(grown, inside, np.empty((0, 0, 0), np.uint8), out)
                kernel.unpack(grown, not inside, mask, within)
                found.append((packed, grown, out, within))
            for a, b in zip(*found, strict=True):
                same(b, a)


def least() -> None:
    from fastseg.kernels.cpu import morphology as cpu
    from fastseg.kernels.cuda import morphology as cuda

    for shape in SHAPES:
        image = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
        out = [np.empty_like(image) for _ in range(2)]
        cpu.erode_image(image, out[0])
        cuda.erode_image(image, out[1])
        same(out[1], out[0])


def components() -> None:
    from fastseg.kernels.cpu import labelling as cpu
    from fastseg.kernels.cuda import labelling as cuda

    for mask in _masks():
        for connectivity, planar, inside in [
            (1, False, True),
            (2, False, True),
            (3, False, False),
            (1, True, False),
            (2, True, True),
        ]:
            expected = cpu.find_runs(mask, inside, connectivity, planar)
            for a, b in zip(expected, cuda.find_runs(mask, inside, connectivity, planar), strict=True):
                same(b, a)


def wide_numbers() -> None:
    """Positions beyond 2**31: the types are those of such a volume, on a small one."""
    from fastseg.kernels.cpu import labelling as cpu
    from fastseg.kernels.cuda import labelling as cuda

    before = cuda.index_type
    cuda.index_type = lambda size: np.int64
    try:
        for mask in _masks():
            for a, b in zip(
                cpu.find_runs(mask, True, 3, False), cuda.find_runs(mask, True, 3, False), strict=True
            ):
                np.testing.assert_array_equal(b, a)
    finally:
        cuda.index_type = before


def runs() -> None:
    from fastseg.kernels.cpu import labelling
    from fastseg.kernels.cpu import runs as cpu
    from fastseg.kernels.cuda import runs as cuda

    rng = np.random.default_rng(4)
    for mask in _masks():
        rows, edges, ids, _, first = labelling.find_runs(mask, True, 1, False)
        count = len(first)
        sides = rng.random((3, 2)) < 0.5
        start = tuple(int(rng.integers(0, n)) for n in mask.shape)
        box = tuple(int(rng.integers(1, n - a + 1)) for n, a in zip(mask.shape, start, strict=True))
        values = rng.integers(0, 200, count + 1)
        chosen = (rng.random(count + 1) < 0.5).astype(np.int8)
        found = []
        for kernel in (cpu, cuda):
            marks = np.zeros(count + 1, np.int8)
            kernel.mark_sides(rows, edges, ids, mask.shape, sides, marks)
            painted = [np.empty(box, dtype) for dtype in (np.uint8, np.uint32, np.uint64)]
            for out in painted:
                kernel.paint(rows, edges, ids, mask.shape[1], start, values.astype(out.dtype), out)
            starts, stops = np.full((count + 1, 3), 2**62), np.zeros((count + 1, 3), np.int64)
            kernel.bound(rows, edges, ids, mask.shape[1], chosen, starts, stops)
            found.append((marks, *painted, starts, stops))
        for a, b in zip(*found, strict=True):
            same(b, a)


def _labels() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(5)
    for height, width in ((4, 70), (1, 64), (7, 3), (2, 128), (5, 33), (3, 1)):
        for dtype in (np.int32, np.int64):
            for top in (1, 2, 5):
                labels = np.repeat(rng.integers(0, top, (height, width)), 4, axis=1)[:, 1 : width + 1]
                yield np.ascontiguousarray(labels, dtype)


def objects_as_runs() -> None:
    from fastseg.kernels.cpu import object_runs as cpu
    from fastseg.kernels.cuda import object_runs as cuda

    for labels in _labels():
        expected = cpu.runs_of_labels(labels)
        for a, b in zip(expected, cuda.runs_of_labels(labels), strict=True):
            same(b, a)
        count = int(labels.max())
        image = np.random.default_rng(6).standard_normal(labels.shape).astype(np.float32)
        for odd in (0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf):
            image[labels.shape[0] // 2, labels.shape[1] // 3] = odd
            for a, b in zip(
                cpu.object_extremes(image, *expected, count),
                cuda.object_extremes(image, *expected, count),
                strict=True,
            ):
                same(b, a)


def _histogram_images(shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(8)
    yield rng.standard_normal(shape).astype(np.float32)
    yield rng.integers(0, 3, shape).astype(np.float32)
    yield (rng.random(shape) * 3e38 * rng.choice([-1, 1], shape)).astype(np.float32)
    yield (1e-40 * rng.random(shape)).astype(np.float32)
    yield np.where(rng.random(shape) < 0.05, np.nan, rng.random(shape)).astype(np.float32)
    yield (30000 + rng.random(shape)).astype(np.float32)


def object_thresholds() -> None:
    from fastseg.kernels.cpu import object_runs
    from fastseg.kernels.cpu import thresholds as cpu
    from fastseg.kernels.cuda import thresholds as cuda

    whole_table = cuda._TABLE
    for turn, labels in enumerate(_labels()):
        cuda._TABLE = (whole_table, 2)[turn % 2]  # several rounds over the objects
        found = object_runs.runs_of_labels(labels)
        count = int(labels.max())
        for image in _histogram_images(labels.shape):
            low, high = object_runs.object_extremes(image, *found, count)
            first, filled, bins, counts = cpu.histograms(image, *found, low, high)
            with np.errstate(over="ignore"):
                got = cuda.histograms(image, *found, low, high)
                thresholds = cuda.otsu(*got, low, high)
            same(got[0][1:], first[1:])
            same(got[1], filled)
            places = [np.arange(first[k], first[k] + filled[k]) for k in range(1, count + 1)]
            used = np.concatenate([np.zeros(0, int), *places])
            same(got[2][used], bins[used])
            same(got[3][used], counts[used])
            same(thresholds, cpu.otsu(first, filled, bins, counts, low, high))
    cuda._TABLE = whole_table


def tied_splits() -> None:
    """Of two splits that are equally good, the lower one counts."""
    from fastseg.kernels.cpu import object_runs
    from fastseg.kernels.cpu import thresholds as cpu
    from fastseg.kernels.cuda import thresholds as cuda

    image = np.array([[0, 127.5, 127.5, 127.5, 128.5, 128.5, 128.5, 256]], np.float32)
    runs = object_runs.runs_of_labels(np.ones(image.shape, np.int32))
    low, high = object_runs.object_extremes(image, *runs, 1)
    for kernel in (cpu, cuda):
        found = kernel.otsu(*kernel.histograms(image, *runs, low, high), low, high)
        same(found, np.array([np.inf, 0.5], np.float32))


def distances() -> None:
    from fastseg.kernels.cpu import distance as cpu
    from fastseg.kernels.cuda import distance as cuda

    rng = np.random.default_rng(9)
    for k, shape in enumerate((*SHAPES, (6, 9, 7))):
        for density in (0.0, 0.5, 0.97, 1.1):
            mask = rng.random(shape) < density
            dtype = (np.int32, np.int64)[k % 2]
            assert cuda.dtype_for(shape) is cpu.dtype_for(shape)
            for cap in (cpu.FAR, 4):
                found = [np.empty(shape, dtype) for _ in range(2)]
                for kernel, out in zip((cpu, cuda), found, strict=True):
                    kernel.squared_distances(mask, cap, out)
                same(np.minimum(found[1], cap + 1), np.minimum(found[0], cap + 1))
                if cap == cpu.FAR:
                    for kernel, out in zip((cpu, cuda), found, strict=True):
                        kernel.from_before_the_first(out)
                    same(found[1], found[0])
                for z in range(shape[0]):
                    cpu.squared_in_plane(mask[z], cap, found[0][z])
                cuda.squared_in_planes(mask, cap, found[1])
                same(np.minimum(found[1], cap + 1), np.minimum(found[0], cap + 1))


def peaks() -> None:
    from scipy import ndimage as ndi

    from fastseg.kernels.cpu import peaks as cpu
    from fastseg.kernels.cuda import peaks as cuda

    rng = np.random.default_rng(10)
    for turn, shape in enumerate(((4, 7, 11), (1, 6, 9), (5, 1, 8), (3, 8, 1), (2, 5, 6), (4, 5, 6))):
        for density, levels in ((0.1, 9), (0.6, 2), (1.1, 3), (1.1, 1), (0.9, 1), (0.0, 1)):
            labels, count = ndi.label(rng.random(shape) < density, np.ones((3, 3, 3)))
            values = rng.integers(0, levels, shape).astype((np.float32, np.float64)[turn % 2])
            start = tuple(min(turn % 3, n) for n in shape)
            stop = tuple(max(a, n - turn % 2) for a, n in zip(start, shape, strict=True))
            found, grown = (
                [np.zeros(shape, bool) for _ in range(2)],
                [np.empty(shape, bool) for _ in range(2)],
            )
            for kernel, out, more in zip((cpu, cuda), found, grown, strict=True):
                kernel.peaks_of_objects(values, labels, count, start, stop, -1.0 if turn % 2 else 0.0, out)
                kernel.dilate_by_faces(out, more)
            same(found[1], found[0])
            same(grown[1], grown[0])


def arms_of_flat_objects() -> None:
    """A cross is what an opening keeps: each of its arms is found out from another side. Its tail has peaks."""
    from fastseg.kernels.cpu import peaks as cpu
    from fastseg.kernels.cuda import peaks as cuda

    labels = np.zeros((5, 6, 9), np.int32)
    labels[1:4, 2, 2] = labels[2, 1:4, 2] = labels[2, 2, 1:8] = 1
    values = np.full(labels.shape, np.float32(3))
    found = [np.zeros(labels.shape, bool) for _ in range(2)]
    for kernel, out in zip((cpu, cuda), found, strict=True):
        kernel.peaks_of_objects(values, labels, 1, (0, 0, 0), labels.shape, 0.0, out)
    same(found[1], found[0])
    assert np.argwhere(found[1]).tolist() == [[2, 2, 4], [2, 2, 6]]


def floods() -> None:
    from scipy import ndimage as ndi

    from fastseg.kernels.cpu import split as cpu
    from fastseg.kernels.cuda import split as cuda

    rng = np.random.default_rng(11)
    before, lines = cuda._SPREAD, 0
    for turn in range(36):
        shape = tuple(int(n) for n in rng.integers(1, [7, 12, 13]))
        if turn % 2:
            mask = ndi.gaussian_filter(rng.standard_normal(shape), 1.5) > 0
        else:
            mask = rng.random(shape) < (0.3, 0.7, 0.95, 2)[turn // 2 % 4]
        dtype = (np.int32, np.int64)[turn // 4 % 2]
        seeds = np.where(rng.random(shape) < (0, 0.02, 0.1, 0.5)[turn // 3 % 4], rng.integers(1, 6, shape), 0)
        labels, count = ndi.label(mask)
        relief = ndi.distance_transform_edt(mask) ** 2 if turn % 3 else rng.integers(1, 5, shape)
        squared = np.where(mask, np.rint(relief), 0).astype(dtype)
        cuda._SPREAD = (before, 0)[turn % 5 == 0]  # several objects a block
        found = [np.full(shape, 99, dtype) for _ in range(2)]
        for kernel, out in zip((cpu, cuda), found, strict=True):
            kernel.cut_objects(labels, count, seeds.astype(dtype), squared.copy(), out)
        same(found[1], found[0])
        lines += int(((found[0] == 0) & mask & (seeds == 0)).sum())
    cuda._SPREAD = before
    assert lines > 100


def _thinned_masks() -> Iterator[np.ndarray]:
    from scipy import ndimage as ndi

    rng = np.random.default_rng(12)
    for shape in ((2, 13, 17), (1, 9, 1), (1, 1, 12), (3, 8, 10)):
        yield ndi.gaussian_filter(rng.standard_normal(shape), 1.5) > 0
        for density in (0.0, 0.7, 2.0):
            yield rng.random(shape) < density


def thinning() -> None:
    from fastseg.kernels.cpu import thinning as cpu
    from fastseg.kernels.cuda import thinning as cuda

    distances = (0.0, 1.0, 1.00001, 2.3, 1e6)
    for turn, mask in enumerate(_thinned_masks()):
        distance = distances[turn % len(distances)]
        removable = cpu.far_from_axis(mask, distance)
        same(cuda.far_from_axis(mask, distance), removable)
        same(cuda.peeled(mask, removable, turn % 3), cpu.peeled(mask, removable, turn % 3))
        same(cuda.medial_axis(mask[0]), cpu.medial_axis(mask[0]))


CASES: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        morphology,
        least,
        components,
        wide_numbers,
        runs,
        objects_as_runs,
        object_thresholds,
        tied_splits,
        distances,
        peaks,
        arms_of_flat_objects,
        floods,
        thinning,
    )
}
