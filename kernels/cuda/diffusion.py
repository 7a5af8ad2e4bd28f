"""Gradient anisotropic diffusion; see `fastseg.kernels.cpu.diffusion` for the arguments.

An iteration moves 12 bytes a voxel, halos apart: the image is read for the mean and again for the step, and written
once. A step computes each flux once, but for those at the rims of blocks. A block walks along z with a tile of
columns: of the 16 values around a voxel that its three forward fluxes need, 8 are new in every plane. The flux
through a face is exchanged between threads of a row and of a column in shared memory, and kept from plane to plane.
All faces are computed by the same instructions wherever they lie in a block, so that both sides of a face, and every
tile, see the same flux.

The sum of squared gradients, and the factor made from it, need not leave the device: iterations follow each other
without waiting for the host. The sum is turned into fixed point in float64, one operation a voxel, as on the CPU.
"""

import numpy as np
from numba import cuda, float32, int64

from fastseg.kernels.cuda.boxes import ACROSS as ALONG_ROW
from fastseg.kernels.cuda.boxes import first_row, next_row, number_in_block, over_box
from fastseg.kernels.cuda.launch import Kernel, as_int64, device
from fastseg.kernels.cuda.memory import views
from fastseg.kernels.cuda.places import NONE, ONE, U, unsigned_3
from fastseg.kernels.voxel import diffusion as voxel

squared_gradient_at, inverse_of_mean = device(voxel.squared_gradient_at), device(voxel.inverse_of_mean)
face_flux, face_factors = voxel.face_flux, voxel.face_factors

ACROSS, DOWN = 32, 8
"""Threads of a block along x and y; the first of both only lend their faces."""
_AREA = ACROSS * DOWN
_TWO_AREAS = 2 * _AREA
_BLOCKS, _PLANES = 1024, 16
"""Blocks that keep a large device at work, and planes that a block walks through at least."""
_CUT, _BELOW_CUT = np.int64(24), np.int64((1 << 24) - 1)
_ZERO = np.float32(0.0)


def gradient_kernel(image, weights, z0, y0, x0, rows, height, x1, scale, totals):
    """Every row of the box by one warp."""
    shared = cuda.shared.array(2, int64)
    here = number_in_block()
    if here < U(2):
        shared[here] = 0
    cuda.syncthreads()
    total = np.int64(0)
    row = first_row()
    while row < U(rows):
        z, y = U(z0) + row // U(height), U(y0) + row % U(height)
        x = U(x0) + U(cuda.threadIdx.x)
        while x < U(x1):
            total += voxel.fixed_point(squared_gradient_at(image, weights, z, y, x), scale)
            x += ALONG_ROW
        row = next_row(row)
    cuda.atomic.add(shared, 0, total >> _CUT)
    cuda.atomic.add(shared, 1, total & _BELOW_CUT)
    cuda.syncthreads()
    if here < U(2):
        cuda.atomic.add(totals, here, shared[here])


def inverse_kernel(totals, count, units, doubled, inverse):
    """One thread."""
    inverse[0] = inverse_of_mean(totals[0], totals[1], count, units, doubled)


