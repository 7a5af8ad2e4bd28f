"""Launches: their shapes, the stream they join, and what the compiler is told."""

import sys
import threading
from contextlib import contextmanager
from functools import lru_cache, partial

import numpy as np
from numba import config, cuda

from fastseg.kernels.cuda.direct import Direct
from fastseg.kernels.cuda.direct import possible as direct_is_possible
from fastseg.kernels.cuda.numpy_names import bridge

bridge()

_BLOCK = (32, 4, 2)
_configuring = threading.Lock()


def over(shape):
    """Grid and block with one thread a voxel of (Z, Y, X), x fastest."""
    nz, ny, nx = (max(1, n) for n in shape)
    grid = (-(-nx // _BLOCK[0]), -(-ny // _BLOCK[1]), -(-nz // _BLOCK[2]))
    return grid, _BLOCK


def over_rows(count):
    """Grid and block with one thread a row."""
    return max(1, -(-int(count) // 64)), 64


def as_int64(*values):
    """Numbers as int64, so that positions past 2**31 do not wrap."""
    return tuple(np.int64(v) for v in values)


def _integers(numbers):
    """Of a grid or a block: NumPy's integers are refused by the driver's library."""
    return tuple(map(int, numbers)) if isinstance(numbers, tuple) else int(numbers)


def device(function):
    """A voxel function that takes arrays, for use in a kernel.

    Numba's simulator runs kernels in Python and hands on its own array type, which compiled functions refuse.
    """
    return function.py_func if config.ENABLE_CUDASIM else function


def current_stream():
    """The stream that CuPy works on in this thread, as Numba takes it; 0 for the default one."""
    cupy = sys.modules.get("cupy")
    number = 0 if cupy is None else cupy.cuda.get_current_stream().ptr
    return _stream_of(number) if number else 0


@lru_cache(maxsize=64)
def _stream_of(number):
    return cuda.external_stream(number)


def _is_volta(device):
    return device.compute_capability < (7, 5)


@contextmanager
def _small_grids_allowed():
    """Numba warns of grids of few blocks, which a small image needs, when it prepares their launch."""
    from numba.cuda.dispatcher import config as settings

    with _configuring:
        before, settings.CUDA_LOW_OCCUPANCY_WARNINGS = settings.CUDA_LOW_OCCUPANCY_WARNINGS, 0
        try:
            yield
        finally:
            settings.CUDA_LOW_OCCUPANCY_WARNINGS = before


class Kernel:
    """A kernel that is launched, as ``kernel[grid, block](...)`` or ``kernel[grid, block, shared bytes](...)``, on the
    stream of the arrays' library.

    CuPy queues its copies and sums there, and hands the memory of an array that is gone to the next one in the order of
    that stream: a kernel on another one could read what is not there yet, or write into what others were given.

    Parameters
    ----------
    function : callable
    registers : int, optional
        At most so many a thread. Not on Volta, for which the compiler needs more and would spill them; the simulator
        does not know of these.
    """

    def __init__(self, function, registers=None):
        self.compiled = cuda.jit(function)
        limited = registers is not None and not config.ENABLE_CUDASIM
        self.limited = cuda.jit(function, max_registers=registers) if limited else None
        self.direct = Direct(self._for_this_device) if direct_is_possible() else None

    def _for_this_device(self):
        limited = self.limited is not None and not _is_volta(cuda.get_current_device())
        return self.limited if limited else self.compiled

    def __getitem__(self, launch):
        grid, block, *more = launch
        grid, block, shared = _integers(grid), _integers(block), more[0] if more else 0
        if config.ENABLE_CUDASIM:
            return self.compiled[grid, block, 0, shared]
        cupy = sys.modules.get("cupy")
        if self.direct is not None and cupy is not None:
            stream, device = cupy.cuda.get_current_stream().ptr, cupy.cuda.runtime.getDevice()
            return partial(self.direct.launch, (grid, block, shared), stream, device)
        with _small_grids_allowed():
            return self._for_this_device()[grid, block, current_stream(), shared]
