"""What a careful user of CuPy gets: the fixed baseline's code on the device."""

import cupy
from cupyx.scipy import ndimage as ndi

from bench.contenders.composed_workflows import ComposedWorkflows
from bench.contenders.cuda import CudaContender, device_name

CONTENDER = CudaContender(
    "CuPy composition",
    ComposedWorkflows(cupy, ndi, slab=1 << 30).operations(),
    (),
    {"cupy": cupy.__version__, "device": device_name()},
)
