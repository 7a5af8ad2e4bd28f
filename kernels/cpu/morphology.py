"""Dilation of masks by footprints whose rows are symmetric intervals (balls, disks, crosses), 64 voxels to a word.

Rows of the mask are packed into bits. They are widened along x by one voxel at a time, and whenever the width of some
row of the footprint is reached, the widened rows are joined to the rows of the result that they reach along z and y.
A ball of radius r so takes about pi r**2 joins of packed rows, not 4/3 pi r**3 looks at voxels. An erosion is the
dilation of the complement, for a border that is ignored.
"""

from __future__ import annotations

import numpy as np

from fastseg.kernels.cpu.rows import copy
from fastseg.kernels.jit import compiled, inner
from fastseg.kernels.threads import fitting, spread

__all__ = ["WORD", "dilate", "erode_image", "pack", "unpack"]

WORD = 64
"""Voxels of a word."""
_BYTE = np.uint64(8)
_ONES = np.uint64(0x0101010101010101)
_GATHER = np.uint64(0x0102040810204080)
_SPREAD = np.uint64(0x8040201008040201)
_CARRY = np.uint64(0x7F7F7F7F7F7F7F7F)
_TOP = np.uint64(56)
_LAST = np.uint64(63)
_SEVEN = np.uint64(7)
_ONE = np.uint64(1)
_LOW_BYTE = np.uint64(0xFF)


