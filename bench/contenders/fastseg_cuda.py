"""fastseg on a CUDA device, arrays resident."""

from bench.contenders.cuda import CudaContender, device_name
from bench.contenders.fastseg_operations import operations
from fastseg import __version__

CONTENDER = CudaContender(
    "fastseg", operations("cuda"), ("numpy", "numba"), {"fastseg": __version__, "device": device_name()}
)
