"""CUDA kernels through the compiler and the assembler without a device, and what these say about them.

``python -m tests.kernels.ptx`` prints registers and stack of every kernel on objects for every card generation.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

CAPABILITIES = ((7, 5), (8, 0), (8, 6), (9, 0))


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
    """What the assembler says: registers, and bytes of stack and of spilled registers."""

    registers: int
    stack: int
    spilled: int


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
    return Assembled(registers, stack, spilled)


def main() -> None:
    from tests.kernels.test_ptx_objects import kernels

    print("| kernel | " + " | ".join(f"{a}.{b}" for a, b in CAPABILITIES) + " |")
    for name, (kernel, arguments, _) in kernels().items():
        cells = []
        for capability in CAPABILITIES:
            found = assemble(ptx_of(kernel, arguments, capability), capability)
            assert found is not None
            cells.append(f"{found.registers} / {found.stack} / {found.spilled}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