def _buffers(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Room for a row of each plane, as bytes and as words: compiled code makes a view slowly."""
    held = np.zeros((bits.shape[0], bits.shape[2] * WORD), np.uint8)
    return held, held.view(np.uint64)


@compiled
def _pack(
    begin: int,
    end: int,
    mask: np.ndarray,
    inside: bool,
    bytes_of_rows: np.ndarray,
    eights_of_rows: np.ndarray,
    bits: np.ndarray,
) -> None:
    _, height, width = mask.shape
    for z in range(begin, end):
        held, eights = bytes_of_rows[z], eights_of_rows[z]
        for y in range(height):
            row = mask[z, y]
            for x in range(width):
                held[x] = (row[x] != 0) == inside
            for j in range(bits.shape[2]):
                word = np.uint64(0)
                for k in range(8):
                    byte = (eights[8 * j + k] * _GATHER) >> _TOP
                    word |= byte << (_BYTE * np.uint64(k))
                bits[z, y, j] = word


@compiled
def _unpack(
    begin: int,
    end: int,
    bits: np.ndarray,
    inside: bool,
    within: np.ndarray,
    bytes_of_rows: np.ndarray,
    eights_of_rows: np.ndarray,
    out: np.ndarray,
) -> None:
    _, height, width = out.shape
    chosen = np.uint8(0 if inside else 1)
    for z in range(begin, end):
        held, eights = bytes_of_rows[z], eights_of_rows[z]
        for y in range(height):
            for j in range(bits.shape[2]):
                word = bits[z, y, j]
                for k in range(8):
                    byte = (word >> (_BYTE * np.uint64(k))) & _LOW_BYTE
                    spread = (byte * _ONES) & _SPREAD
                    eights[8 * j + k] = ((spread + _CARRY) >> _SEVEN) & _ONES
            row = out[z, y]
            if within.size:
                limit = within[z, y]
                for x in range(width):
                    row[x] = (held[x] ^ chosen) & limit[x]
            else:
                for x in range(width):
                    row[x] = held[x] ^ chosen


@compiled
def _widen(begin: int, end: int, bits: np.ndarray) -> None:
    """Dilate every row by one voxel to both sides, in place."""
    _, height, words = bits.shape
    for z in range(begin, end):
        for y in range(height):
            row = bits[z, y]
            before = np.uint64(0)
            for j in range(words):
                word = row[j]
                after = row[j + 1] if j + 1 < words else np.uint64(0)
                row[j] = word | (word << _ONE) | (word >> _ONE) | (before >> _LAST) | (after << _LAST)
                before = word


@inner
def _unite(words: np.ndarray, others: np.ndarray) -> None:
    for j in range(words.shape[0]):
        words[j] |= others[j]


@compiled
def _join(begin: int, end: int, bits: np.ndarray, steps: np.ndarray, out: np.ndarray) -> None:
    """Join rows to the rows that lie some steps (z, y) away."""
    depth, height, _ = bits.shape
    for z in range(begin, end):
        for k in range(steps.shape[0]):
            other = z + steps[k, 0]
            if other < 0 or other >= depth:
                continue
            step = steps[k, 1]
            first, last = max(0, -step), min(height, height - step)
            if first < last:
                _unite(out[z, first:last].reshape(-1), bits[other, first + step : last + step].reshape(-1))


def pack(mask: np.ndarray, inside: bool, bits: np.ndarray) -> None:
    """One bit a voxel: bit k of word j of a row is voxel 64 j + k.

    Parameters
    ----------
    mask : ndarray of uint8, shape (Z, Y, X)
        Zero or not.
    inside : bool
        Set the bits of the voxels that are not zero; otherwise of those that are.
    bits : ndarray of uint64, shape (Z, Y, words)
        Written; bits behind the end of a row are 0.
    """
    with fitting(mask.size):
        spread(_pack, len(mask), mask, inside, *_buffers(bits), bits)


def unpack(bits: np.ndarray, inside: bool, within: np.ndarray, out: np.ndarray) -> None:
    """Bytes of 0 and 1 from bits.

    Parameters
    ----------
    bits : ndarray of uint64, shape (Z, Y, words)
    inside : bool
        Set the voxels whose bit is set; otherwise those whose bit is not.
    within : ndarray of uint8, shape (Z, Y, X) or empty
        Of 0 and 1: only voxels of it are set; all of them if it is empty.
    out : ndarray of uint8, shape (Z, Y, X)
        Written.
    """
    with fitting(out.size):
        spread(_unpack, len(out), bits, inside, within, *_buffers(bits), out)


def dilate(bits: np.ndarray, widths: np.ndarray, out: np.ndarray) -> None:
    """Dilate a packed mask; nothing beyond the border is set.

    Parameters
    ----------
    bits : ndarray of uint64, shape (Z, Y, words)
        From `pack`; overwritten.
    widths : ndarray of int64, shape (2 a + 1, 2 b + 1)
        For each step along z and y, how far the footprint reaches to both sides along x; -1 where it is empty.
    out : ndarray of uint64, shape (Z, Y, words), filled with 0
        Written. Bits behind the end of a row may be set.
    """
    centre = np.array(widths.shape) // 2
    with fitting(bits.size * widths.size):
        for width in range(int(widths.max()) + 1):
            if width > 0:
                # A bit that went over the end of a row and came back has gone further than the width to a voxel that
                # it had already reached, so nothing has to be cleared there.
                spread(_widen, len(bits), bits)
            steps = np.argwhere(widths == width) - centre
            if len(steps):
                spread(_join, len(bits), bits, np.ascontiguousarray(steps, np.int64), out)


@inner
def _lower(row: np.ndarray, other: np.ndarray) -> None:
    for x in range(row.shape[0]):
        row[x] = other[x] if other[x] < row[x] else row[x]


@compiled
def _erode_image(begin: int, end: int, image: np.ndarray, out: np.ndarray) -> None:
    depth, height, width = image.shape
    for z in range(begin, end):
        for y in range(height):
            row = out[z, y]
            copy(image[z, y], row)
            _lower(row[1:], image[z, y, : width - 1])
            _lower(row[: width - 1], image[z, y, 1:])
            if y > 0:
                _lower(row, image[z, y - 1])
            if y < height - 1:
                _lower(row, image[z, y + 1])
            if z > 0:
                _lower(row, image[z - 1, y])
            if z < depth - 1:
                _lower(row, image[z + 1, y])


def erode_image(image: np.ndarray, out: np.ndarray) -> None:
    """The minimum over a voxel and its face neighbours within the image.

    Parameters
    ----------
    image, out : ndarray of float32, shape (Z, Y, X)
    """
    with fitting(image.size):
        spread(_erode_image, len(image), image, out)
