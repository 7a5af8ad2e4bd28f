"""Compares CUDA launchers, run by Numba's simulator, with the CPU launchers.

Needs NUMBA_ENABLE_CUDASIM=1 before Numba is imported, hence a script. Sizes are no multiples of the block.
"""

import os
import sys

import numpy as np


def _images() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    shapes = ((3, 5, 35), (2, 2, 2), (4, 9, 3))
    return [rng.random(shape, dtype=np.float32) for shape in shapes]


def _same(a: np.ndarray, b: np.ndarray) -> None:
    # the simulator is Python: float64 where the compiled code keeps float32 would show in the last bits
    np.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-7)


def response() -> None:
    from fastseg.kernels.cpu import vesselness as cpu
    from fastseg.kernels.cuda import vesselness as cuda

    for image in _images():
        middle, last = image - np.float32(0.6), np.float32(1.5) * (image[::-1] - np.float32(0.7))
        last = np.ascontiguousarray(last)
        floor = np.linspace(-1.5, -0.5, image.shape[0]).astype(np.float32)
        before = np.full(image.shape, np.float32(0.1))
        for flat in (True, False):
            for first in (True, False):
                out = [np.full(image.shape, np.float32(np.nan)) for _ in range(2)]
                cpu.ridge_response(middle, last, floor, flat, before, first, out[0])
                cuda.ridge_response(middle, last, floor, flat, before, first, out[1])
                assert out[0].max() > 0.5
                _same(out[0], out[1])


if __name__ == "__main__":
    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    {"response": response}[sys.argv[1]]()
    print("equal", sys.argv[1])
