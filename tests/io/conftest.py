"""Small files for the readers, and the folder of real stacks where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real stacks is not beside this repository")
    return folder


@pytest.fixture
def stack() -> np.ndarray:
    """(5, 40, 50) uint16 with all values different enough that a mix-up of axes or planes shows."""
    return np.random.default_rng(7).integers(1, 60000, (5, 40, 50)).astype(np.uint16)


@pytest.fixture
def tiff(tmp_path: Path) -> Callable[..., Path]:
    """Writes an array with tifffile and returns the file's path."""

    def write(array: np.ndarray, name: str = "x.tif", **options: Any) -> Path:
        import tifffile

        path = tmp_path / name
        tifffile.imwrite(path, array, **options)
        return path

    return write
