"""Gradient anisotropic diffusion; see `fastseg.kernels.cpu.diffusion` for the arguments.

One thread a voxel. A step reads 19 neighbours, which lie in cache, and computes every face's flux on both of its
sides: 6 powers a voxel instead of 3, in exchange for no communication between threads.
"""

import numpy as np
from numba import cuda

from fastseg.kernels.cuda.launch import as_int64, device, over, over_rows
from fastseg.kernels.voxel import diffusion as voxel

squared_gradient = device(voxel.squared_gradient_at)
x_face, y_face, z_face = device(voxel.x_face), device(voxel.y_face), device(voxel.z_face)


def gradient_kernel(image, weights, z0, y0, x0, dy, dx, scale, rows):
    """One thread a row of the box."""
    row = cuda.grid(1)
    if row < rows.size:
        z = row // dy + z0
        y = row % dy + y0
        total = np.int64(0)
        for x in range(x0, x0 + dx):
            total += voxel.fixed_point(squared_gradient(image, weights, z, y, x), scale)
        rows[row] = total


def step_kernel(image, weights, inverse, time_step, z0, y0, x0, out):
    """One thread a voxel of the box."""
    i, j, k = cuda.grid(3)
    if k < out.shape[0] and j < out.shape[1] and i < out.shape[2]:
        z, y, x = k + z0, j + y0, i + x0
        nz, ny, nx = image.shape
        zero = np.float32(0.0)
        of_z, of_y, of_x = voxel.face_factors(weights, inverse, time_step)
        front = zero if z == nz - 1 else z_face(image, z, y, x, of_z)
        below = zero if z == 0 else z_face(image, z - 1, y, x, of_z)
        down = zero if y == ny - 1 else y_face(image, z, y, x, of_y)
        behind = zero if y == 0 else y_face(image, z, y - 1, x, of_y)
        right = zero if x == nx - 1 else x_face(image, z, y, x, of_x)
        left = zero if x == 0 else x_face(image, z, y, x - 1, of_x)
        out[k, j, i] = image[z, y, x] + ((front - below) + (down - behind) + (right - left))


_gradient = cuda.jit(gradient_kernel)
_step = cuda.jit(step_kernel)


def squared_gradients(image, weights, start, stop, scale, rows):
    """Sums over the rows of a box of the squared gradient magnitude, in fixed point."""
    dy, dx = stop[1] - start[1], stop[2] - start[2]
    _gradient[over_rows(rows.size)](image, weights, *as_int64(*start, dy, dx), np.float64(scale), rows)


def step(image, weights, inverse, time_step, start, out):
    """One explicit step of gradient anisotropic diffusion in a box."""
    _step[over(out.shape)](image, weights, inverse, time_step, *as_int64(*start), out)
