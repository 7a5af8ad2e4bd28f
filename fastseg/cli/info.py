"""``fastseg info``: versions, devices, memory and optional parts; what a bug report needs."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

from fastseg.cli.console import gibibytes, print_heading, print_lines, print_prose, print_table
from fastseg.cli.guard import guarded

_DISTRIBUTION = "fastseg-bio"

# A part is one or several distributions of which any counts: CuPy has one name per CUDA release.
_LIBRARIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("numpy", ("numpy",)),
    ("scipy", ("scipy",)),
    ("scikit-image", ("scikit-image",)),
    ("numba", ("numba",)),
    ("zarr", ("zarr",)),
    ("tifffile", ("tifffile",)),
    ("imagecodecs", ("imagecodecs",)),
    ("bioio", ("bioio",)),
    ("bioio-czi", ("bioio-czi",)),
    ("aicsimageio", ("aicsimageio",)),
    ("dask", ("dask",)),
    ("distributed", ("distributed",)),
    ("dask-cuda", ("dask-cuda",)),
    ("torch", ("torch",)),
    ("cupy", ("cupy-cuda12x", "cupy-cuda13x", "cupy-cuda11x", "cupy")),
    ("cucim", ("cucim-cu12", "cucim-cu13", "cucim")),
    ("numba-cuda", ("numba-cuda",)),
    ("matplotlib", ("matplotlib",)),
)

_PARTS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        "gpu",
        "NVIDIA GPUs",
        ("cupy", "cucim", "numba-cuda"),
        f"pip install '{_DISTRIBUTION}[gpu-cu12]' (CUDA 12) or '{_DISTRIBUTION}[gpu-cu13]' (CUDA 13)",
    ),
    ("dl", "U-Net", ("torch",), f"pip install '{_DISTRIBUTION}[dl]'"),
    ("czi", "CZI files", ("bioio-czi",), f"pip install '{_DISTRIBUTION}[czi]'"),
    ("aicsimageio", "AICSImageIO", ("aicsimageio",), f"pip install '{_DISTRIBUTION}[aicsimageio]'"),
    ("dask", "clusters", ("dask", "distributed"), "pip install dask distributed"),
    ("bench", "benchmark figures", ("matplotlib",), f"pip install '{_DISTRIBUTION}[bench]'"),
)

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMBA_CACHE_DIR",
)


@guarded
def info() -> None:
    """Show versions, devices, memory and optional parts."""
    from fastseg import __version__

    print_heading("versions")
    found = {name: version_of(names) for name, names in _LIBRARIES}
    rows = [("fastseg", __version__), ("python", f"{platform.python_version()} ({sys.executable})")]
    rows += [("system", platform.platform())]
    rows += [(name, version) for name, version in found.items() if version]
    print_table(("", "version"), rows, header=False)
    absent = [name for name, version in found.items() if not version]
    if absent:
        print_prose(f"not installed: {', '.join(absent)}")
    print_lines("")
    print_heading("devices")
    print_table(("", "what"), _device_rows(), wrap=("what",), header=False)
    print_lines("")
    print_heading("optional parts")
    parts = []
    for name, purpose, needs, command in _PARTS:
        missing = [need for need in needs if not found[need]]
        state = f"missing ({', '.join(missing)}); install: {command}" if missing else "installed"
        parts.append((name, purpose, state))
    print_table(("", "for", "state"), parts, wrap=("state",), header=False)


def version_of(names: tuple[str, ...]) -> str:
    """Version of the first of these distributions that is installed; empty if none is. Imports none of them."""
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def _device_rows() -> list[tuple[str, str]]:
    import psutil

    from fastseg.arrays import usable_cores
    from fastseg.arrays.device import cuda_devices, why_no_cuda

    memory = psutil.virtual_memory()
    rows = [
        ("cpu", f"{cpu_name()}, {usable_cores()} of {os.cpu_count() or 1} cores usable"),
        ("memory", f"{gibibytes(memory.total)}, {gibibytes(memory.available)} available"),
    ]
    rows += [
        (
            f"cuda:{cuda.index}",
            f"{cuda.name}, compute capability {cuda.compute_capability}, {gibibytes(cuda.total_bytes)}, "
            f"{gibibytes(cuda.free_bytes)} free",
        )
        for cuda in cuda_devices()
    ]
    reason = why_no_cuda()
    if reason:
        rows.append(("cuda", f"none: {reason}"))
    rows += [(name, os.environ.get(name, "not set")) for name in _THREADS]
    return rows


def cpu_name() -> str:
    """The processor's name as the system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"
