"""Lists what the launchers of the CUDA kernels copy between host and device, in workflows that need all of them.

Needs NUMBA_ENABLE_CUDASIM=1 before Numba is imported: ``python -m tests.gpu_double.launchers_simulated``. Arrays are
the stand-in's; kernels are the CUDA ones, run by Numba's simulator.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from tests.gpu_double import gpu_double
from tests.gpu_double.kernels import FOLDER
from tests.kernels.simulator import set_up
from tests.support import image

SHAPE = (4, 11, 13)
WORKFLOWS = ("st6gal1", "cetn2")
OPERATORS: dict[str, dict[str, Any]] = {
    "edge_preserving_smooth": {"iterations": 1},
    "jerman_vesselness": {"sigmas": [1]},
    "fill_holes": {"hole_min": 0, "hole_max": 9, "slices": False, "fill_border": False},
}


def raw(*arrays: Any) -> Any:
    """Arrays as the simulator takes them; one of the host is refused, as by the compiled kernels."""
    if any(isinstance(array, np.ndarray) for array in arrays):
        raise TypeError("an array of the host was given to a kernel")
    found = tuple(array.raw for array in arrays)
    return found if len(found) > 1 else found[0]


def copied(name: str) -> list[dict[str, Any]]:
    """Copies that launchers made, in one workflow or operator."""
    from fastseg.arrays import Device, to_device
    from fastseg.operators.functions import function_of
    from fastseg.workflow.segment import segment

    stack = 1000 * image("blobs", SHAPE, 4)
    stack[1:3, 3:8, 4:9] += 300
    with (
        gpu_double(twins=False) as gpu,
        patch("fastseg.operators.splitting.flood_on_device", return_value=True),
    ):
        if name in OPERATORS:
            function_of(name)(to_device(stack, Device("cuda")), **OPERATORS[name])
        else:
            segment(stack, name, "cuda")
    return [
        {"launcher": copy.launcher, "way": copy.way, "shape": copy.shape, "of": name}
        for copy in gpu.transfers
        if copy.launcher
    ]


if __name__ == "__main__":
    assert os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    set_up("copies")
    from fastseg.kernels.cuda import memory

    memory.views = raw
    found = [copy for name in sys.argv[1:] or (*WORKFLOWS, *OPERATORS) for copy in copied(name)]
    used = [
        path.stem
        for path in sorted(Path(FOLDER).glob("*.py"))
        if f"fastseg.kernels.cuda.{path.stem}" in sys.modules
    ]
    print(json.dumps({"copies": found, "modules": used}))
