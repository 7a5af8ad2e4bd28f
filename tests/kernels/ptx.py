"""CUDA kernels through the compiler and the assembler without a device, and what these say about them.

``python -m tests.kernels.ptx`` prints the table of docs/kernels.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

CAPABILITIES = ((7, 0), (7, 5), (8, 0), (8, 6), (9, 0))


def why_no_compiler() -> str:
    """Why kernels cannot be compiled here; empty if they can."""
    try:
        import numba.cuda  # noqa: F401
        from cuda.pathfinder import load_nvidia_dynamic_lib

        load_nvidia_dynamic_lib("nvrtc")
        load_nvidia_dynamic_lib("nvvm")
    except Exception as error:  # the finder raises its own types, and ImportError without numba-cuda
        return f"no CUDA compiler libraries ({type(error).__name__})"
    return ""


@lru_cache(maxsize=1)
def capabilities() -> tuple[tuple[int, int], ...]:
    """Those of `CAPABILITIES` that the compiler knows: 7.0 up to CUDA 12."""
    from cuda.bindings import nvrtc

    known = nvrtc.nvrtcGetSupportedArchs()[1]
    return tuple(c for c in CAPABILITIES if 10 * c[0] + c[1] in known)


def ptx_of(kernel: Any, arguments: tuple[Any, ...], capability: tuple[int, int]) -> str:
    """The PTX of a kernel."""
    import numba.cuda
    from numba.cuda import dispatcher

    class Device:
        compute_capability = capability

    with patch.object(dispatcher, "get_current_device", Device):
        return str(numba.cuda.compile_ptx(kernel, arguments, cc=capability)[0])


def doubles_in(ptx: str) -> list[str]:
    """The operations in double precision."""
    return re.findall(r"\b(?:add|sub|mul|div|fma|mad|sqrt|rcp)\.\w*\.?f64", ptx)


@dataclass(frozen=True)
class Assembled:
    """What the assembler says: registers, and bytes of stack, of spilled registers and of shared memory."""

    registers: int
    stack: int
    spilled: int
    shared: int


def assemble(ptx: str, capability: tuple[int, int]) -> Assembled | None:
    """Run ptxas; None where there is none."""
    if shutil.which("ptxas") is None:
        return None
    architecture = f"-arch=sm_{capability[0]}{capability[1]}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        command = ["ptxas", architecture, "-v", str(source), "-o", str(source.with_suffix(".cubin"))]
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    spilled = sum(int(n) for n in re.findall(r"(\d+) bytes spill", done.stderr))
    stack = max(int(n) for n in re.findall(r"(\d+) bytes stack frame", done.stderr))
    registers = max(int(n) for n in re.findall(r"Used (\d+) registers", done.stderr))
    shared = sum(int(n) for n in re.findall(r"(\d+) bytes smem", done.stderr))
    return Assembled(registers, stack, spilled, shared)


def main() -> None:
    from bench.predicted import KERNELS, NAMES, VOXELS
    from tests.kernels import test_ptx_filters as filters
    from tests.kernels import test_ptx_objects as objects

    print(
        "| kernel | what it computes | threads of a block | registers, 8.0 / 9.0 | shared, bytes | bytes a voxel | ms |"
    )
    print("|---|---|---|---|---|---|---|")
    known: dict[str, tuple[Any, tuple[Any, ...], int | None]] = {
        NAMES.get(name, name): (kernel, arguments, limit)
        for name, (kernel, arguments, _, limit) in filters.kernels().items()
    } | {name: (kernel, arguments, None) for name, (kernel, arguments, _) in objects.kernels().items()}
    for name, row in KERNELS.items():
        if name not in known:
            continue
        kernel, arguments, limit = known[name]
        found = []
        for capability in ((8, 0), (9, 0)):
            ptx = filters._limited(ptx_of(kernel, arguments, capability), limit, capability)
            assembled = assemble(ptx, capability)
            assert assembled is not None
            assert (assembled.stack, assembled.spilled) == (0, 0)
            found.append(assembled)
        registers = " / ".join(str(one.registers) for one in found)
        shared = row.shared or str(found[-1].shared)
        moved, time = f"{row.bytes:.3g}", f"{row.seconds(VOXELS) * 1000:.3g}"
        print(
            f"| {name} | {row.what} | {row.block} | {registers} | {shared} | {moved} | {time} |", flush=True
        )


if __name__ == "__main__":
    main()
