"""Thinning that keeps the medial axis of every plane; see `fastseg.kernels.cpu.thinning`.

The axis is what an ordered walk leaves: pixels are visited by rising (distance, background neighbours, position) and
deleted if the state of their window at that moment allows it. What the walk decides on a pixel depends on its window
alone, where pixels that come later are still there, and of those that come earlier only what was decided on them
counts. So one thread a pixel takes the decision as soon as the windows that are still possible all lead to the same:

- a decision is what the walk decides, whoever takes it and when. It is never taken back, so a thread that sees its
  neighbour's decision late waits, and nothing else;
- the pixel that the walk would visit next can always be decided, so every launch decides something;
- most pixels do not wait for their neighbours, since both outcomes lead to the same decision, which breaks the chains
  along straight edges.

A block looks at its tile as long as that helps, meeting at a barrier of its own in between; what crosses its border
waits for the next launch, and launches are repeated until no pixel is open. No block waits for another one. Planes of
900 x 600 pixels took 6 launches with objects of 25 pixels and 12 with such of 100, in an emulation of the blocks;
76 and 277 without the third point.

Bytes moved a voxel: 13 for the distances, 7 to order pixels, 1 a launch, 14 for the distances to the axis, 5 to
compare; 5 to peel, besides what packed dilation takes.
"""

from math import isqrt, sqrt

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.distance import FAR, dtype_for, from_before_the_first, squared_in_planes
from fastseg.kernels.cuda.grids import over_planes, repeat_until_settled
from fastseg.kernels.cuda.launch import Kernel, over
from fastseg.kernels.cuda.memory import library_of, views
from fastseg.kernels.cuda.morphology import dilate, pack
from fastseg.kernels.voxel.thinning import STAYS

_NO, _YES, _OPEN = np.uint8(0), np.uint8(1), np.uint8(2)
_CENTRE = 16
_LOOKS = 32
"""How often a block looks at its pixels in a launch, at most."""


def open_kernel(mask, border, state, filled):
    """One thread a pixel: how many pixels of its window are background; 1 for planes with foreground."""
    x, y, z = cuda.grid(3)
    depth, height, width = mask.shape
    if z < depth and y < height and x < width:
        inside = mask[z, y, x]
        state[z, y, x] = _OPEN if inside else _NO
        if inside:
            count = 9
            for j in range(max(y - 1, 0), min(y + 2, height)):
                for i in range(max(x - 1, 0), min(x + 2, width)):
                    if mask[z, j, i]:
                        count -= 1
            border[z, y, x] = count
            filled[z] = 1


@cuda.jit(device=True)
def window_of(mask, squared, border, state, z, y, x):
    """Pattern of the pixels known to be set when the walk comes to a pixel, and of those that may be."""
    _, height, width = mask.shape
    known, unknown = _CENTRE, 0
    distance, count = squared[z, y, x], border[z, y, x]
    for j in range(max(y - 1, 0), min(y + 2, height)):
        for i in range(max(x - 1, 0), min(x + 2, width)):
            if (j != y or i != x) and mask[z, j, i]:
                bit = 1 << (3 * (j - y + 1) + i - x + 1)
                there = squared[z, j, i]
                later = there > distance
                if there == distance:
                    beside = border[z, j, i]
                    later = beside > count or (beside == count and (j > y or (j == y and i > x)))
                if later:
                    known |= bit
                else:
                    found = state[z, j, i]
                    if found == _YES:
                        known |= bit
                    elif found == _OPEN:
                        unknown |= bit
    return known, unknown


def walk_kernel(mask, squared, border, stays, state, left):
    """One thread a pixel; ``left[0]`` becomes 1 if some pixel is still open."""
    x, y, z = cuda.grid(3)
    waits = False
    if z < mask.shape[0] and y < mask.shape[1] and x < mask.shape[2]:
        waits = state[z, y, x] == _OPEN
    before = -1
    for _ in range(_LOOKS):
        open_here = cuda.syncthreads_count(np.int32(waits))
        if open_here == 0:
            return
        if open_here == before:
            break
        before = open_here
        if waits:
            known, unknown = window_of(mask, squared, border, state, z, y, x)
            verdict = stays[known]
            part = unknown
            while part > 0 and stays[known | part] == verdict:
                part = (part - 1) & unknown
            if part == 0:
                state[z, y, x] = verdict
                waits = False
    if waits:
        left[0] = 1


