"""The compiled loops of the stand-in: the twins of the CPU, called as those of the GPU are."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tests.gpu_double.array import ndarray, unwrapped, wrapped
from tests.gpu_double.memory import Gpu

FOLDER = Path(__file__).resolve().parents[2] / "kernels" / "cuda"

_SHAPES_AND_NUMBERS = {"dtype_for", "whole_sums"}
"""What launches nothing."""

_COPIED = {"dilate": ("widths",), "histograms": ("low", "high"), "otsu": ("low", "high")}
"""Arguments that launchers take from the host and copy to the device themselves."""

_LOOKED_AT = {"mark_sides": ("sides",)}
"""Arguments that launchers take from the host and turn into numbers."""


def make_kernels(gpu: Gpu, halves: dict[bytes, np.ndarray]) -> dict[str, ModuleType]:
    """The modules of `fastseg.kernels.cuda` by name.

    Parameters
    ----------
    gpu : Gpu
    halves : dict of bytes to ndarray
        Weights of a Gaussian as they are on the host, by the bytes of what is copied to the device.
    """
    found = {}
    for path in sorted(FOLDER.glob("*.py")):
        functions = _public_functions(path)
        twin = importlib.util.find_spec(f"fastseg.kernels.cpu.{path.stem}")
        if twin is None:
            continue
        cpu = importlib.import_module(f"fastseg.kernels.cpu.{path.stem}")
        module = ModuleType(f"fastseg.kernels.cuda.{path.stem}")
        for name, arguments in functions.items():
            if hasattr(cpu, name):
                setattr(module, name, _launcher(gpu, getattr(cpu, name), arguments))
        for name in ("FAR", "RADIUS", *_SHAPES_AND_NUMBERS):
            if hasattr(cpu, name):
                setattr(module, name, getattr(cpu, name))
        found[module.__name__] = module
    gaussian: Any = found["fastseg.kernels.cuda.gaussian"]
    for name in ("smooth", "laplacian"):
        setattr(gaussian, name, partial(_weighted, getattr(gaussian, name), halves, gpu))
    split: Any = found["fastseg.kernels.cuda.split"]
    split.survey = partial(_survey, gpu)
    split.cut_objects = partial(_cut, gpu, split.cut_objects)
    return found


def _public_functions(path: Path) -> dict[str, tuple[str, ...]]:
    """Names of the functions that a module offers to the host, and of their arguments."""
    return {
        item.name: tuple(argument.arg for argument in item.args.args)
        for item in ast.parse(path.read_text()).body
        if isinstance(item, ast.FunctionDef)
        and not item.name.startswith("_")
        and not item.name.endswith("_kernel")
        and not item.decorator_list
    }


def _launcher(gpu: Gpu, function: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """A twin that takes arrays of the device, and leaves its results there."""
    copied = _COPIED.get(function.__name__, ())
    looked_at = _LOOKED_AT.get(function.__name__, ())

    def launch(*arguments: Any) -> Any:
        taken = []
        for name, value in zip(names, arguments, strict=False):
            if name in copied:
                assert isinstance(value, np.ndarray)
                gpu.record("up", value.shape, value.dtype, value.nbytes)
            taken.append(value if name in copied or name in looked_at else unwrapped(value))
        return wrapped(gpu, function(*taken))

    return launch


def _weighted(
    function: Callable[..., Any], halves: dict[bytes, np.ndarray], gpu: Gpu, *arguments: Any
) -> None:
    """A Gaussian in the CPU's arithmetic: with its weights and its positions of the border."""
    taken = []
    for value in arguments:
        if isinstance(value, ndarray) and value.ndim == 1:
            raw = halves[value.raw.tobytes()] if value.dtype == np.float32 else value.raw.astype(np.intp)
            value = SimpleNamespace(raw=raw)
            value = ndarray(raw, _Nothing(gpu))
        taken.append(value)
    function(*taken)


class _Nothing:
    """Memory of what is no array of the device."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu


def _survey(gpu: Gpu, labels: Any, count: int, seeds: Any, squared: Any, out: Any) -> SimpleNamespace:
    """Sizes, seeds and depths of all objects, which the launcher fetches."""
    numbers, inside = labels.raw.ravel(), labels.raw.ravel() > 0
    sizes = np.bincount(numbers, inside, count + 1).astype(np.int64)
    sown = np.bincount(numbers, inside & (seeds.raw.ravel() > 0), count + 1).astype(np.int64)
    highest = np.zeros(count + 1, np.int64)
    np.maximum.at(highest, numbers[inside], squared.raw.ravel()[inside])
    gpu.record("down", (3, count + 1), np.int64, 3 * sizes.nbytes)
    flooded = sown > 0
    return SimpleNamespace(sizes=sizes, sown=sown, flooded=flooded, levels=np.where(flooded, highest + 1, 0))


def _cut(gpu: Gpu, function: Callable[..., Any], *arguments: Any) -> None:
    """The flood on the device; the launcher copies where each object's seeds and queue lie."""
    known = arguments[5] if len(arguments) > 5 else _survey(gpu, *arguments[:5])
    count = int(known.flooded.sum())
    for size in (len(known.sizes), len(known.sizes), count):
        gpu.record("up", (size,), np.int64, 8 * size)
    function(*arguments[:5])
