"""The arithmetic on packed words as compiled, where Numba widens integers, against plain Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from fastseg.kernels.voxel import bits

FULL = (1 << 32) - 1
words = st.one_of(st.integers(0, FULL), st.sampled_from([0, 1, 1 << 31, FULL, FULL >> 1]))


@njit
def _changed(word, carry):
    return bits.begins(word, carry), bits.changes(word, carry)


@given(words, words, words)
def test_widening(word: int, before: int, after: int) -> None:
    row = before | word << 32 | after << 64
    wide = row | row << 1 | row >> 1
    assert bits.widened(*map(np.uint32, (word, before, after))) == wide >> 32 & FULL


@given(words, st.integers(0, 1))
def test_where_runs_begin_and_end(word: int, carry: int) -> None:
    shifted = (word << 1 | carry) & FULL
    assert _changed(np.uint32(word), np.uint32(carry)) == (word & ~shifted & FULL, word ^ shifted)


@given(words.filter(bool), st.integers(0, 31))
def test_parts_of_words(word: int, place: int) -> None:
    assert bits.without_lowest(np.uint32(word)) == word & (word - 1)
    assert bits.up_to(place) == (1 << place + 1) - 1
    assert bits.from_on(place) == FULL & ~((1 << place) - 1)
