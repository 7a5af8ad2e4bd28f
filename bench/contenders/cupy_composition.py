"""What a careful user of CuPy gets: the fixed baseline's code on the device."""

import cupy
from cupyx.scipy import ndimage as ndi

from bench.contenders.composition import Composition
from bench.contenders.cuda import CudaContender, device_name

CONTENDER = CudaContender(
    "CuPy composition",
    Composition(cupy, ndi, slab=1 << 30).operations(),
    (),
    {"cupy": cupy.__version__, "device": device_name()},
)
