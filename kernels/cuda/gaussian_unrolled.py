"""The one-pass Gaussian filters of `fastseg.kernels.cuda.gaussian`, compiled for given radii.

A compiler that knows the radii unrolls every sum: weights and what is kept for the sum along z stay in registers, and
places in shared memory are numbers in the code instead of sums. Terms are taken in the same order, so that results are
those of the kernels for any radius, which take over where registers do not suffice.
"""

from functools import lru_cache

import numpy as np
from numba import cuda, float32

from fastseg.kernels.cuda.launch import Kernel, device
from fastseg.kernels.cuda.places import ONE, U, unsigned_3
from fastseg.kernels.voxel import gaussian as voxel

correlated, correlated_twice = device(voxel.correlated), device(voxel.correlated_twice)

_ACROSS, _DOWN = 32, 8
ACROSS, DOWN = U(_ACROSS), U(_DOWN)
"""Threads of a block along x and y."""
_KEPT = ((2, 22), (1, 34))
"""Rows of a thread, and the values that it keeps for its sums along z at most: 80 registers suffice, and three blocks
fit on a multiprocessor."""
_WIDEST = 8
"""Largest radius along y and x: longer sums gain nothing by being unrolled, and take long to compile."""
_ZERO = np.float32(0.0)


def rows_of_thread(rz, ry, rx, images=1):
    """Rows of a tile that a thread takes; None if the filter is too wide."""
    if max(rz, ry, rx) > _WIDEST:
        return None
    return next((rows for rows, most in _KEPT if rows * images * (2 * rz + 1) <= most), None)


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


def make_smooth(rz, ry, rx, each):
    """The kernel of smoothing; one block a tile of ``8 each`` rows, and of `chunk` planes."""
    ring, newest, middle = 2 * rz + 1, 2 * rz, rz
    wide, tall = _ACROSS + 2 * rx, _DOWN * each + 2 * ry
    size = tall * (wide + _ACROSS)
    along = U(tall * wide)
    nz, ny, nx = rz + 1, ry + 1, rx + 1
    high, wide, tall, twice = U(_DOWN * each), U(wide), U(tall), U(2 * rz)
    rows_beyond, columns_beyond, ry, rx = U(2 * ry), U(2 * rx), U(ry), U(rx)

    def smooth_kernel(image, wz, wy, wx, planes, rows, columns, chunk, out):
        shared = cuda.shared.array(size, float32)  # the plane, and after it the plane correlated along x
        kept = cuda.local.array((each, ring), float32)
        deep, vertical, level = (
            cuda.local.array(nz, float32),
            cuda.local.array(ny, float32),
            cuda.local.array(nx, float32),
        )
        for k in range(nz):
            deep[k] = wz[k]
        for k in range(ny):
            vertical[k] = wy[k]
        for k in range(nx):
            level[k] = wx[k]
        depth, height, width = unsigned_3(image.shape)
        tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
        left, top = U(cuda.blockIdx.x) * ACROSS, U(cuda.blockIdx.y) * high
        first = U(cuda.blockIdx.z) * U(chunk)
        last_row, last_column = height + rows_beyond - ONE, width + columns_beyond - ONE
        x = left + tx
        for r in range(each):
            for k in range(ring):
                kept[r, k] = _ZERO
        position, end = first, min(first + U(chunk), depth) + twice
        while position < end:
            plane = U(planes[position])
            load_plane(image, plane, rows, columns, top, left, last_row, last_column, shared, wide, tall)
            cuda.syncthreads()
            j = ty
            while j < tall:
                shared[along + j * ACROSS + tx] = correlated(shared, j * wide + tx + rx, ONE, level, rx)
                j += DOWN
            cuda.syncthreads()
            for r in range(each):
                j = ty + U(r) * DOWN
                for k in range(newest):
                    kept[r, k] = kept[r, k + 1]
                kept[r, newest] = correlated(shared, along + (j + ry) * ACROSS + tx, ACROSS, vertical, ry)
                y = top + j
                if position >= first + twice and y < height and x < width:
                    centre, rest = kept[r, middle], _ZERO
                    for k in range(middle):
                        rest += deep[k] * ((kept[r, k] - centre) + (kept[r, newest - k] - centre))
                    out[position - twice, y, x] = deep[middle] * centre + rest
            position += ONE

    return smooth_kernel


