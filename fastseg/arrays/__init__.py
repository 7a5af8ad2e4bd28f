"""Which array library, which device, how much memory. The only package that imports CuPy or cuCIM."""

from fastseg.arrays.device import Device, cuda_devices, free_bytes, parse_device
from fastseg.arrays.namespace import Namespace, namespace_for, namespace_of, to_device, to_host

__all__ = [
    "Device",
    "Namespace",
    "cuda_devices",
    "free_bytes",
    "namespace_for",
    "namespace_of",
    "parse_device",
    "to_device",
    "to_host",
]
