"""Gaussian smoothing and its Laplacian in float32; see `fastseg.kernels.cpu.gaussian` for the arguments.

The weights are those of `fastseg.kernels.voxel.gaussian`: float32, the last one being the sum of all.

Up to a radius that shared memory allows, a block walks along z with the columns of a tile: it loads a plane of the tile
with its border, correlates it along x and y in shared memory, and keeps the last ``2 radius + 1`` results for the sum
along z. The volume is read once and the result written once. Wider kernels go axis by axis.

Bytes moved from and to memory for every voxel, halos apart (which the cache of the device mostly serves):

===================  ============  =============  ===================================
filter               one pass      axis by axis   CuPy's `correlate1d`
===================  ============  =============  ===================================
smoothing, 3-D       8             24             24
smoothing, planes    8             16             16
Laplacian, 3-D       8             64             104: 3 x 24, two sums, the factor
Laplacian, planes    8             36             52: 2 x 16, one sum, the factor
===================  ============  =============  ===================================

CuPy accumulates in float64, which cards other than those for data centres do at a 32nd or 64th of the rate of float32:
there its ``2 radius + 1`` double products a voxel and axis, not memory, take the time.

The Laplacian needs 7 sums along lines instead of 9: with A smoothed and B bent within the plane it is the bent A plus
the smoothed B along z. Whether a filter runs in one pass depends on its radii alone, never on the image or a tile.
"""

import numpy as np
from numba import cuda, float32

from fastseg.kernels.cuda.launch import Kernel, device
from fastseg.kernels.cuda.memory import library_of, views
from fastseg.kernels.cuda.places import NONE, ONE, U, unsigned_3
from fastseg.kernels.voxel import gaussian as voxel

correlated, correlated_twice = device(voxel.correlated), device(voxel.correlated_twice)

WIDEST = 700
"""Largest radius: a line's stretch and its weights must fit into shared memory."""

ACROSS, DOWN = U(32), U(8)
"""Threads of a block along x and y, known to the compiler."""
_ROWS = (16, 8)
"""Rows of a tile, the first that fits."""
_SHARED = 48 << 10
"""Bytes of shared memory that a block may have on every card."""
_BLOCKS = 1024
"""Blocks that keep a large device at work; stacks of few tiles are cut along z as well."""
_PLANES = 16
"""At least so many planes go to a block, each of which reads ``2 radius`` more."""
_PLACES = 4
"""Results of a thread along a line."""
EACH = U(_PLACES)
_ZERO, _UNCHANGED = np.float32(0.0), np.float32(1.0)


def smooth_kernel(image, wz, wy, wx, planes, rows, columns, high, chunk, out):
    """One block a tile of `high` rows, and of `chunk` planes."""
    # the plane, correlated along x after it, and then the ring along z
    shared = cuda.shared.array(0, float32)
    depth, height, width = unsigned_3(image.shape)
    rz, ry, rx = unsigned_3((wz.size - 1, wy.size - 1, wx.size - 1))
    tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
    high, chunk = U(high), U(chunk)
    wide, tall, size, ring = ACROSS + rx + rx, high + ry + ry, high * ACROSS, rz + rz + ONE
    along = wide * tall
    held = along + ACROSS * tall
    left, top, first = U(cuda.blockIdx.x) * ACROSS, U(cuda.blockIdx.y) * high, U(cuda.blockIdx.z) * chunk
    last_row, last_column = height + ry + ry - ONE, width + rx + rx - ONE
    x = left + tx
    newest = NONE
    position, end = first, min(first + chunk, depth) + rz + rz
    while position < end:  # for a range, the compiler keeps counts of its own
        plane = U(planes[position])
        load_plane(image, plane, rows, columns, top, left, last_row, last_column, shared, wide, tall)
        cuda.syncthreads()
        j = ty
        while j < tall:
            shared[along + j * ACROSS + tx] = correlated(shared, j * wide + tx + rx, ONE, wx, rx)
            j += DOWN
        cuda.syncthreads()
        j = ty
        while j < high:
            at = j * ACROSS + tx
            own = held + at  # no other thread looks at what lies there in the ring
            shared[own + newest * size] = correlated(shared, along + at + ry * ACROSS, ACROSS, wy, ry)
            y = top + j
            if position >= first + rz + rz and y < height and x < width:
                out[position - rz - rz, y, x] = along_ring(shared, own, newest, ring, size, wz, rz)
            j += DOWN
        position += ONE
        newest = newest + ONE if newest + ONE < ring else NONE


