"""Launch shapes over lines and lists, and launches that are repeated until nothing is left to do.

Positions are int64 throughout: Numba widens indices to 64 bits, and every factor of a flat position is an int64 before
it is multiplied.
"""

from numba import cuda

_LINE = (32, 8)
_LIST = 128
_PLANE = (32, 16, 1)


def over_list(count):
    """Grid and block with one thread an entry."""
    return max(1, -(-int(count) // _LIST)), _LIST


def over_lines(count, width):
    """Grid and block with one thread a place of `count` lines of a width; the place is that of `line_place`.

    Lines lie along the axis of the grid that may be long.
    """
    return (max(1, -(-int(count) // _LINE[1])), max(1, -(-int(width) // _LINE[0]))), _LINE


def over_planes(shape):
    """Grid and block with one thread a voxel of (Z, Y, X), a block being a tile of a plane."""
    nz, ny, nx = shape
    return (-(-nx // _PLANE[0]), -(-ny // _PLANE[1]), nz), _PLANE


@cuda.jit(device=True)
def line_place():
    """Line and place in it of a thread of `over_lines`."""
    line = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    return line, cuda.blockIdx.y * cuda.blockDim.x + cuda.threadIdx.x


def repeat_until_settled(launch, left):
    """Launch a kernel until it leaves nothing undone.

    Nothing but the end of a kernel is relied upon for one block to see what another did. The answer is fetched after 1,
    2, 4, 8 ... launches, since every look waits for the device.

    Parameters
    ----------
    launch : callable
        Launches the kernel, which sets ``left[0]`` if something is left.
    left : array of int32, shape (1,)
        On the device.
    """
    times = 1
    while True:
        for _ in range(times):
            left[:] = 0
            launch()
        if not int(left[0]):
            return
        times = min(2 * times, 16)
