"""Dilation of masks by balls, disks and crosses on packed bits; see `fastseg.kernels.cpu.morphology`.

One thread a word of 32 voxels (a byte of 8 where bits are made). Each thread writes words of its own and reads what
earlier launches wrote, so nothing depends on the order of threads; rows are widened from one array into another, since
neighbours would otherwise be read while they are being written.

Bytes moved a voxel: 1 + 1/8 to pack, 1/8 to read and 1/8 to write for each step of the reach along x, as much for each
width of a row of the footprint, whose neighbouring rows come from the cache, and 1 + 1/8 to unpack.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.grids import over_list
from fastseg.kernels.cuda.launch import Kernel, as_int64, over
from fastseg.kernels.cuda.memory import library_of, nothing, views
from fastseg.kernels.voxel.bits import widened

_BYTE = 8
_ZERO = np.uint32(0)
_BIT = np.uint8(1)


def pack_kernel(mask, inside, out):
    """One thread a byte of a row: 8 voxels."""
    j, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and j < out.shape[2]:
        width = mask.shape[2]
        byte = 0
        for k in range(_BYTE):
            x = _BYTE * j + k
            if x < width and (mask[z, y, x] != 0) == inside:
                byte |= 1 << k
        out[z, y, j] = byte


def unpack_kernel(bits, inside, limited, within, out):
    """One thread a voxel; `bits` are bytes."""
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        found = np.uint8((bits[z, y, x // _BYTE] >> np.uint8(x % _BYTE)) & _BIT)
        if not inside:
            found = np.uint8(found ^ _BIT)
        if limited:
            found = np.uint8(found & within[z, y, x])
        out[z, y, x] = found


def widen_kernel(bits, words, out):
    """One thread a word of flat `bits`, rows being `words` long."""
    i = cuda.grid(1)
    if i < bits.size:
        j = i % words
        before = bits[i - 1] if j > 0 else _ZERO
        after = bits[i + 1] if j < words - 1 else _ZERO
        out[i] = widened(bits[i], before, after)


def join_kernel(bits, depth, height, words, steps, first, last, out):
    """One thread a word of flat `out`; rows ``steps[first:last]`` (z, y) away are joined to its row."""
    i = cuda.grid(1)
    if i < out.size:
        row = i // words
        j = i - row * words
        z = row // height
        y = row - z * height
        word = out[i]
        for k in range(first, last):
            other_z = z + steps[k, 0]
            other_y = y + steps[k, 1]
            if other_z >= 0 and other_z < depth and other_y >= 0 and other_y < height:
                word = np.uint32(word | bits[(other_z * height + other_y) * words + j])
        out[i] = word


def erode_image_kernel(image, out):
    """One thread a voxel."""
    x, y, z = cuda.grid(3)
    depth, height, width = image.shape
    if z < depth and y < height and x < width:
        least = image[z, y, x]
        if x > 0 and image[z, y, x - 1] < least:
            least = image[z, y, x - 1]
        if x < width - 1 and image[z, y, x + 1] < least:
            least = image[z, y, x + 1]
        if y > 0 and image[z, y - 1, x] < least:
            least = image[z, y - 1, x]
        if y < height - 1 and image[z, y + 1, x] < least:
            least = image[z, y + 1, x]
        if z > 0 and image[z - 1, y, x] < least:
            least = image[z - 1, y, x]
        if z < depth - 1 and image[z + 1, y, x] < least:
            least = image[z + 1, y, x]
        out[z, y, x] = least


_pack = Kernel(pack_kernel)
_unpack = Kernel(unpack_kernel)
_widen = Kernel(widen_kernel)
_join = Kernel(join_kernel)
_erode_image = Kernel(erode_image_kernel)


def pack(mask, inside, bits):
    """One bit a voxel."""
    flat = bits.view(np.uint8)  # little-endian words: byte k holds voxels 8 k to 8 k + 7
    mask, flat = views(mask, flat)
    _pack[over(flat.shape)](mask, bool(inside), flat)


def unpack(bits, inside, within, out):
    """Bytes of 0 and 1 from bits."""
    flat = bits.view(np.uint8)
    limited = within.size > 0
    limit = within if limited else nothing(bits, np.uint8, 3)
    flat, limit, found = views(flat, limit, out)
    _unpack[over(out.shape)](flat, bool(inside), limited, limit, found)


def dilate(bits, widths, out):
    """Dilate a packed mask; nothing beyond the border is set."""
    xp = library_of(bits)
    depth, height = bits.shape[:2]
    here, there, target = (a.view(np.uint32).reshape(-1) for a in (bits, xp.empty_like(bits), out))
    words = bits.shape[2] * 2
    order = np.argsort(widths, axis=None, kind="stable")
    steps = np.stack(np.unravel_index(order, widths.shape), axis=1) - np.array(widths.shape) // 2
    ends = np.searchsorted(widths.reshape(-1)[order], np.arange(int(widths.max()) + 1), side="right")
    here, there, target, steps = views(here, there, target, xp.asarray(steps.astype(np.int64)))
    first = int((widths < 0).sum())
    for width, last in enumerate(ends):
        if width > 0:
            _widen[over_list(here.size)](here, np.int64(words), there)
            here, there = there, here
        if first < last:
            shape = as_int64(depth, height, words)
            _join[over_list(here.size)](here, *shape, steps, *as_int64(first, last), target)
        first = int(last)


def erode_image(image, out):
    """The minimum over a voxel and its face neighbours within the image."""
    _erode_image[over(image.shape)](*views(image, out))
