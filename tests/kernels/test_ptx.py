"""The CUDA kernels through the compiler: no double precision where none is meant, no spilled registers."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

numba = pytest.importorskip("numba")
cuda = pytest.importorskip("numba.cuda")


def _why_not() -> str:
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        load_nvidia_dynamic_lib("nvrtc")
        load_nvidia_dynamic_lib("nvvm")
    except Exception as error:  # the finder raises its own types, and ImportError without numba-cuda
        return f"no CUDA compiler libraries ({type(error).__name__})"
    return ""


pytestmark = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "never")

IMAGE = numba.float32[:, :, ::1]
THREE = numba.types.UniTuple(numba.float32, 3)
I8, F4, F8 = numba.int64, numba.float32, numba.float64


def _signatures() -> dict[str, tuple[Any, tuple[Any, ...], int]]:
    """Kernel, argument types, and how many float64 operations are meant."""
    from fastseg.kernels.cuda import diffusion

    return {
        "step": (diffusion.step_kernel, (IMAGE, THREE, F4, F4, I8, I8, I8, IMAGE), 0),
        "gradient": (
            diffusion.gradient_kernel,
            (IMAGE, THREE, I8, I8, I8, I8, I8, F8, numba.int64[::1]),
            5,  # one fused product and sum turns the float32 square into fixed point; the loop is unrolled by four
        ),
    }


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 6), (9, 0)])
@pytest.mark.parametrize("name", ["step", "gradient"])
def test_kernel_compiles(
    name: str, capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import numba.cuda.dispatcher as dispatcher

    class Device:
        compute_capability = capability

    monkeypatch.setattr(dispatcher, "get_current_device", Device, raising=False)
    kernel, arguments, doubles = _signatures()[name]
    ptx, _ = cuda.compile_ptx(kernel, arguments, cc=capability)
    found = re.findall(r"\b(?:add|sub|mul|div|fma|mad|sqrt|rcp)\.\w*\.?f64", ptx)
    assert len(found) <= doubles, f"double precision in a float32 kernel: {found}"
    if shutil.which("ptxas") is None:
        return
    source = tmp_path / "kernel.ptx"
    source.write_text(ptx)
    done = subprocess.run(
        [
            "ptxas",
            f"-arch=sm_{capability[0]}{capability[1]}",
            "-v",
            str(source),
            "-o",
            str(tmp_path / "kernel.cubin"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"(\d+) bytes spill", done.stderr) == ["0", "0"] * done.stderr.count("spill stores")
