"""`import fastseg` is nearly free: what a command does not need, it does not load."""

import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "cupy", "dask", "distributed", "bioio", "numba", "zarr", "skimage", "tifffile", "pydantic")
ALLOWED_SECONDS = 0.6


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def test_importing_fastseg_loads_nothing_heavy() -> None:
    assert loaded_by("import fastseg").isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["fastseg.errors", "fastseg.types", "fastseg.arrays", "fastseg.tiling"])
def test_importing_the_lower_layers_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import {module}").isdisjoint(HEAVY)


def test_declaring_the_operators_compiles_nothing() -> None:
    loaded = loaded_by("from fastseg.operators.registry import registry; registry()")
    assert loaded.isdisjoint({"torch", "cupy", "dask", "distributed", "bioio", "numba", "zarr"})


def test_importing_fastseg_is_fast() -> None:
    plain, with_fastseg = [], []
    for _ in range(4):
        plain.append(seconds("import numpy, scipy.ndimage"))
        with_fastseg.append(seconds("import numpy, scipy.ndimage, fastseg"))
    assert min(with_fastseg) - min(plain) < ALLOWED_SECONDS
