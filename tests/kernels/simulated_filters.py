"""Compares the CUDA launchers of filters and statistics, run by Numba's simulator, with the CPU's.

Needs NUMBA_ENABLE_CUDASIM=1 before Numba is imported, hence a script.
"""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.kernels.simulator import set_up

SHAPES = ((3, 5, 6), (1, 3, 33), (3, 1, 5), (2, 9, 1))
"""No multiples of a block, one plane, one row, one column."""


def _image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32) + np.float32(3)


def _near(found: np.ndarray, expected: np.ndarray, span: float, ulps: float) -> None:
    error = float(np.abs(found.astype(np.float64) - expected).max())
    assert error <= ulps * 2.0**-23 * span, f"{error / 2.0**-23 / span:.2f} ulp of the range"


def _gaussian_tables(shape: tuple[int, ...], radii: Any, mode: str) -> list[np.ndarray]:
    from fastseg.arrays.filters import _sources

    return [_sources(n, r, mode).astype(np.int32) for n, r in zip(shape, radii, strict=True)]


def _small(cuda: Any, shared: int) -> Any:
    """Blocks of 4 x 2 threads, tiles of 4 or 2 rows, and 2 planes or more to a block."""
    sizes = {"ACROSS": np.uint64(4), "DOWN": np.uint64(2), "_ROWS": (4, 2), "_PLANES": 2, "_BLOCKS": 4}
    return patch.multiple(cuda, _SHARED=shared, **sizes)


def gaussian() -> None:
    """In one pass and axis by axis, beside SciPy in float64."""
    from scipy import ndimage as ndi

    from fastseg.arrays.filters import _half_kernel, float32_weights
    from fastseg.kernels.cuda import gaussian as cuda

    three, two, none = (
        ((1.0, 1.0, 1.0), "nearest"),
        ((0.0, 0.5, 1.2), "reflect"),
        ((0.0, 0.0, 0.0), "nearest"),
    )
    for shared, cases in ((48 << 10, (three, two, none)), (0, (three, two))):
        for shape in SHAPES:
            for sigmas, mode in cases:
                image = _image(shape)
                weights = [float32_weights(_half_kernel(float(s), 0, 3.0)) for s in sigmas]
                out = np.full_like(image, np.nan)
                with _small(cuda, shared):
                    assert (cuda.rows_of_tile(1, 1, 1) is None) == (shared == 0)
                    tables = _gaussian_tables(shape, [w.size - 1 for w in weights], mode)
                    cuda.smooth(image, *weights, *tables, out)
                expected = ndi.gaussian_filter(image.astype(np.float64), sigmas, mode=mode, truncate=3.0)
                _near(out, expected, 1.0, 4)  # half an ulp at 3 to 4 alone is one of a range of 1


def laplacian() -> None:
    """In one pass and axis by axis, beside SciPy in float64."""
    from scipy import ndimage as ndi

    from fastseg.arrays.filters import _half_kernel, float32_weights
    from fastseg.kernels.cuda import gaussian as cuda

    for shared in (48 << 10, 0):
        for shape in SHAPES:
            for volume in (True, False):
                image = _image(shape)
                smoothing, curvature = (float32_weights(_half_kernel(0.6, order, 4.0)) for order in (0, 2))
                out = np.full_like(image, np.nan)
                with _small(cuda, shared):
                    tables = _gaussian_tables(shape, [smoothing.size - 1] * 3, "reflect")
                    cuda.laplacian(image, smoothing, curvature, volume, np.float32(-2), *tables, out)
                axes = (0, 1, 2) if volume else (1, 2)
                scales = [0.6 if a in axes else 0 for a in range(3)]
                exact = sum(
                    ndi.gaussian_filter(image.astype(np.float64), scales, [2 * (a == b) for a in range(3)])
                    for b in axes
                )
                _near(out, -2 * exact, 20.0, 4)


if __name__ == "__main__":
    set_up()
    globals()[sys.argv[1]]()
    print("equal", sys.argv[1])
