"""Putting the stand-in in the place of CuPy, for a while."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from fastseg.arrays import device, filters
from tests.gpu_double.kernels import make_kernels
from tests.gpu_double.library import make_modules
from tests.gpu_double.memory import Gpu

_CACHES = (device._cuda_state, filters._weights_on, filters._sources_on)


@contextmanager
def gpu_double(capacity: int | None = None, twins: bool = True) -> Iterator[Gpu]:
    """Context in which this machine seems to have a GPU.

    Parameters
    ----------
    capacity : int, optional
        Bytes that all arrays on it may take together; no limit by default.
    twins : bool
        Run the kernels' twins of the CPU; otherwise the kernels, which somebody has to be able to run.

    Yields
    ------
    Gpu
        Its records.
    """
    gpu = Gpu(capacity)
    halves: dict[bytes, np.ndarray] = {}
    real = filters.float32_weights

    def remembered(half: np.ndarray) -> np.ndarray:
        weights = real(half)
        halves[weights.tobytes()] = half
        return weights

    modules = make_modules(gpu) | (make_kernels(gpu, halves) if twins else {})
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    _forget()
    sys.modules.update(modules)
    try:
        with patch.object(filters, "float32_weights", remembered):
            yield gpu
        assert gpu.strays == []
    finally:
        for name in modules:  # these alone: what else was imported meanwhile stays
            del sys.modules[name]
        sys.modules.update(before)
        _forget()


def _forget() -> None:
    """Nothing of one device is kept for another."""
    for cached in _CACHES:
        cached.cache_clear()