@cuda.jit(device=True)
def load_plane(image, plane, rows, columns, top, left, last_row, last_column, shared, wide, tall):
    """The part of a plane that a tile needs, with its border."""
    tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
    i = tx
    while i < wide:
        column = U(columns[min(left + i, last_column)])
        j = ty
        while j < tall:
            shared[j * wide + i] = image[plane, U(rows[min(top + j, last_row)]), column]
            j += DOWN
        i += ACROSS


@cuda.jit(device=True)
def along_ring(values, at, newest, ring, step, weights, radius):
    """`correlated` where the values lie in a ring, `step` apart, that ends at its newest entry."""
    centre = values[at + (newest - radius if newest >= radius else newest + ring - radius) * step]
    rest = _ZERO
    high = newest
    low = newest + ONE if newest + ONE < ring else NONE
    k = NONE
    while k < radius:
        rest += weights[k] * ((values[at + low * step] - centre) + (values[at + high * step] - centre))
        low = low + ONE if low + ONE < ring else NONE
        high = high - ONE if high > NONE else ring - ONE
        k += ONE
    return weights[radius] * centre + rest


@cuda.jit(device=True)
def along_rings(values, at, newest, ring, step, first, second, radius):
    """The sum of what a first ring gives with one kernel and a second ring, after it, with another."""
    beside = ring * step
    middle = at + (newest - radius if newest >= radius else newest + ring - radius) * step
    a, b = values[middle], values[middle + beside]
    rest = _ZERO
    high = newest
    low = newest + ONE if newest + ONE < ring else NONE
    k = NONE
    while k < radius:
        below, above = at + low * step, at + high * step
        rest += first[k] * ((values[below] - a) + (values[above] - a))
        rest += second[k] * ((values[below + beside] - b) + (values[above + beside] - b))
        low = low + ONE if low + ONE < ring else NONE
        high = high - ONE if high > NONE else ring - ONE
        k += ONE
    return (first[radius] * a + second[radius] * b) + rest


def laplacian_kernel(image, smoothing, curvature, volume, factor, planes, rows, columns, high, chunk, out):
    """One block a tile of `high` rows, and of `chunk` planes."""
    # the plane, smoothed and bent along x after it, and then two rings along z
    shared = cuda.shared.array(0, float32)
    depth, height, width = unsigned_3(image.shape)
    radius = U(smoothing.size - 1)
    twice = radius + radius
    reach = twice if volume else NONE
    tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
    high, chunk = U(high), U(chunk)
    wide, tall, size, ring = ACROSS + twice, high + twice, high * ACROSS, reach + ONE
    level = wide * tall
    bent = level + ACROSS * tall
    held = bent + ACROSS * tall
    left, top, first = U(cuda.blockIdx.x) * ACROSS, U(cuda.blockIdx.y) * high, U(cuda.blockIdx.z) * chunk
    last_row, last_column = height + twice - ONE, width + twice - ONE
    x = left + tx
    newest = NONE
    position, end = first, min(first + chunk, depth) + reach
    while position < end:
        plane = U(planes[position]) if volume else position
        load_plane(image, plane, rows, columns, top, left, last_row, last_column, shared, wide, tall)
        cuda.syncthreads()
        j = ty
        while j < tall:
            at = j * wide + tx + radius
            smoothed, curved = correlated_twice(shared, at, ONE, smoothing, curvature, radius)
            shared[level + j * ACROSS + tx] = smoothed
            shared[bent + j * ACROSS + tx] = curved
            j += DOWN
        cuda.syncthreads()
        j = ty
        while j < high:
            at = (j + radius) * ACROSS + tx
            smoothed, curved = correlated_twice(shared, level + at, ACROSS, smoothing, curvature, radius)
            curved += correlated(shared, bent + at, ACROSS, smoothing, radius)
            y = top + j
            inside = position >= first + reach and y < height and x < width
            if volume:
                own = held + j * ACROSS + tx
                shared[own + newest * size] = smoothed
                shared[own + (ring + newest) * size] = curved
                if inside:
                    found = along_rings(shared, own, newest, ring, size, curvature, smoothing, radius)
                    out[position - reach, y, x] = found * factor
            elif inside:
                out[position, y, x] = curved * factor
            j += DOWN
        position += ONE
        newest = newest + ONE if newest + ONE < ring else NONE


