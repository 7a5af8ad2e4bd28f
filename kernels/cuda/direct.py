"""Launches past Numba's dispatcher, which looks at every argument anew: as much work as a small workflow has to spare.

A kernel is compiled by Numba for the types of its arguments, once, and started through ``cuda.core`` with the arguments
as Numba lays them out: an array is two zeros, its size, the size of an element, its address, shape and strides. That
layout, and where a compiled kernel is found, are Numba's own affair: versions that have neither are used as they are.
"""

import ctypes
import threading
from functools import lru_cache
from operator import attrgetter

from numba import config, cuda, from_dtype, types

_ready = threading.local()


class View:
    """An array of CuPy as kernels take it.

    Attributes
    ----------
    array : cupy.ndarray
        Kept until the launch.
    shape, size
        Of the array.
    key : tuple
        Equal for arrays that Numba gives the same type.
    flat : tuple of int
        What a kernel is handed.
    """

    __slots__ = ("array", "flat", "key", "shape", "size")

    def __init__(self, array):
        self.array, self.shape, self.size = array, array.shape, array.size
        self.key = (array.dtype.char, array.ndim, bool(array.flags.c_contiguous))
        self.flat = (0, 0, array.size, array.itemsize, array.data.ptr, *array.shape, *array.strides)


@lru_cache(maxsize=1)
def possible():
    """Whether this version of Numba's CUDA target can be passed by."""
    if config.ENABLE_CUDASIM:
        return False
    try:
        from cuda.core import LaunchConfig, Stream, launch
        from numba.cuda.codegen import CUDACodeLibrary
        from numba.cuda.dispatcher import _Kernel
    except ImportError:
        return False
    needed = ((CUDACodeLibrary, "get_cufunc"), (_Kernel, "_prepare_args"), (Stream, "from_handle"))
    return all(hasattr(owner, name) for owner, name in needed) and callable(launch) and callable(LaunchConfig)


@lru_cache(maxsize=256)
def _configured(grid, block, shared):
    from cuda.core import LaunchConfig

    return LaunchConfig(grid=grid, block=block, shmem_size=shared)


@lru_cache(maxsize=64)
def _stream(pointer):
    from cuda.core import Stream

    return Stream.from_handle(pointer)


def _type_of(value):
    if isinstance(value, View):
        return types.Array(from_dtype(value.array.dtype), len(value.shape), "C" if value.key[2] else "A")
    from numba.cuda.typing.typeof import typeof

    return typeof(value)


def _key_of(value):
    if type(value) is View:
        return value.key
    return tuple(map(type, value)) if type(value) is tuple else type(value)


def _laid_out(kind):
    """What turns a value of a type into a list of what ``cuda.core`` takes."""
    if isinstance(kind, types.Array):
        return _flat_of
    if isinstance(kind, types.BaseTuple):
        parts = tuple(map(_laid_out, kind))
        return lambda values: [n for part, value in zip(parts, values) for n in part(value)]
    scalar = bool if isinstance(kind, types.Boolean) else _SCALARS[str(kind)]
    return lambda value: (scalar(value),)


_flat_of = attrgetter("flat")
_SCALARS = {"float32": ctypes.c_float, "float64": ctypes.c_double} | {
    name: getattr(ctypes, f"c_{name}") for bits in (8, 16, 32, 64) for name in (f"int{bits}", f"uint{bits}")
}


class Compiled:
    """A kernel for arguments of certain types, on a device.

    Parameters
    ----------
    dispatcher : numba.cuda.dispatcher.CUDADispatcher
    arguments : tuple
        The first that it is launched with.
    """

    def __init__(self, dispatcher, arguments):
        kinds = tuple(map(_type_of, arguments))
        self._layout = tuple(map(_laid_out, kinds))
        self._kernel = dispatcher.compile(kinds)._codelibrary.get_cufunc().kernel

    def launch(self, arguments, grid, block, shared, stream):
        """Put it into a stream, given by its address."""
        from cuda.core import launch

        launch(_stream(stream), _configured(grid, block, shared), self._kernel, *self.flat(arguments))

    def flat(self, arguments):
        """The arguments as a list of what ``cuda.core`` takes."""
        found = []
        for part, value in zip(self._layout, arguments):
            found.extend(part(value))
        return found


class Direct:
    """The compiled forms of a kernel, by device and types.

    Parameters
    ----------
    dispatcher_of : callable
        Called when something has to be compiled; gives the Numba kernel for the current device.
    """

    def __init__(self, dispatcher_of):
        self._dispatcher_of = dispatcher_of
        self._compiled = {}

    def launch(self, shape, stream, device, *arguments):
        """Compile if that is still to be done, and launch on the device, which is the current one.

        Parameters
        ----------
        shape : tuple
            Grid, block and bytes of shared memory.
        stream : int
            Address.
        device : int
        *arguments
            Of the kernel; arrays as `View` or of CuPy.
        """
        if getattr(_ready, "device", None) != device:  # this thread has not worked there yet
            cuda.current_context()
            _ready.device = device
        arguments = [View(a) if hasattr(a, "__cuda_array_interface__") else a for a in arguments]
        key = (device, *map(_key_of, arguments))
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = Compiled(self._dispatcher_of(), tuple(arguments))
        compiled.launch(arguments, *shape, stream)
