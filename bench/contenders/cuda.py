"""Contenders whose arrays live on a CUDA device; CuPy holds them for all."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.contenders.base import Contender
from bench.floor import BYTES, fastest

# Inputs take turns so that none is found in the cache: the largest second-level cache is 60 MB (H200: 50 MB).
ROTATED_BYTES = 256 << 20
MAX_COPIES = 8


class CudaContender(Contender):
    """An implementation on the first CUDA device: arrays are copied there before the clock starts."""

    weighed_alone = False

    _ring: list[list[Any]]
    _turn = 0

    def place(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """One of several copies on the device; no contender here writes into its input."""
        import cupy

        if not getattr(self, "_ring", None):
            one = max(1, sum(a.nbytes for a in arrays))
            copies = min(MAX_COPIES, max(2, -(-ROTATED_BYTES // one)))
            self._ring = [[cupy.asarray(a) for a in arrays] for _ in range(copies)]
        self._turn += 1
        return self._ring[self._turn % len(self._ring)]

    def forget(self) -> None:
        """Give the memory of the copies back."""
        import cupy

        self._ring = []
        cupy.get_default_memory_pool().free_all_blocks()

    def timer(self) -> Callable[[], float]:
        """A clock of CUDA events: gaps in which the device waits for the host count."""
        import cupy

        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        cupy.cuda.Device().synchronize()
        start.record()

        def seconds() -> float:
            stop.record()
            stop.synchronize()
            return cupy.cuda.get_elapsed_time(start, stop) / 1000

        return seconds

    def fetch(self, result: Any) -> np.ndarray:
        """The result, copied to the host."""
        import cupy

        return cupy.asnumpy(result)

    def peak(self, call: Callable[[], Any]) -> int:
        """Bytes that CuPy's pool takes from the device for a call."""
        import cupy

        pool = cupy.get_default_memory_pool()
        pool.free_all_blocks()
        before = pool.total_bytes()
        result = call()
        cupy.cuda.Device().synchronize()
        grown = pool.total_bytes() - before
        del result
        return grown

    def bandwidth(self) -> float:
        """Bytes per second of a copy on the device."""
        import cupy

        source = cupy.ones(4 * BYTES // 4, cupy.float32)
        target = cupy.zeros_like(source)

        def copy() -> None:
            cupy.copyto(target, source)
            cupy.cuda.Device().synchronize()

        return fastest(copy, 2 * source.nbytes)


def device_name() -> str:
    """Name of the first CUDA device."""
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)
