"""Places of threads as unsigned numbers.

Of a signed index Numba's code asks every time whether it counts from the end, and 64-bit arithmetic is done in halves:
three quarters of the instructions of a stencil. Unsigned numbers are taken as they are. They must not be mixed with
signed ones, which would give float64: every operand is made one by `U`.
"""

import numpy as np
from numba import cuda

U = np.uint64
NONE, ONE, TWO = U(0), U(1), U(2)


@cuda.jit(device=True)
def unsigned_3(numbers):
    """Three numbers that are not negative."""
    return U(numbers[0]), U(numbers[1]), U(numbers[2])
