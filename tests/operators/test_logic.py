"""Comparison, set operations and inversion against NumPy."""

from itertools import pairwise

import numpy as np
import pytest

from fastseg.operators import (
    and_not,
    greater_than,
    invert_image,
    invert_mask,
    logical_and,
    logical_or,
    logical_xor,
)
from tests.support import image, mask

SHAPES = [(5, 7, 9), (1, 7, 9), (7, 9), (1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_set_operations(shape: tuple[int, ...]) -> None:
    a, b, c = (mask("half", shape, seed) for seed in range(3))
    np.testing.assert_array_equal(logical_or(a, b, c), a | b | c)
    np.testing.assert_array_equal(logical_and(a, b, c), a & b & c)
    np.testing.assert_array_equal(logical_xor(a, b, c), np.logical_xor.reduce([a, b, c]))
    np.testing.assert_array_equal(and_not(a, b), a & ~b)
    np.testing.assert_array_equal(invert_mask(a), ~a)


@pytest.mark.parametrize("operator", [logical_or, logical_and, logical_xor])
def test_one_mask_stays_as_it_is(operator: object) -> None:
    a = mask("half", (3, 4, 5), 1)
    np.testing.assert_array_equal(operator(a), a)


def test_what_is_not_zero_counts_as_true() -> None:
    a, b = np.array([[0, 2, 255, 0]], np.uint8), np.array([[0.0, 0.5, 0.0, -1.0]])
    np.testing.assert_array_equal(logical_or(a, b), [[False, True, True, True]])
    np.testing.assert_array_equal(logical_and(a, b), [[False, True, False, False]])
    np.testing.assert_array_equal(invert_mask(a), [[True, False, False, True]])


@pytest.mark.parametrize("shape", SHAPES)
def test_inversion_of_an_image(shape: tuple[int, ...]) -> None:
    x = image("noise", shape, 1)
    y = invert_image(x)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.float32(1) - x)


def test_comparison_is_strict() -> None:
    x = np.array([[0.1, 0.25, np.nextafter(np.float32(0.25), np.float32(1)), 3]], np.float32)
    np.testing.assert_array_equal(greater_than(x, value=0.25), [[False, False, True, True]])
    assert not greater_than(np.array([[0.1]], np.float32), value=0.1).any()  # the value is rounded to float32


def test_integers_are_compared_exactly() -> None:
    x = np.array([[2**24, 2**24 + 1]], np.int32)
    np.testing.assert_array_equal(greater_than(x, value=2**24), [[False, True]])
    np.testing.assert_array_equal(
        greater_than(np.array([[0, 1, 2]], np.uint8), value=0.5), [[False, True, True]]
    )


def test_a_higher_value_never_adds_a_voxel() -> None:
    x = image("noise", (3, 9, 9), 2)
    masks = [greater_than(x, value=v) for v in (-1.0, 0.0, 1.0)]
    assert all((low | high == low).all() for low, high in pairwise(masks))
