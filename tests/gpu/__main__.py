"""Says what is missing for the tests and the benchmark on a GPU, all at once: ``python -m tests.gpu``."""

from __future__ import annotations

import sys
from importlib.util import find_spec

NEEDED = {
    "cupy": "cupy-cuda12x or cupy-cuda13x",
    "numba_cuda": "numba-cuda",
    "numba": "numba",
    "numpy": "numpy",
    "scipy": "scipy",
    "pydantic": "pydantic",
    "yaml": "pyyaml",
    "psutil": "psutil",
    "tifffile": "tifffile",
    "typer": "typer",
    "rich": "rich",
    "hypothesis": "hypothesis",
    "pytest": "pytest",
}


def missing() -> list[str]:
    """The packages that this Python lacks."""
    return [package for module, package in NEEDED.items() if find_spec(module) is None]


if __name__ == "__main__":
    if lacking := missing():
        sys.exit(f"the tests on a GPU need {', '.join(lacking)}: {sys.executable} -m pip install ...")
