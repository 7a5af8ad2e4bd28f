"""Law 1 in the loops over rows: a voxel's result does not depend on where it lies in a vector, a part or a task."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.kernels.cpu import diffusion, vesselness
from fastseg.kernels.cpu.hessian import WIDTH
from fastseg.kernels.voxel.hessian import hessian_2d, hessian_across_planes

WEIGHTS = (np.float32(1.0), np.float32(0.5), np.float32(2.0))
SHAPE = (3, 5, 2 * WIDTH + 71)


def noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(6).random(shape, dtype=np.float32)


def stepped(image: np.ndarray, start: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    out = np.full(shape, np.nan, np.float32)
    diffusion.step(image, WEIGHTS, np.full(1, -2.5, np.float32), np.float32(0.0625), start, out)
    return out


def cut(image: np.ndarray, low: tuple[int, ...], high: tuple[int, ...]) -> np.ndarray:
    return np.ascontiguousarray(image[tuple(slice(a, b) for a, b in zip(low, high, strict=True))])


# boxes within 70 planes of 75 rows and 45 columns: several tasks, with and without the borders
BOXES = [
    ((0, 0, 0), (70, 75, 45)),
    ((33, 31, 7), (69, 70, 44)),
    ((1, 0, 1), (34, 33, 2)),
    ((68, 74, 43), (70, 75, 45)),
]


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_step_of_a_box_is_that_of_the_whole(low: tuple[int, int, int], high: tuple[int, int, int]) -> None:
    image = noise((70, 75, 45))
    whole = stepped(image, (0, 0, 0), image.shape)
    wide = (
        tuple(max(0, a - 1) for a in low),
        tuple(min(n, b + 1) for b, n in zip(high, image.shape, strict=True)),
    )
    start = tuple(a - b for a, b in zip(low, wide[0], strict=True))
    found = stepped(cut(image, *wide), start, tuple(b - a for a, b in zip(low, high, strict=True)))
    np.testing.assert_array_equal(found, cut(whole, low, high))


@pytest.mark.parametrize(("low", "high"), BOXES)
def test_squared_gradients_of_a_box(low: tuple[int, int, int], high: tuple[int, int, int]) -> None:
    image = noise((70, 75, 45))
    padded = np.pad(image.astype(np.float64), 1, mode="edge")
    inner = (slice(1, -1),) * 3
    squares = np.zeros(image.shape)
    for axis, weight in enumerate(WEIGHTS):
        difference = np.roll(padded, -1, axis)[inner] - np.roll(padded, 1, axis)[inner]
        squares += (0.5 * float(weight) * difference) ** 2
    totals = np.zeros(2, np.int64)
    diffusion.squared_gradients(image, WEIGHTS, low, high, 2.0**30, totals)
    found = (int(totals[0]) << 24) + int(totals[1])
    np.testing.assert_allclose(found / 2.0**30, cut(squares, low, high).sum(), rtol=1e-6)


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**44),
    st.integers(1, 2**40),
    st.floats(1e-3, 1e30),
    st.floats(0.02, 50),
)
def test_inverse_of_the_mean_is_that_of_integers_of_any_size(
    upper: int, lower: int, count: int, units: float, doubled: float
) -> None:
    inverse = np.full(1, np.nan, np.float32)
    diffusion.inverse_mean(np.array([upper, lower]), count, units, doubled, inverse)
    mean = ((upper << 24) + lower) / units / count
    with np.errstate(over="ignore"):
        assert inverse[0] == (np.float32(-1 / (doubled * mean)) if mean > 0 else 1)


def test_a_step_without_a_mean_changes_nothing() -> None:
    image, inverse = noise((3, 4, 5)), np.full(1, np.nan, np.float32)
    diffusion.inverse_mean(np.zeros(2, np.int64), 60, 0.0, 2.88, inverse)
    out = np.full((2, 3, 3), np.nan, np.float32)
    diffusion.step(image, WEIGHTS, inverse, np.float32(0.0625), (1, 1, 1), out)
    np.testing.assert_array_equal(out, image[1:, 1:, 1:4])


def values(image: np.ndarray, dimensions: int) -> tuple[np.ndarray, ...]:
    """All eigenvalues by rising magnitude."""
    kernel = vesselness.eigenvalue_3d if dimensions == 3 else vesselness.eigenvalue_2d
    found = tuple(np.full(image.shape, np.nan, np.float32) for _ in range(dimensions))
    for index, out in enumerate(found):
        kernel(image, 1.5, index, out)
    return found


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(
    "columns", [2, 3, 4, 5, 17, WIDTH - 1, WIDTH, WIDTH + 1, WIDTH + 2, WIDTH + 3, SHAPE[2]]
)
def test_eigenvalues_of_rows_of_every_length(columns: int, dimensions: int) -> None:
    image = noise((*SHAPE[:2], columns))
    found = values(image, dimensions)
    for x in {
        *range(min(columns, 4)),
        *range(max(0, columns - 4), columns),
        *range(WIDTH - 2, min(columns, WIDTH + 3)),
    }:
        for z, y in np.ndindex(SHAPE[:2]):
            yy, xx, yx = hessian_2d(image, z, y, x, np.float32(1.5))
            if dimensions == 3:
                zz, zy, zx = hessian_across_planes(image, z, y, x, np.float32(1.5))
                matrix = np.array([[zz, zy, zx], [zy, yy, yx], [zx, yx, xx]], np.float64)
            else:
                matrix = np.array([[yy, yx], [yx, xx]], np.float64)
            expected = np.linalg.eigvalsh(matrix)
            expected = expected[np.argsort(np.abs(expected), kind="stable")]
            np.testing.assert_allclose([v[z, y, x] for v in found], expected, atol=1e-6)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("offset", [1, 3, 8, 13, WIDTH - 5])
def test_eigenvalues_do_not_depend_on_the_column_they_start_at(offset: int, dimensions: int) -> None:
    image = noise(SHAPE)
    moved = np.ascontiguousarray(image[:, :, offset:])
    for whole, part in zip(values(image, dimensions), values(moved, dimensions), strict=True):
        np.testing.assert_array_equal(part[:, :, 2:], whole[:, :, offset + 2 :])


@pytest.mark.parametrize("start", [(0, 0, 0), (1, 2, 5), (0, 1, WIDTH + 3)])
@pytest.mark.parametrize("keep", [True, False])
def test_two_largest_eigenvalues_of_a_box(start: tuple[int, int, int], keep: bool) -> None:
    image = noise(SHAPE)
    _, second, third = (cut(v, start, SHAPE) for v in values(image, 3))
    middle = np.full(second.shape, np.nan, np.float32)
    last = np.full(second.shape if keep else (0, 0, 0), np.nan, np.float32)
    lowest = np.full(second.shape[0] * second.shape[1], np.nan, np.float32)
    vesselness.eigenvalues_3d(image, 1.5, start, middle, last, lowest)
    np.testing.assert_array_equal(middle, second if keep else np.where(third < 0, second, 0))
    np.testing.assert_array_equal(lowest, third.min(axis=2).ravel())
    if keep:
        np.testing.assert_array_equal(last, third)


@pytest.mark.parametrize(("first", "kept"), [(0, SHAPE[2]), (5, 3), (0, WIDTH), (7, WIDTH + 9)])
def test_larger_eigenvalue_of_some_columns(first: int, kept: int) -> None:
    image = noise(SHAPE)
    expected = values(image, 2)[1][:, :, first:]
    larger = np.full((*SHAPE[:2], kept), np.nan, np.float32)
    lowest = np.full(SHAPE[:2], np.nan, np.float32)
    vesselness.eigenvalues_2d(image, 1.5, first, expected.shape[2], larger, lowest)
    np.testing.assert_array_equal(larger, expected[:, :, :kept])
    np.testing.assert_array_equal(lowest, expected.min(axis=2))


@pytest.mark.parametrize("flat", [True, False])
def test_response_does_not_depend_on_the_column(flat: bool) -> None:
    middle, last = noise((2, 3, 67)) - np.float32(0.9), noise((2, 3, 67))[::-1] - np.float32(1.2)
    floor = np.array([-1.0, -0.7], np.float32)

    def responses(*arrays: Any) -> np.ndarray:
        out = np.full(arrays[0].shape, np.nan, np.float32)
        a, b = (np.ascontiguousarray(array) for array in arrays)
        vesselness.ridge_response(a, b, floor, flat, a, True, out)
        before = np.full_like(out, 0.3)
        raised = np.full_like(out, np.nan)
        vesselness.ridge_response(a, b, floor, flat, before, False, raised)
        np.testing.assert_array_equal(raised, np.maximum(out, before))
        return out

    whole = responses(middle, last)
    assert 0 < whole[whole > 0].min() < whole.max() == 1
    for start in range(1, 20):
        np.testing.assert_array_equal(responses(middle[..., start:], last[..., start:]), whole[..., start:])
