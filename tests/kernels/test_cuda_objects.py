"""The CUDA launchers for objects in Numba's simulator, and operators on a simulated device: equal to the CPU."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.kernels import cuda_objects_simulated, cuda_operators_simulated
from tests.support import ROOT


def _run(module: str) -> str:
    """What a script of cases prints: all cases in one process, which takes longer to start than most of them."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.kernels.{module}"],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def launchers() -> str:
    return _run("cuda_objects_simulated")


@pytest.fixture(scope="module")
def operators() -> str:
    return _run("cuda_operators_simulated")


@pytest.mark.parametrize("case", cuda_objects_simulated.CASES)
def test_launchers_equal_the_cpu(case: str, launchers: str) -> None:
    assert f"equal {case}\n" in launchers, launchers


@pytest.mark.parametrize("case", cuda_operators_simulated.CASES)
def test_operators_equal_the_cpu(case: str, operators: str) -> None:
    assert f"equal {case}\n" in operators, operators