def make_laplacian(radius, volume, each):
    """The kernel of the Laplacian of Gaussian, otherwise as `make_smooth`."""
    middle = radius if volume else 0
    ring, newest = 2 * middle + 1, 2 * middle
    wide, tall = _ACROSS + 2 * radius, _DOWN * each + 2 * radius
    size = tall * (wide + 2 * _ACROSS)
    level, bent = U(tall * wide), U(tall * (wide + _ACROSS))
    terms = radius + 1
    high, wide, tall, twice, reach = U(_DOWN * each), U(wide), U(tall), U(2 * radius), U(2 * middle)
    radius = U(radius)

    def laplacian_kernel(image, smoothing, curvature, factor, planes, rows, columns, chunk, out):
        shared = cuda.shared.array(size, float32)  # the plane, smoothed and bent along x after it
        kept = cuda.local.array((each, ring), float32)
        kept_bent = cuda.local.array((each, ring), float32)
        flat, curved_weights = cuda.local.array(terms, float32), cuda.local.array(terms, float32)
        for k in range(terms):
            flat[k], curved_weights[k] = smoothing[k], curvature[k]
        depth, height, width = unsigned_3(image.shape)
        tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
        left, top = U(cuda.blockIdx.x) * ACROSS, U(cuda.blockIdx.y) * high
        first = U(cuda.blockIdx.z) * U(chunk)
        last_row, last_column = height + twice - ONE, width + twice - ONE
        x = left + tx
        for r in range(each):
            for k in range(ring):
                kept[r, k] = kept_bent[r, k] = _ZERO
        position, end = first, min(first + U(chunk), depth) + reach
        while position < end:
            plane = U(planes[position]) if volume else position
            load_plane(image, plane, rows, columns, top, left, last_row, last_column, shared, wide, tall)
            cuda.syncthreads()
            j = ty
            while j < tall:
                at = j * wide + tx + radius
                smoothed, curved = correlated_twice(shared, at, ONE, flat, curved_weights, radius)
                shared[level + j * ACROSS + tx] = smoothed
                shared[bent + j * ACROSS + tx] = curved
                j += DOWN
            cuda.syncthreads()
            for r in range(each):
                j = ty + U(r) * DOWN
                at = (j + radius) * ACROSS + tx
                smoothed, curved = correlated_twice(shared, level + at, ACROSS, flat, curved_weights, radius)
                curved += correlated(shared, bent + at, ACROSS, flat, radius)
                y = top + j
                inside = position >= first + reach and y < height and x < width
                if volume:
                    for k in range(newest):
                        kept[r, k], kept_bent[r, k] = kept[r, k + 1], kept_bent[r, k + 1]
                    kept[r, newest], kept_bent[r, newest] = smoothed, curved
                    if inside:
                        a, b, rest = kept[r, middle], kept_bent[r, middle], _ZERO
                        for k in range(middle):
                            rest += curved_weights[k] * ((kept[r, k] - a) + (kept[r, newest - k] - a))
                            rest += flat[k] * ((kept_bent[r, k] - b) + (kept_bent[r, newest - k] - b))
                        found = (curved_weights[middle] * a + flat[middle] * b) + rest
                        out[position - reach, y, x] = found * factor
                elif inside:
                    out[position, y, x] = curved * factor
            position += ONE

    return laplacian_kernel


@lru_cache(maxsize=64)
def smooth(rz, ry, rx):
    """The compiled kernel and the rows of its tile; None if the filter is too wide."""
    each = rows_of_thread(rz, ry, rx)
    return None if each is None else (Kernel(make_smooth(rz, ry, rx, each)), _DOWN * each)


@lru_cache(maxsize=64)
def laplacian(radius, volume):
    """The compiled kernel and the rows of its tile; None if the filter is too wide."""
    each = rows_of_thread(radius if volume else 0, radius, radius, 2)
    return None if each is None else (Kernel(make_laplacian(radius, volume, each)), _DOWN * each)
