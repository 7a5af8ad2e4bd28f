"""Arrays of launchers: where temporaries come from, and how kernels are handed what others hold."""

import sys

import numpy as np
from numba import config, cuda

from fastseg.kernels.cuda.direct import View, possible


def library_of(array):
    """The module that an array comes from, CuPy or, in Numba's simulator, NumPy: its allocations share one pool."""
    return sys.modules[type(array).__module__.partition(".")[0]]


def views(*arrays):
    """Arrays as kernels take them at least cost, however often they are launched with them.

    Where Numba launches, it looks at a foreign array anew in every launch, and waits for its stream each time. A view
    made once is passed on as it is: kernels join the stream of CuPy (`launch.Kernel`), which keeps the order. The
    simulator takes NumPy's.
    """
    if config.ENABLE_CUDASIM:
        return arrays if len(arrays) > 1 else arrays[0]
    found = tuple(View(a) if possible() else cuda.as_cuda_array(a, sync=False) for a in arrays)
    return found if len(found) > 1 else found[0]


def fetched(array):
    """An array on the host."""
    return array.get() if hasattr(array, "get") else np.asarray(array)


def index_type(size):
    """Integers for numbers up to a number of voxels: 32 bits where they do, a half of the memory and its traffic."""
    return np.int32 if size < 2**31 else np.int64


def nothing(like, dtype, ndim=1):
    """An array of one element for an argument that a kernel is not going to look at; empty ones have no address."""
    return library_of(like).zeros((1,) * ndim, dtype)
