"""The middle plane is that of Otsu's criterion; views stay within the stack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fastseg.curation.review.planes import View, middle_plane, views_of

COUNTS = arrays(np.int64, st.integers(2, 30), elements=st.integers(0, 20))


def stack(counts: list[int]) -> np.ndarray:
    """A mask with so many voxels in each plane."""
    mask = np.zeros((len(counts), 4, 5), bool)
    for plane, count in zip(mask, counts, strict=True):
        plane.flat[:count] = True
    return mask


def split_by_definition(counts: list[int]) -> int:
    """Section 3.2 of the reference's description, split by split."""
    h = np.array(counts) + 1e-5
    t = np.arange(len(h)) / (len(h) - 1)
    best, found = -1.0, 0
    for s in range(len(h) - 1):
        w1, w2 = h[: s + 1].sum(), h[s + 1 :].sum()
        m1, m2 = (h[: s + 1] * t[: s + 1]).sum() / w1, (h[s + 1 :] * t[s + 1 :]).sum() / w2
        value = w1 * w2 * (m1 - m2) ** 2
        if value > best * (1 + 1e-9):
            best, found = value, s
    return found


@settings(deadline=None)
@given(COUNTS)
def test_the_middle_plane_is_the_split_or_the_nearest_plane_with_foreground(counts: np.ndarray) -> None:
    numbers = counts.tolist()
    middle = middle_plane(stack(numbers))
    if not any(numbers):
        assert middle == len(numbers) // 2
        return
    split = split_by_definition(numbers)
    filled = [z for z, n in enumerate(numbers) if n]
    assert middle == min(filled, key=lambda z: (abs(z - split), z))


@pytest.mark.parametrize(
    ("counts", "middle"),
    [
        ([5] * 9, 3),
        ([0, 0, 9, 9, 9, 9, 0, 0, 0], 3),
        ([0] * 7, 3),
        ([4], 0),
        ([0], 0),
        ([0, 0, 7, 0, 0], 2),
        ([1, 9], 0),
    ],
)
def test_middle_planes_of_plain_profiles(counts: list[int], middle: int) -> None:
    assert middle_plane(stack(counts)) == middle


def test_planes_beyond_the_stack_are_clamped() -> None:
    assert views_of(stack([5] * 4)) == [
        View("max", None),
        View("middle", 1),
        View("below", 0),
        View("above", 3),
    ]
    twenty = views_of(stack([5] * 20))
    assert [view.plane for view in twenty] == [None, 9, 5, 13]


def test_a_plane_is_shown_once() -> None:
    assert views_of(stack([5])) == [View("max", None)]
    assert views_of(stack([5, 0])) == [View("max", None), View("middle", 0), View("above", 1)]
    assert [v.name for v in views_of(stack([0, 0, 9]))] == ["max", "middle", "below"]
