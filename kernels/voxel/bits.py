"""Masks of a bit a voxel, read and written as 32-bit words: bit k of word j of a row is voxel 32 j + k.

Numba widens integers to 64 bits in arithmetic, so results are cut to 32 bits wherever bits above could count.
"""

import numpy as np
from numba import njit

WORD = 32
ONE = np.uint32(1)
TOP = np.uint32(31)
FULL = np.uint32(0xFFFFFFFF)


@njit(forceinline=True)
def widened(word, before, after):
    """A word and its neighbours in the row, dilated by one voxel to both sides."""
    return np.uint32((word | (word << ONE) | (word >> ONE) | (before >> TOP) | (after << TOP)) & FULL)


@njit(forceinline=True)
def begins(word, carry):
    """Bits of a word where a run begins; `carry` is 1 if the voxel before the word is set."""
    return np.uint32(word & ~((word << ONE) | carry) & FULL)


@njit(forceinline=True)
def changes(word, carry):
    """Bits of a word that differ from the bit before: where runs begin, and where the first voxel after one lies."""
    return np.uint32((word ^ ((word << ONE) | carry)) & FULL)


@njit(forceinline=True)
def up_to(place):
    """The bits of a word up to and with a place."""
    return np.uint32(FULL >> np.uint32(TOP - np.uint32(place)))


@njit(forceinline=True)
def from_on(place):
    """The bits of a word from a place on."""
    return np.uint32((FULL << np.uint32(place)) & FULL)


@njit(forceinline=True)
def without_lowest(word):
    """A word other than 0 without its lowest bit."""
    return np.uint32(word & (word - ONE))
