"""Which array library, which device, how much memory. The only package that imports CuPy or cuCIM."""

from fastseg.arrays.cores import limit_kernels, usable_cores
from fastseg.arrays.device import Device, cuda_devices, free_bytes, parse_device
from fastseg.arrays.gpu_memory import within_memory
from fastseg.arrays.namespace import Namespace, namespace_for, namespace_of, to_device, to_host

__all__ = [
    "Device",
    "Namespace",
    "cuda_devices",
    "free_bytes",
    "limit_kernels",
    "namespace_for",
    "namespace_of",
    "parse_device",
    "to_device",
    "to_host",
    "usable_cores",
    "within_memory",
]
