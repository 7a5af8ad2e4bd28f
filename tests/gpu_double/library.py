"""The modules of the stand-in: `cupy` and `cupyx.scipy.ndimage`, with the functions that the project uses of them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from scipy import ndimage

from tests.gpu_double.array import ndarray, unwrapped, wrapped
from tests.gpu_double.memory import Gpu, OutOfMemoryError

_FROM_NUMPY = (
    "abs",
    "bincount",
    "clip",
    "concatenate",
    "count_nonzero",
    "cumsum",
    "empty",
    "empty_like",
    "flatnonzero",
    "full",
    "gradient",
    "isfinite",
    "isin",
    "isnan",
    "maximum",
    "meshgrid",
    "minimum",
    "nonzero",
    "rint",
    "sort",
    "stack",
    "sum",
    "take",
    "unique",
    "where",
    "zeros",
    "zeros_like",
)
_FROM_SCIPY = (
    "binary_dilation",
    "binary_erosion",
    "distance_transform_edt",
    "gaussian_filter",
    "grey_dilation",
    "grey_erosion",
    "label",
    "map_coordinates",
)


def _on_device(gpu: Gpu, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        options = {name: unwrapped(value) for name, value in options.items()}
        return wrapped(gpu, function(*map(unwrapped, arguments), **options))

    call.__name__ = function.__name__
    return call


def make_modules(gpu: Gpu) -> dict[str, ModuleType]:
    """The modules by name."""
    cupy: Any = ModuleType("cupy")
    for name in _FROM_NUMPY:
        setattr(cupy, name, _on_device(gpu, getattr(np, name)))

    def asarray(value: Any, dtype: Any = None) -> Any:
        if isinstance(value, ndarray):
            return value if dtype is None else value.astype(dtype, copy=False)
        if isinstance(value, list | tuple) and any(isinstance(item, ndarray) for item in value):
            return cupy.stack(value)
        raw = np.array(value, dtype)  # always a copy
        gpu.record("up", raw.shape, raw.dtype, raw.nbytes)
        return wrapped(gpu, raw)

    def ascontiguousarray(value: Any, dtype: Any = None) -> Any:
        value = asarray(value, dtype)
        return value if value.raw.flags.c_contiguous else wrapped(gpu, np.ascontiguousarray(value.raw))

    def asnumpy(value: Any) -> np.ndarray:
        return value.get() if isinstance(value, ndarray) else np.asarray(value)

    def may_share_memory(a: Any, b: Any) -> bool:
        return isinstance(a, ndarray) and isinstance(b, ndarray) and np.may_share_memory(a.raw, b.raw)

    cupy.ndarray = ndarray
    cupy.asarray, cupy.array = asarray, lambda value, dtype=None: asarray(value, dtype).copy()
    cupy.ascontiguousarray, cupy.asnumpy, cupy.may_share_memory = ascontiguousarray, asnumpy, may_share_memory
    cupy.__version__ = "0 (stand-in)"
    pool = SimpleNamespace(
        used_bytes=lambda: gpu.used,
        total_bytes=lambda: gpu.pooled,
        free_bytes=lambda: gpu.pooled - gpu.used,
        free_all_blocks=gpu.trim,
    )
    cupy.get_default_memory_pool = lambda: pool
    cupy.get_default_pinned_memory_pool = lambda: SimpleNamespace(free_all_blocks=lambda: None)
    cupy.cuda = SimpleNamespace(
        Device=gpu.device,
        get_current_stream=lambda: SimpleNamespace(synchronize=gpu.wait),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        runtime=SimpleNamespace(
            getDeviceCount=lambda: 1,
            getDeviceProperties=lambda index: {"name": b"stand-in", "major": 9, "minor": 0},
            memGetInfo=lambda: (_total(gpu) - gpu.pooled, _total(gpu)),
        ),
    )
    ndi: Any = ModuleType("cupyx.scipy.ndimage")
    for name in _FROM_SCIPY:
        setattr(ndi, name, _on_device(gpu, getattr(ndimage, name)))
    packages = {name: ModuleType(name) for name in ("cupyx", "cupyx.scipy")}
    return {"cupy": cupy, **packages, "cupyx.scipy.ndimage": ndi}


def _total(gpu: Gpu) -> int:
    return 80 * 2**30 if gpu.capacity is None else gpu.capacity
