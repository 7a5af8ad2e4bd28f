"""A stand-in for CuPy and the CUDA kernels on a machine without a GPU, which counts what is copied and what is held.

Arrays are NumPy's in a wrapper that, like CuPy's, refuses to become an array of the host unasked and to meet one in a
calculation. Kernels are their twins of the CPU. What crosses between host and device is written down, in bytes and with
the function that asked for it; memory is counted as long as somebody holds it, and may be bounded.
"""

from tests.gpu_double.install import gpu_double
from tests.gpu_double.memory import Gpu, Transfer

__all__ = ["Gpu", "Transfer", "gpu_double"]
