"""How CUDA kernels are launched: on the stream that CuPy works on, without a word about small grids."""

from __future__ import annotations

import ast
import sys
import types
import warnings
from pathlib import Path

import pytest

pytest.importorskip("numba.cuda")

from fastseg.kernels.cuda import launch
from fastseg.kernels.cuda.launch import Kernel

ROOT = Path(launch.__file__).parent


def nothing_kernel(values):  # type: ignore[no-untyped-def]
    pass


class FakeDevice:
    def __init__(self, capability: tuple[int, int]) -> None:
        self.compute_capability = capability


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """CuPy's current stream; its number can be changed."""
    found = types.SimpleNamespace(ptr=0)
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(get_current_stream=lambda: found))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    from numba.cuda.cudadrv.driver import Stream, binding

    monkeypatch.setattr(launch.cuda, "external_stream", lambda n: Stream(binding.CUstream(n), external=True))
    launch._stream_of.cache_clear()
    return found


def test_kernels_join_the_stream_of_cupy(stream: types.SimpleNamespace) -> None:
    kernel = Kernel(nothing_kernel)
    for stream.ptr in (0, 0x5000, 2, 0x5000, 0):
        assert int(kernel[1, 32].stream.handle) == stream.ptr


def test_without_cupy_it_is_the_default_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert int(Kernel(nothing_kernel)[1, 32].stream.handle) == 0


def test_shapes_and_shared_memory_are_handed_on(stream: types.SimpleNamespace) -> None:
    kernel = Kernel(nothing_kernel)
    found = kernel[(3, 2), (32, 8), 4096]
    assert (found.griddim, found.blockdim, found.sharedmem) == ((3, 2, 1), (32, 8, 1), 4096)
    assert kernel[7, 64].sharedmem == 0


@pytest.mark.parametrize(("capability", "limit"), [((7, 0), None), ((7, 5), 64), ((9, 0), 64)])
def test_registers_are_limited_where_the_compiler_need_not_spill_them(
    capability: tuple[int, int],
    limit: int | None,
    stream: types.SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = FakeDevice(capability)
    monkeypatch.setattr(launch.cuda, "get_current_device", lambda: device)
    found = Kernel(nothing_kernel, registers=64)[1, 32]
    assert found.dispatcher.targetoptions.get("max_registers") == limit


def test_small_grids_are_no_reason_for_a_warning(stream: types.SimpleNamespace) -> None:
    from numba.cuda.dispatcher import config

    plain, own = launch.cuda.jit(nothing_kernel), Kernel(nothing_kernel)
    before = config.CUDA_LOW_OCCUPANCY_WARNINGS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own[1, 1].griddim == (1, 1, 1)
        with pytest.raises(Warning, match="Grid size 1 "):
            plain[1, 1]
    assert before == config.CUDA_LOW_OCCUPANCY_WARNINGS == 1


def test_every_kernel_is_launched_so() -> None:
    """`cuda.jit` alone is for functions of the device."""
    kernels = 0
    for path in sorted(ROOT.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Kernel":
                kernels += 1
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "cuda.jit" and path.stem != "launch":
                assert [k.arg for k in node.keywords] == ["device"], f"{path.name}: line {node.lineno}"
    assert kernels > 60
