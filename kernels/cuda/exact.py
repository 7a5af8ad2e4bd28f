"""Products and sums in float64 that are rounded one by one, as on the CPU.

The compiler would otherwise fuse a product with the sum that follows it, which rounds once: a threshold could then
differ from the CPU's in its last bit.
"""

from numba import config

if config.ENABLE_CUDASIM:

    def product(a, b):
        """a b"""
        return a * b

    def total(a, b):
        """a + b"""
        return a + b

else:
    from numba.cuda.libdevice import dadd_rn as total
    from numba.cuda.libdevice import dmul_rn as product

__all__ = ["product", "total"]