def along_kernel(lines, weights, sources, out):
    """Lines (n, X) along themselves; one block a stretch of a few lines."""
    shared = cuda.shared.array(0, float32)
    count, size = U(lines.shape[0]), U(lines.shape[1])
    radius = U(weights.size - 1)
    tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
    stretch = ACROSS * EACH
    wide = stretch + radius + radius
    line = U(cuda.blockIdx.x) * DOWN + ty
    first = U(cuda.blockIdx.y) * stretch
    last = size + radius + radius - ONE
    own = ty * wide
    if line < count:
        i = tx
        while i < wide:
            shared[own + i] = lines[line, U(sources[min(first + i, last)])]
            i += ACROSS
    cuda.syncthreads()
    if line < count:
        i, end = tx, min(stretch, size - first)
        while i < end:
            out[line, first + i] = correlated(shared, own + i + radius, ONE, weights, radius)
            i += ACROSS


def across_kernel(stacks, weights, sources, factor, add, out):
    """Stacks (n, S, X) along the middle axis, times a factor, added to what is there with `add`.

    One thread for a few places one after another, so that each value that it reads serves all of them. Every place
    takes its terms in the order of the line, whatever its neighbours in the thread are.
    """
    shared = cuda.shared.array(0, float32)
    size, width = U(stacks.shape[1]), U(stacks.shape[2])
    radius = U(weights.size - 1)
    twice = radius + radius
    tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
    # the weights of the whole line, between zeros for the places that a value does not reach
    middle = radius + EACH - ONE
    i = ty * ACROSS + tx
    while i < middle + middle + ONE:
        away = middle - i if i < middle else i - middle
        shared[i] = weights[radius - away] if NONE < away <= radius else _ZERO
        i += ACROSS * DOWN
    cuda.syncthreads()
    x = U(cuda.blockIdx.x) * ACROSS + tx
    first = (U(cuda.blockIdx.y) * DOWN + ty) * EACH
    if x < width and first < size:
        stack, target = stacks[cuda.blockIdx.z], out[cuda.blockIdx.z]
        end, last = size - ONE, size + twice - ONE
        second = first + ONE
        third = second + ONE
        fourth = third + ONE
        ca, cb = stack[first, x], stack[min(second, end), x]
        cc, cd = stack[min(third, end), x], stack[min(fourth, end), x]
        ra, rb, rc, rd = _ZERO, _ZERO, _ZERO, _ZERO
        wa, wb, wc, wd = _ZERO, _ZERO, _ZERO, _ZERO
        i = EACH - ONE
        while i < twice + EACH + EACH - ONE:
            value = stack[U(sources[min(first + i - (EACH - ONE), last)]), x]
            wd, wc, wb = wc, wb, wa
            wa = shared[i]
            i += ONE
            ra += wa * (value - ca)
            rb += wb * (value - cb)
            rc += wc * (value - cc)
            rd += wd * (value - cd)
        whole = weights[radius]
        store(target, first, x, factor * (whole * ca + ra), add)
        store(target, second, x, factor * (whole * cb + rb), add)
        store(target, third, x, factor * (whole * cc + rc), add)
        store(target, fourth, x, factor * (whole * cd + rd), add)


@cuda.jit(device=True)
def store(target, place, x, value, add):
    if place < U(target.shape[0]):
        target[place, x] = target[place, x] + value if add else value


REGISTERS = {smooth_kernel: 64, laplacian_kernel: 80}
"""At most, so that 4 and 3 blocks fit on a multiprocessor: as many as shared memory allows at the usual radii."""
_smooth = Kernel(smooth_kernel, REGISTERS[smooth_kernel])
_laplacian = Kernel(laplacian_kernel, REGISTERS[laplacian_kernel])
_along = Kernel(along_kernel)
_across = Kernel(across_kernel)


def _block():
    return int(ACROSS), int(DOWN)


