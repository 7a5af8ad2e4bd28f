"""fastseg on the CPU."""

from bench.contenders.base import Contender
from bench.contenders.fastseg_operations import operations
from fastseg import __version__

CONTENDER = Contender(
    "fastseg", operations("cpu"), ("numpy", "scipy", "numba", "scikit-image"), {"fastseg": __version__}
)
