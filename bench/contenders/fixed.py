"""The fixed CPU baseline: NumPy and SciPy without the reference's waste (see `bench.contenders.composition`)."""

import numpy as np
from scipy import ndimage as ndi

from bench.contenders.base import Contender
from bench.contenders.composition import Composition

CONTENDER = Contender("NumPy + SciPy, fixed", Composition(np, ndi, slab=4).operations(), ("numpy", "scipy"))