def step_kernel(image, weights, inverse, time_step, z0, y0, x0, chunk, out):
    """One block a tile of columns, through some planes."""
    # two of each, so that a thread may go on while others still read what it left in the plane before
    rights = cuda.shared.array(_TWO_AREAS, float32)
    downs = cuda.shared.array(_TWO_AREAS, float32)
    nz, ny, nx = unsigned_3(image.shape)
    dz, dy, dx = unsigned_3(out.shape)
    tx, ty = U(cuda.threadIdx.x), U(cuda.threadIdx.y)
    # one more than the place in the box, which may begin at the border of the image
    i, j = U(cuda.blockIdx.x) * U(ACROSS - 1) + tx, U(cuda.blockIdx.y) * U(DOWN - 1) + ty
    above, left_of = U(y0) + j, U(x0) + i
    within_x, within_y = NONE < left_of <= nx, NONE < above <= ny
    x = min(left_of - ONE if left_of > NONE else NONE, nx - ONE)
    y = min(above - ONE if above > NONE else NONE, ny - ONE)
    xl, xr = x - ONE if x > NONE else x, min(x + ONE, nx - ONE)
    yu, yd = y - ONE if y > NONE else y, min(y + ONE, ny - ONE)
    has_right, has_down = within_x and within_y and xr > x, within_x and within_y and yd > y
    writes = tx > NONE and ty > NONE and i <= dx and j <= dy
    of_z, of_y, of_x = face_factors(weights, inverse[0], time_step)
    stays = inverse[0] > _ZERO
    first = U(cuda.blockIdx.z) * U(chunk)
    begin, end = U(z0) + first, U(z0) + min(first + U(chunk), dz)
    z = begin - ONE if begin > NONE else begin
    zr = z - ONE if z > NONE else z
    rear, rear_right, rear_down = image[zr, y, x], image[zr, y, xr], image[zr, yd, x]
    here, here_left, here_right = image[z, y, x], image[z, y, xl], image[z, y, xr]
    here_up, here_down = image[z, yu, x], image[z, yd, x]
    below = _ZERO
    own = ty * U(ACROSS) + tx
    slot = NONE
    while z < end:
        zf = min(z + ONE, nz - ONE)
        front, front_left, front_right = image[zf, y, x], image[zf, y, xl], image[zf, y, xr]
        front_up, front_down = image[zf, yu, x], image[zf, yd, x]
        down_right, down_left, up_right = image[z, yd, xr], image[z, yd, xl], image[z, yu, xr]
        along_y, along_x, along_z = here_down - here_up, here_right - here_left, front - rear
        a, b = along_y + (front_down - front_up), along_x + (front_right - front_left)
        leaving = face_flux(front - here, a, b, of_z) if zf > z else _ZERO
        a, b = along_z + (front_down - rear_down), along_x + (down_right - down_left)
        downs[slot + own] = face_flux(here_down - here, a, b, of_y) if has_down else _ZERO
        a, b = along_z + (front_right - rear_right), along_y + (down_right - up_right)
        rights[slot + own] = face_flux(here_right - here, a, b, of_x) if has_right else _ZERO
        cuda.syncthreads()
        if writes and z >= begin:
            behind, left = downs[slot + own - U(ACROSS)], rights[slot + own - ONE]
            change = (leaving - below) + (downs[slot + own] - behind) + (rights[slot + own] - left)
            out[z - U(z0), j - ONE, i - ONE] = here if stays else here + change
        slot = U(_AREA) - slot
        below = leaving
        rear, rear_right, rear_down = here, here_right, here_down
        here, here_left, here_right, here_up, here_down = front, front_left, front_right, front_up, front_down
        z += ONE


_gradient = Kernel(gradient_kernel)
_inverse = Kernel(inverse_kernel)
_step = Kernel(step_kernel)


def squared_gradients(image, weights, start, stop, scale, totals):
    """The sum over a box of the squared gradient magnitude, in fixed point."""
    launch, box = over_box(start, stop)
    totals[:] = 0
    image, totals = views(image, totals)
    _gradient[launch](image, weights, *box, np.float64(scale), totals)


def inverse_mean(totals, count, units, doubled, inverse):
    """The factor in the exponent of a flux, from the sum of squared gradients."""
    totals, inverse = views(totals, inverse)
    _inverse[1, 1](totals, np.int64(count), np.float64(units), np.float64(doubled), inverse)


def step(image, weights, inverse, time_step, start, out):
    """One explicit step of gradient anisotropic diffusion in a box."""
    dz, dy, dx = out.shape
    tiles = -(-dx // (ACROSS - 1)), -(-dy // (DOWN - 1))
    parts = min(-(-dz // _PLANES), -(-_BLOCKS // (tiles[0] * tiles[1])))
    chunk = -(-dz // parts)
    image, inverse, out = views(image, inverse, out)
    launch = (*tiles, -(-dz // chunk)), (ACROSS, DOWN)
    _step[launch](image, weights, inverse, time_step, *as_int64(*start, chunk), out)
