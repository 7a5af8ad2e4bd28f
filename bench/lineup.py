"""Who runs: a process for each contender that this machine can offer."""

import importlib.util
import sys
from pathlib import Path

from bench.machine import module_path
from bench.protocol import Worker

FASTSEG = "fastseg"
REFERENCE = "reference"
LOOP = "reference's loop"
COMPOSITION = "CuPy composition"
MONAI = "MONAI"
MONAI_LARGE = "MONAI, large windows"
# Threads of NumPy's linear algebra: more only get in each other's way on 3x3 matrices.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def fastseg_module(device: str) -> str:
    """The contender module of fastseg on a device."""
    return "fastseg_cuda" if device == "cuda" else "fastseg_cpu"


def lineup(device: str, peers: Path | None, monai: Path | None = None) -> dict[str, Worker]:
    """Processes by name, fastseg first; they start when they are first asked.

    Parameters
    ----------
    device : {"cpu", "cuda"}
    peers : Path or None
        Interpreter of the peers' environment; without it, what this environment holds takes part.
    monai : Path, optional
        Folder that holds MONAI.
    """
    own = sys.executable
    found = {FASTSEG: Worker(own, fastseg_module(device))}
    if peers is not None:
        found[REFERENCE] = Worker(peers, "reference")
    if importlib.util.find_spec("torch") is not None:
        found[LOOP] = Worker(own, "network_loop")
        if monai is not None:
            path = {"PYTHONPATH": module_path(own, monai)}
            found[MONAI] = Worker(own, "sliding_window", path)
            found[MONAI_LARGE] = Worker(own, "sliding_window_large", path)
    if device == "cuda":
        found[COMPOSITION] = Worker(own, "cupy_composition")
        for title, package, module in (
            ("cuCIM", "cucim", "cucim"),
            ("pyclesperanto", "pyclesperanto", "clesperanto"),
        ):
            if importlib.util.find_spec(package) is not None:
                found[title] = Worker(own, module)
        return found
    found["fixed"] = Worker(own, "fixed", ONE_THREAD)
    found["scikit-image"] = Worker(peers or own, "scikit")
    if importlib.util.find_spec("cc3d") is not None:
        found["cc3d"] = Worker(own, "cc3d")
    if peers is not None:
        found["ITK"] = Worker(peers, "insight")
        found["dask-image"] = Worker(peers, "dask_image")
    return found
