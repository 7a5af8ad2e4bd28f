"""Intensity peaks of objects, at a minimum distance of two voxels; see `fastseg.kernels.cpu.peaks`.

1. One thread a voxel marks window maxima above the floor, and objects that are not flat. Marks of objects are set by
   whoever comes, always to the same value; a thread that reads one too early looks at a voxel for nothing.
2. One thread a voxel clears candidates of flat objects that an opening keeps. It reads marks of step 1 alone, and
   changes its own voxel alone.
3. Of candidates that touch, the first in scan order is kept, and so on. A candidate is dropped as soon as one of the 13
   neighbours before it is known to be kept, and kept as soon as all of them are known not to be. Both are what the walk
   in scan order decides, whenever the thread gets to see it: a decision is never taken back, and one that is seen late
   only delays. The first candidate that waits can always be decided, so every launch decides something. A block looks
   as long as that helps, meeting at a barrier of its own in between; what crosses its border waits for the next launch.
   Chains are as long as a plateau is wide; without plateaus one launch does.

Bytes moved a voxel: 4 for the labels and 1 for the marks; 4 for the image inside objects; then 2 to thin and 1 a launch
of step 3.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.grids import repeat_until_settled
from fastseg.kernels.cuda.launch import Kernel, device, over
from fastseg.kernels.cuda.memory import library_of, views
from fastseg.kernels.voxel import peaks as voxel
from fastseg.kernels.voxel.peaks import RADIUS

__all__ = ["RADIUS", "dilate_by_faces", "peaks_of_objects"]

higher_beside, higher_in_window = device(voxel.higher_beside), device(voxel.higher_in_window)
face_cross_fits = device(voxel.face_cross_fits)

_NO, _YES, _OPEN = np.uint8(0), np.uint8(1), np.uint8(2)
_LOOKS = 32
"""How often a block looks at its candidates in a launch, at most."""


def candidates_kernel(values, labels, start, stop, floor, uneven, found):
    """One thread a voxel of the box."""
    i, j, k = cuda.grid(3)
    x, y, z = i + start[2], j + start[1], k + start[0]
    if z < stop[0] and y < stop[1] and x < stop[2]:
        number = labels[z, y, x]
        above = values[z, y, x] > floor
        # Voxels at the floor cannot be peaks, but they do tell whether the object is flat.
        if number != 0 and (above or uneven[number] == 0):
            if higher_beside(values, labels, start, stop, z, y, x) or higher_in_window(
                values, labels, start, stop, z, y, x
            ):
                uneven[number] = 1
            elif above:
                found[z, y, x] = _YES


def thin_kernel(labels, start, stop, uneven, found):
    """One thread a voxel of the box: candidates become open, those that an opening of a flat object keeps are none."""
    i, j, k = cuda.grid(3)
    x, y, z = i + start[2], j + start[1], k + start[0]
    if z < stop[0] and y < stop[1] and x < stop[2] and found[z, y, x] == _YES:
        number = labels[z, y, x]
        found[z, y, x] = _OPEN
        if uneven[number] == 0 and (
            face_cross_fits(labels, start, stop, number, z, y, x)
            or face_cross_fits(labels, start, stop, number, z - 1, y, x)
            or face_cross_fits(labels, start, stop, number, z + 1, y, x)
            or face_cross_fits(labels, start, stop, number, z, y - 1, x)
            or face_cross_fits(labels, start, stop, number, z, y + 1, x)
            or face_cross_fits(labels, start, stop, number, z, y, x - 1)
            or face_cross_fits(labels, start, stop, number, z, y, x + 1)
        ):
            found[z, y, x] = _NO


@cuda.jit(device=True)
def decided(found, z, y, x):
    """What is known of a candidate from the neighbours before it."""
    _, height, width = found.shape
    verdict = _YES
    for k in range(max(z - 1, 0), z + 1):
        for j in range(max(y - 1, 0), min(y + 2, height)):
            for i in range(max(x - 1, 0), min(x + 2, width)):
                if k < z or j < y or (j == y and i < x):
                    there = found[k, j, i]
                    if there == _YES:
                        return _NO
                    if there == _OPEN:
                        verdict = _OPEN
    return verdict


def keep_first_kernel(start, stop, found, left):
    """One thread a voxel of the box; ``left[0]`` becomes 1 if some candidate is still open."""
    i, j, k = cuda.grid(3)
    x, y, z = i + start[2], j + start[1], k + start[0]
    waits = False
    if z < stop[0] and y < stop[1] and x < stop[2]:
        waits = found[z, y, x] == _OPEN
    before = -1
    for _ in range(_LOOKS):
        open_here = cuda.syncthreads_count(np.int32(waits))
        if open_here == 0:
            return
        if open_here == before:
            break
        before = open_here
        if waits:
            verdict = decided(found, z, y, x)
            if verdict != _OPEN:
                found[z, y, x] = verdict
                waits = False
    if waits:
        left[0] = 1


def dilate_by_faces_kernel(mask, out):
    """One thread a voxel."""
    x, y, z = cuda.grid(3)
    depth, height, width = mask.shape
    if z < depth and y < height and x < width:
        out[z, y, x] = (
            mask[z, y, x]
            or (x > 0 and mask[z, y, x - 1])
            or (x < width - 1 and mask[z, y, x + 1])
            or (y > 0 and mask[z, y - 1, x])
            or (y < height - 1 and mask[z, y + 1, x])
            or (z > 0 and mask[z - 1, y, x])
            or (z < depth - 1 and mask[z + 1, y, x])
        )


_candidates = Kernel(candidates_kernel)
_thin = Kernel(thin_kernel)
_keep_first = Kernel(keep_first_kernel)
_dilate_by_faces = Kernel(dilate_by_faces_kernel)


def peaks_of_objects(values, labels, count, start, stop, floor, found):
    """Find the intensity peaks of what a box holds of every object."""
    if any(b <= a for a, b in zip(start, stop)):
        return
    xp = library_of(labels)
    start, stop = (tuple(np.int64(n) for n in place) for place in (start, stop))
    grid = over(tuple(b - a for a, b in zip(start, stop)))
    arrays = values, labels, xp.zeros(count + 1, np.uint8), found.view(np.uint8), xp.zeros(1, np.int32)
    image, names, uneven, state, left = views(*arrays)
    _candidates[grid](image, names, start, stop, values.dtype.type(floor), uneven, state)
    _thin[grid](names, start, stop, uneven, state)
    repeat_until_settled(lambda: _keep_first[grid](start, stop, state, left), arrays[-1])


def dilate_by_faces(mask, out):
    """Binary dilation with the face cross."""
    _dilate_by_faces[over(mask.shape)](*views(mask, out))
