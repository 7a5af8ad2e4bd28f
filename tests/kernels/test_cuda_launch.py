"""How CUDA kernels are launched: on the stream that CuPy works on, without a word about small grids."""

from __future__ import annotations

import ast
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba.cuda")

from fastseg.kernels.cuda import direct, launch
from fastseg.kernels.cuda.launch import Kernel

ROOT = Path(launch.__file__).parent


def nothing_kernel(values):  # type: ignore[no-untyped-def]
    pass


class FakeDevice:
    __hash__ = None  # type: ignore[assignment]  # as what Numba hands out

    def __init__(self, capability: tuple[int, int]) -> None:
        self.compute_capability = capability


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """CuPy's current stream; its number can be changed."""
    found = types.SimpleNamespace(ptr=0)
    runtime = types.SimpleNamespace(getDevice=lambda: 3)
    cupy = types.SimpleNamespace(
        cuda=types.SimpleNamespace(get_current_stream=lambda: found, runtime=runtime)
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    from numba.cuda.cudadrv.driver import Stream, binding

    monkeypatch.setattr(launch.cuda, "external_stream", lambda n: Stream(binding.CUstream(n), external=True))
    launch._stream_of.cache_clear()
    return found


@pytest.fixture
def through_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches as versions of Numba have them that cannot be passed by."""
    monkeypatch.setattr(launch, "direct_is_possible", lambda: False)


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What goes to the driver: stream, grid, block, bytes of shared memory, and the kernel's arguments."""
    found: list[tuple[object, ...]] = []

    class Compiled:
        def __init__(self, dispatcher: object, arguments: tuple[object, ...]) -> None:
            kinds = tuple(map(direct._type_of, arguments))
            found.append(("compiled", *map(str, kinds)))
            self._layout = tuple(map(direct._laid_out, kinds))

        flat = direct.Compiled.flat

        def launch(
            self, arguments: list[object], grid: object, block: object, shared: int, stream: int
        ) -> None:
            numbers = [getattr(n, "value", n) for n in self.flat(arguments)]
            found.append((stream, grid, block, shared, *numbers))

    monkeypatch.setattr(direct, "Compiled", Compiled)
    monkeypatch.setattr(direct.cuda, "current_context", lambda: None)
    return found


def image(
    shape: tuple[int, ...], dtype: str, strides: tuple[int, ...] | None = None
) -> types.SimpleNamespace:
    array = np.zeros(shape, dtype)
    return types.SimpleNamespace(
        **{name: getattr(array, name) for name in ("shape", "dtype", "ndim", "size", "itemsize")},
        strides=strides or array.strides,
        flags=types.SimpleNamespace(c_contiguous=strides is None),
        data=types.SimpleNamespace(ptr=4096),
        __cuda_array_interface__={},
    )


def test_arguments_go_to_the_driver_as_numba_lays_them_out(
    stream: types.SimpleNamespace, launched: list[tuple[object, ...]]
) -> None:
    kernel, stream.ptr = Kernel(nothing_kernel), 0x5000
    three = tuple(map(np.float32, (1, 2, 3)))
    given = image((2, 3, 4), "f4"), np.int64(7), 5, 0.5, np.float32(0.25), True, three
    kernel[(np.int64(3), 2), (32, 8), 4096](*given)
    kernel[7, 64](image((3,), "u1", strides=(2,)), *given[1:])
    kernel[7, 64](image((9,), "u1", strides=(3,)), *given[1:])
    kinds = ("int64", "int64", "float64", "float32", "bool", "UniTuple(float32 x 3)")
    numbers = (7, 5, 0.5, 0.25, True, 1, 2, 3)
    assert launched == [
        ("compiled", "array(float32, 3d, C)", *kinds),
        (0x5000, (3, 2), (32, 8), 4096, 0, 0, 24, 4, 4096, 2, 3, 4, 48, 16, 4, *numbers),
        ("compiled", "array(uint8, 1d, A)", *kinds),
        (0x5000, 7, 64, 0, 0, 0, 3, 1, 4096, 3, 2, *numbers),
        (0x5000, 7, 64, 0, 0, 0, 9, 1, 4096, 9, 3, *numbers),
    ]


def test_the_layout_is_that_of_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.cuda.dispatcher import _Kernel

    class Shim(types.SimpleNamespace):
        __cuda_memory__ = True
        __hash__ = object.__hash__

    array = image((2, 3, 4), "f4", strides=(96, 32, 8))
    view = direct.View(array)
    layout = types.SimpleNamespace(strides_in_bytes=array.strides)
    shim = Shim(shape=array.shape, dtype=array.dtype, size=24, ptr=4096, _layout=layout)
    shim._strided_memory_view_shim = shim
    owner = types.SimpleNamespace(extensions=())
    owner._prepare_args = types.MethodType(_Kernel._prepare_args, owner)
    for value, theirs in (
        (view, shim),
        (np.int64(-3), np.int64(-3)),
        (np.uint8(200), np.uint8(200)),
        (np.float32(0.1), np.float32(0.1)),
        (0.1, 0.1),
        (True, True),
        ((np.float32(1), np.float32(2)), (np.float32(1), np.float32(2))),
    ):
        kind, expected = direct._type_of(value), []
        owner._prepare_args(kind, theirs, 0, [], expected)
        found = list(direct._laid_out(kind)(value))
        assert [(type(n), getattr(n, "value", n)) for n in found] == [
            (type(n), getattr(n, "value", n)) for n in expected
        ]


@pytest.mark.usefixtures("through_numba")
def test_kernels_join_the_stream_of_cupy(stream: types.SimpleNamespace) -> None:
    kernel = Kernel(nothing_kernel)
    for stream.ptr in (0, 0x5000, 2, 0x5000, 0):
        assert int(kernel[1, 32].stream.handle) == stream.ptr


def test_without_cupy_it_is_the_default_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert int(Kernel(nothing_kernel)[1, 32].stream.handle) == 0


@pytest.mark.usefixtures("through_numba")
def test_shapes_and_shared_memory_are_handed_on(stream: types.SimpleNamespace) -> None:
    kernel = Kernel(nothing_kernel)
    found = kernel[(3, 2), (32, 8), 4096]
    assert (found.griddim, found.blockdim, found.sharedmem) == ((3, 2, 1), (32, 8, 1), 4096)
    assert kernel[7, 64].sharedmem == 0


@pytest.mark.usefixtures("through_numba")
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


@pytest.mark.usefixtures("through_numba")
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


def test_launchers_ask_views_for_nothing_that_they_lack() -> None:
    """Where there is a device, `views` gives no arrays: the simulator cannot see what is asked of them."""
    asked = set()
    for path in sorted(ROOT.glob("*.py")):
        functions = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)]
        for function in functions:
            targets = [
                target
                for node in ast.walk(function)
                if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("views(")
                for target in node.targets
            ]
            names = {n.id: t.lineno for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            lists = {t.id for t in targets if isinstance(t, ast.Name)}
            for node in ast.walk(function):
                owner = getattr(node, "value", None)
                if isinstance(owner, ast.Name) and node.lineno > names.get(owner.id, node.lineno):
                    if isinstance(node, ast.Attribute):
                        asked.add(node.attr)
                    elif isinstance(node, ast.Subscript):
                        assert owner.id in lists, f"{path.name}: line {node.lineno}"
    assert asked == {"shape", "size"}
