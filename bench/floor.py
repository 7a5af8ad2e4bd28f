"""How fast memory can be copied: the limit that no filter of a stack can pass."""

from collections.abc import Callable
from time import perf_counter

import numpy as np

BYTES = 256 << 20
ROUNDS = 7


def fastest(copy: Callable[[], None], moved: int) -> float:
    """Bytes per second, read and written, of the fastest of a few calls."""
    copy()
    best = float("inf")
    for _ in range(ROUNDS):
        started = perf_counter()
        copy()
        best = min(best, perf_counter() - started)
    return moved / best


def copy_bandwidth() -> float:
    """Bytes per second that this machine reads and writes when all threads copy an array larger than its caches.

    The better of a compiled loop on all threads and NumPy's copy, since a limit must not be beaten by another way of
    copying.
    """
    import numba

    source = np.ones(BYTES // 4, np.float32)
    target = np.zeros_like(source)

    @numba.njit(parallel=True)
    def threaded(a, b):  # type: ignore[no-untyped-def]
        for i in numba.prange(a.size):
            b[i] = a[i]

    ways: list[Callable[[], None]] = [
        lambda: threaded(source, target),
        lambda: np.copyto(target, source),
    ]
    return max(fastest(way, 2 * source.nbytes) for way in ways)
