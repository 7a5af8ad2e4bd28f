"""CUDA kernels run in Python, unfairly: blocks and threads go in a random order.

Needs NUMBA_ENABLE_CUDASIM=1 before Numba is imported. Numba's simulator starts a Python thread for every CUDA thread
and looks its state up at every step; here a kernel without barriers is run thread after thread in the caller, blocks
and threads shuffled, so that a result that depends on their order shows. Kernels with barriers get threads, which take
turns from barrier to barrier, or at every access to memory (`interleaved`). Blocks are smaller than on a device, and
shared memory holds rubbish until it is written.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from tests.kernels.interleaving import Racy, Turns

_BLOCK, _LINE, _LIST, _PLANE = (4, 2, 2), (4, 2), 8, (4, 3, 1)
_RUBBISH = 0xA5


class Place:
    """Three numbers: x, y, z."""

    __slots__ = ("x", "y", "z")

    def __init__(self, x: int, y: int = 1, z: int = 1) -> None:
        self.x, self.y, self.z = x, y, z


class Atomic:
    """Atomic operations, each in one turn where turns are taken at every access."""

    def _change(self, array: Any, index: Any, changed: Callable[[Any], Any]) -> Any:
        if isinstance(array, Racy):
            return array.change(index, changed)
        old = array[index]
        array[index] = changed(old)
        return old

    def add(self, array: Any, index: Any, value: Any) -> Any:
        return self._change(array, index, lambda old: old + value)

    def min(self, array: Any, index: Any, value: Any) -> Any:
        return self._change(array, index, lambda old: min(old, value))

    def max(self, array: Any, index: Any, value: Any) -> Any:
        return self._change(array, index, lambda old: max(old, value))

    def cas(self, array: Any, index: Any, old: Any, value: Any) -> Any:
        return self._change(array, index, lambda found: value if found == old else found)


class Shared:
    """Shared memory of a block: arrays by the line that asks for them, or the bytes of the launch for size 0."""

    def __init__(self) -> None:
        self.clear(0)

    def clear(self, size: int) -> None:
        """Begin a block."""
        self.arrays: dict[Any, np.ndarray] = {}
        self.bytes = np.full(size, _RUBBISH, np.uint8)

    def array(self, shape: int, dtype: Any) -> np.ndarray:
        if shape == 0:
            return self.bytes.view(str(dtype))
        frame = sys._getframe(1)
        line = frame.f_code, frame.f_lineno
        if line not in self.arrays:
            kind = np.dtype(str(dtype))
            self.arrays[line] = np.full(shape * kind.itemsize, _RUBBISH, np.uint8).view(kind)
        return self.arrays[line]


class Cuda:
    """What a kernel knows as ``cuda`` while it runs."""

    def __init__(self) -> None:
        self.atomic, self.shared = Atomic(), Shared()
        self.blockIdx = self.threadIdx = self.blockDim = self.gridDim = Place(0)
        self.turns: Turns | None = None

    def grid(self, axes: int) -> Any:
        block, place, size = self.blockIdx, self.threadIdx, self.blockDim
        x = block.x * size.x + place.x
        return x if axes == 1 else (x, block.y * size.y + place.y, block.z * size.z + place.z)

    def syncthreads_count(self, value: Any) -> int:
        assert self.turns is not None
        return self.turns.meet(bool(value))

    def syncthreads(self) -> None:
        self.syncthreads_count(False)

    def popc(self, value: Any) -> int:
        return int(value).bit_count()

    def ffs(self, value: Any) -> int:
        return (int(value) & -int(value)).bit_length()

    def clz(self, value: Any) -> int:
        assert value.dtype == np.uint32
        return 32 - int(value).bit_length()


def _has_barrier(function: Any) -> bool:
    """Whether a function or one that it calls on the device meets at a barrier."""
    names = function.__code__.co_names
    if any(name.startswith("syncthreads") for name in names):
        return True
    called = (function.__globals__.get(name) for name in names)
    return any(_has_barrier(other.fn) for other in called if getattr(other, "_device", False))


class Simulator:
    """Takes the place of Numba's."""

    def __init__(self) -> None:
        self.rng = random.Random()
        self.cuda = Cuda()
        self.interleaved: tuple[random.Random, tuple[str, ...]] | None = None
        self.barrier: dict[Any, bool] = {}
        self.running = False
        self.launched: list[str] | None = None

    def call(self, kernel: Any, *args: Any) -> Any:
        """A launch, or a call on the device."""
        function = kernel.fn
        if function not in self.barrier:
            self.barrier[function] = _has_barrier(function)
            function.__globals__["cuda"] = self.cuda
        if self.running:
            return function(*args)
        if self.launched is not None:
            module = function.__module__.rpartition(".")[2]
            self.launched.append(f"{module}.{function.__name__.removesuffix('_kernel')}")
        self.running = True
        try:
            self._launch(kernel, function, args)
        finally:
            self.running = False
        return None

    def _launch(self, kernel: Any, function: Any, args: tuple[Any, ...]) -> None:
        grid, block = ((*n, 1, 1)[:3] for n in (kernel.grid_dim, kernel.block_dim))
        cuda, shared = self.cuda, kernel.dynshared_size
        cuda.gridDim, cuda.blockDim = Place(*grid), Place(*block)
        blocks, places = ([Place(*at) for at in product(*map(range, n))] for n in (grid, block))
        if self.interleaved and function.__name__ in self.interleaved[1]:
            rng = self.interleaved[0]
            cuda.turns = turns = Turns(rng, cuda)
            racy = [Racy(a, turns, rng) if isinstance(a, np.ndarray) else a for a in args]
            turns.run(partial(function, *racy), list(product(blocks, places)))
            return
        self.rng.shuffle(blocks)
        for at in blocks:
            self.rng.shuffle(places)
            cuda.shared.clear(shared)
            if self.barrier[function]:
                cuda.turns = Turns(self.rng, cuda)
                cuda.turns.run(partial(function, *args), [(at, place) for place in places])
                continue
            cuda.blockIdx = at
            for place in places:
                cuda.threadIdx = place
                function(*args)


_simulator = Simulator()


def set_up(seed: str) -> None:
    """Run the kernels of this process here, in an order drawn from a seed, with launch shapes that are small."""
    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    from numba.cuda.simulator.kernel import FakeCUDAKernel

    from fastseg.kernels.cuda import grids, launch

    _simulator.rng = random.Random(seed)
    FakeCUDAKernel.__call__ = lambda kernel, *args: _simulator.call(kernel, *args)
    launch._BLOCK, grids._LINE, grids._LIST, grids._PLANE = _BLOCK, _LINE, _LIST, _PLANE


@contextmanager
def interleaved(seed: int, *names: str) -> Iterator[None]:
    """Context in which all threads of a launch of the kernels of some names are alive at once, and take turns at every
    access to memory."""
    _simulator.interleaved = random.Random(seed), names
    try:
        yield
    finally:
        _simulator.interleaved = None


@contextmanager
def launches() -> Iterator[list[str]]:
    """Context that lists the kernels that are launched in it."""
    found: list[str] = []
    _simulator.launched = found
    try:
        yield found
    finally:
        _simulator.launched = None