def outside_kernel(state, out):
    """One thread a pixel: whether it is not on the axis."""
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        out[z, y, x] = state[z, y, x] != _YES


def further_kernel(squared, limit, filled, found):
    """One thread a pixel: whether its squared distance exceeds a limit, in planes with foreground."""
    x, y, z = cuda.grid(3)
    if z < found.shape[0] and y < found.shape[1] and x < found.shape[2]:
        found[z, y, x] = filled[z] != 0 and squared[z, y, x] > limit


def peel_kernel(mask, removable, reached, out):
    """One thread a voxel; `reached` are bytes of packed bits: voxels within reach of the background."""
    x, y, z = cuda.grid(3)
    if z < out.shape[0] and y < out.shape[1] and x < out.shape[2]:
        near = (reached[z, y, x // 8] >> np.uint8(x % 8)) & np.uint8(1)
        out[z, y, x] = mask[z, y, x] and not (near != 0 and removable[z, y, x])


_open = Kernel(open_kernel)
_walk = Kernel(walk_kernel)
_outside = Kernel(outside_kernel)
_further = Kernel(further_kernel)
_peel = Kernel(peel_kernel)


def _axis(mask):
    """State of every pixel, `_YES` on the medial axis of its plane; and 1 for planes with foreground."""
    xp = library_of(mask)
    squared = xp.empty(mask.shape, dtype_for(mask.shape[1:]))
    squared_in_planes(mask, FAR, squared)
    from_before_the_first(squared, planar=True)
    border, state = xp.empty(mask.shape, np.uint8), xp.empty(mask.shape, np.uint8)
    filled, left = xp.zeros(mask.shape[0], np.uint8), xp.zeros(1, np.int32)
    arrays = mask, squared, border, xp.asarray(STAYS.astype(np.uint8)), state, left, filled
    given, far, beside, stays, states, undone, planes = views(*arrays)
    _open[over(mask.shape)](given, beside, states, planes)
    repeat_until_settled(
        lambda: _walk[over_planes(mask.shape)](given, far, beside, stays, states, undone), left
    )
    return state, filled


def _largest_within(distance):
    """The largest whole number whose root does not exceed a distance of less than the root of `FAR`."""
    found = int(distance * distance) + 2
    while found > 0 and sqrt(found) > distance:
        found -= 1
    return found


def far_from_axis(mask, distance):
    """Pixels of each plane that lie further than a distance from its medial axis (Blum, 1967)."""
    xp = library_of(mask)
    state, filled = _axis(mask)
    found = xp.empty(mask.shape, bool)
    squared = xp.empty(mask.shape, dtype_for(mask.shape[1:]))
    _outside[over(mask.shape)](*views(state, found))
    limit = _largest_within(min(distance, sqrt(FAR)))
    squared_in_planes(found, min(limit + 1, FAR), squared)
    far, planes, out = views(squared, filled, found)
    _further[over(mask.shape)](far, np.int64(limit), planes, out)
    return found


def medial_axis(mask):
    """Medial axis of a plane: see `far_from_axis`."""
    return (_axis(mask[None])[0] == _YES)[0]


def _ball(radius):
    """How far the rows of a ball reach along x; see `fastseg.kernels.cpu.morphology.dilate`."""
    left = [[radius**2 - z**2 - y**2 for y in range(-radius, radius + 1)] for z in range(-radius, radius + 1)]
    return np.array([[isqrt(n) if n >= 0 else -1 for n in row] for row in left], np.int64)


def peeled(mask, removable, thickness):
    """A mask without those voxels of its outer layer that are removable."""
    xp = library_of(mask)
    bits = xp.empty((*mask.shape[:2], -(-mask.shape[2] // 64)), np.uint64)
    pack(mask, False, bits)
    reached, out = xp.zeros_like(bits), xp.empty(mask.shape, bool)
    dilate(bits, _ball(thickness), reached)
    _peel[over(mask.shape)](*views(mask, removable, reached.view(np.uint8), out))
    return out
