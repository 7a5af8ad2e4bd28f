"""Numba's simulator of CUDA made fast and unfair: blocks and threads run in a random order.

Needs NUMBA_ENABLE_CUDASIM=1 before Numba is imported. The simulator starts a Python thread for every CUDA thread; here
a kernel without barriers is run thread after thread in the caller instead, blocks and threads shuffled, so that a
result that depends on their order shows. Kernels with barriers get threads, which take turns from barrier to barrier.
Blocks are smaller than on a device.
"""

from __future__ import annotations

import os
import random
import threading
from functools import partial
from itertools import product
from typing import Any

from tests.kernels.interleaving import Hub, TurnThread

_BLOCK, _LINE, _LIST, _PLANE = (4, 2, 2), (4, 2), 8, (4, 3, 1)


def _has_barrier(function: Any) -> bool:
    return any(name.startswith("syncthreads") for name in function.__code__.co_names)


def set_up(seed: int = 0) -> None:
    """Patch the simulator and the launch shapes of this process."""
    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    from numba.cuda.simulator import kernel

    from fastseg.kernels.cuda import grids, launch

    rng = random.Random(seed)

    def run(self: Any, grid_point: tuple[int, ...], *args: Any) -> None:
        places = list(product(*map(range, self._block_dim)))
        rng.shuffle(places)
        if _has_barrier(self._f):
            hub = Hub(rng)
            hub.run([TurnThread(partial(self._f, *args), hub, grid_point, place) for place in places])
            return
        here: Any = threading.current_thread()
        here.blockIdx = kernel.Dim3(*grid_point)
        for place in places:
            here.threadIdx = kernel.Dim3(*place)
            self._f(*args)

    class Shuffled:
        """NumPy for the loop over blocks alone."""

        def __getattr__(self, name: str) -> Any:
            return getattr(kernel_numpy, name)

        def ndindex(self, *shape: int) -> list[tuple[int, ...]]:
            blocks = list(product(*map(range, shape)))
            rng.shuffle(blocks)
            return blocks

    kernel_numpy = kernel.np
    kernel.np = Shuffled()
    kernel.BlockManager.run = run
    launch._BLOCK, grids._LINE, grids._LIST, grids._PLANE = _BLOCK, _LINE, _LIST, _PLANE