def _pieces(total, size):
    return max(1, -(-total // size))


def shared_bytes(high, rz, ry, rx, images=1):
    """Shared memory of a block of one pass, with `images` results of a plane for the sum along z."""
    wide, tall = int(ACROSS) + 2 * rx, high + 2 * ry
    return 4 * (wide * tall + images * (int(ACROSS) * tall + high * int(ACROSS) * (2 * rz + 1)))


def rows_of_tile(rz, ry, rx, images=1):
    """Rows of a tile of one pass; None if the kernel is too wide for it."""
    return next((n for n in _ROWS if shared_bytes(n, rz, ry, rx, images) <= _SHARED), None)


def _tiles(shape, high, shared):
    """Grid and block of one pass, and the planes of a block."""
    depth, height, width = shape
    columns, lines = _pieces(width, int(ACROSS)), _pieces(height, high)
    parts = min(_pieces(depth, _PLANES), _pieces(_BLOCKS, columns * lines))
    chunk = _pieces(depth, parts)
    return ((columns, lines, _pieces(depth, chunk)), _block(), shared), chunk


def _along_x(stack, weights, sources, out):
    across, down = _block()
    lines = stack.reshape(-1, stack.shape[-1])
    grid = _pieces(lines.shape[0], down), _pieces(lines.shape[1], across * _PLACES)
    shared = 4 * down * (across * _PLACES + 2 * (weights.size - 1))
    _along[grid, _block(), shared](*views(lines, weights, sources, out.reshape(lines.shape)))


def _across_lines(stack, axis, weights, sources, out, factor=_UNCHANGED, add=False):
    depth, height, width = stack.shape
    stacks = stack if axis == 1 else stack.reshape(1, depth, height * width)
    count, size, width = stacks.shape
    shared = 4 * (2 * (weights.size - 1) + 2 * _PLACES - 1)
    grid = _pieces(width, int(ACROSS)), _pieces(size, int(DOWN) * _PLACES), count
    arguments = views(stacks, weights, sources, out.reshape(stacks.shape))
    _across[grid, _block(), shared](*arguments[:3], factor, add, arguments[3])


def smooth(image, wz, wy, wx, planes, rows, columns, out):
    """Correlate with a symmetric kernel along each axis."""
    radii = wz.size - 1, wy.size - 1, wx.size - 1
    high = rows_of_tile(*radii)
    if high is not None:
        launch, chunk = _tiles(image.shape, high, shared_bytes(high, *radii))
        arrays = views(image, wz, wy, wx, planes, rows, columns, out)
        _smooth[launch](*arrays[:-1], high, chunk, arrays[-1])
        return
    steps = [n for n, radius in zip((2, 1, 0), radii[::-1], strict=True) if radius > 0]
    spare = library_of(out).empty_like(out) if len(steps) > 1 else out
    tables = {0: (wz, planes), 1: (wy, rows), 2: (wx, columns)}
    source = image
    for left, axis in zip(range(len(steps) - 1, -1, -1), steps, strict=True):
        target = spare if left % 2 else out
        if axis == 2:
            _along_x(source, *tables[axis], target)
        else:
            _across_lines(source, axis, *tables[axis], target)
        source = target


def laplacian(image, smoothing, curvature, volume, factor, planes, rows, columns, out):
    """Sum of the second Gaussian derivatives along z (with `volume`), y and x, times a factor."""
    radius = smoothing.size - 1
    rz, images = (radius, 2) if volume else (0, 2)
    high = rows_of_tile(rz, radius, radius, images)
    if high is not None:
        launch, chunk = _tiles(image.shape, high, shared_bytes(high, rz, radius, radius, images))
        arrays = views(image, smoothing, curvature, planes, rows, columns, out)
        _laplacian[launch](*arrays[:3], bool(volume), factor, *arrays[3:6], high, chunk, arrays[6])
        return
    empty_like = library_of(out).empty_like
    level, bent = empty_like(out), empty_like(out)
    _along_x(image, smoothing, columns, level)
    _along_x(image, curvature, columns, bent)
    if not volume:
        _across_lines(level, 1, curvature, rows, out, factor)
        _across_lines(bent, 1, smoothing, rows, out, factor, add=True)
        return
    of_plane = empty_like(out)
    _across_lines(level, 1, curvature, rows, of_plane)
    _across_lines(bent, 1, smoothing, rows, of_plane, add=True)
    _across_lines(level, 1, smoothing, rows, bent)
    _across_lines(bent, 0, curvature, planes, out, factor)
    _across_lines(of_plane, 0, smoothing, planes, out, factor, add=True)
