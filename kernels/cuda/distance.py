"""Squared Euclidean distances to the background, exact in integers; see `fastseg.kernels.cpu.distance`.

Along x, one thread a voxel looks for the nearest set bit of the packed background in both directions, 32 voxels at a
time. Across rows and across planes, one thread a voxel goes outwards as long as the square of the step can still
improve the best value, as the CPU does: a voxel costs as many steps as it is deep, and neighbouring threads read
neighbouring voxels. Each pass reads one array and writes another, so that no thread reads what a second one changes.

Bytes moved a voxel: 1 + 1/8 to pack, 1/8 + 4 along x, and 8 for each further axis, rows and planes around coming from
the cache.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.launch import Kernel, over
from fastseg.kernels.cuda.memory import library_of, views
from fastseg.kernels.cuda.morphology import pack
from fastseg.kernels.voxel.bits import WORD, from_on, up_to

__all__ = ["FAR", "dtype_for", "from_before_the_first", "squared_distances", "squared_in_planes"]

FAR = 2**30
"""Distance where no background was found."""

_TOP = WORD - 1


def dtype_for(shape):
    """The integers that hold the squared distances of a box, and one more than the positions in it."""
    small = sum(int(n) ** 2 for n in shape) < FAR and np.prod(shape, dtype=np.int64) < 2**31 - 1
    return np.int32 if small else np.int64


@cuda.jit(device=True)
def nearest_in_row(bits, row, words, x):
    """Distance to the nearest set bit of a row of flat 32-bit words; 0 at a set bit, -1 where the row has none."""
    j = x // WORD
    place = x - WORD * j
    best = -1
    k = j
    word = np.uint32(bits[row * words + k] & up_to(place))
    while word == 0 and k > 0:
        k -= 1
        word = bits[row * words + k]
    if word != 0:
        best = x - (WORD * k + _TOP - cuda.clz(word))
    k = j
    word = np.uint32(bits[row * words + k] & from_on(place))
    while word == 0 and k < words - 1 and (best < 0 or WORD * (k + 1) - x < best):
        k += 1
        word = bits[row * words + k]
    if word != 0:
        beyond = WORD * k + cuda.ffs(word) - 1 - x
        if best < 0 or beyond < best:
            best = beyond
    return best


def along_rows_kernel(bits, words, out):
    """One thread a voxel; `bits` are flat words of the background."""
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        steps = nearest_in_row(bits, z * out.shape[1] + y, words, x)
        out[z, y, x] = steps * steps if steps >= 0 else FAR


def across_rows_kernel(before, cap, out):
    """One thread a voxel: the least of ``before + step**2`` along y."""
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        height = out.shape[1]
        best = before[z, y, x]
        step = 1
        while step * step < best and step * step <= cap and (step <= y or y + step < height):
            if step <= y:
                best = min(best, before[z, y - step, x] + step * step)
            if y + step < height:
                best = min(best, before[z, y + step, x] + step * step)
            step += 1
        out[z, y, x] = best


def across_planes_kernel(before, cap, out):
    """One thread a voxel: the least of ``before + step**2`` along z."""
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        depth = out.shape[0]
        best = before[z, y, x]
        step = 1
        while step * step < best and step * step <= cap and (step <= z or z + step < depth):
            if step <= z:
                best = min(best, before[z - step, y, x] + step * step)
            if z + step < depth:
                best = min(best, before[z + step, y, x] + step * step)
            step += 1
        out[z, y, x] = best


def before_the_first_kernel(first, planar, out):
    """One thread a voxel: distances to the place before the first voxel, where what was found there is `FAR`.

    `first` is a copy of the first voxel of every plane: no thread reads what another one writes.
    """
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        if planar:
            if first[z] == FAR:
                out[z, y, x] = (y + 1) * (y + 1) + x * x
        elif first[0] == FAR:
            out[z, y, x] = (z + 1) * (z + 1) + y * y + x * x


_along_rows = Kernel(along_rows_kernel)
_across_rows = Kernel(across_rows_kernel)
_across_planes = Kernel(across_planes_kernel)
_before_the_first = Kernel(before_the_first_kernel)


def _along_rows_of(mask, out):
    """Squared distances along x."""
    bits = library_of(mask).empty((*mask.shape[:2], -(-mask.shape[2] // 64)), np.uint64)
    pack(mask, False, bits)
    flat, found = views(bits.reshape(-1).view(np.uint32), out)
    _along_rows[over(out.shape)](flat, np.int64(2 * bits.shape[2]), found)


def squared_in_planes(mask, cap, out):
    """Squared distances of the pixels of every plane to the nearest zero of their plane; see `squared_distances`."""
    before = library_of(mask).empty_like(out)
    _along_rows_of(mask, before)
    _across_rows[over(out.shape)](views(before), np.int64(cap), views(out))


def squared_distances(mask, cap, out):
    """Squared distances of voxels to the nearest zero."""
    between = library_of(mask).empty_like(out)
    _along_rows_of(mask, out)
    first, second = views(out, between)
    _across_rows[over(out.shape)](first, np.int64(cap), second)
    _across_planes[over(out.shape)](second, np.int64(cap), first)


def from_before_the_first(out, planar=False):
    """Squared distances where nothing at all is background: to the place before the first voxel, as SciPy takes them.

    With `planar`, in every plane on its own.
    """
    first, found = views(out[:, 0, 0].copy(), out)
    _before_the_first[over(out.shape)](first, bool(planar), found)
