"""The CUDA launchers for objects in Numba's simulator, in a process of their own: equal to the CPU launchers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.kernels.cuda_objects_simulated import CASES
from tests.support import ROOT


@pytest.fixture(scope="module")
def simulated() -> subprocess.CompletedProcess[str]:
    """All cases in one process, which takes longer to start than most of them."""
    return subprocess.run(
        [sys.executable, "-m", "tests.kernels.cuda_objects_simulated"],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize("case", CASES)
def test_launchers_equal_the_cpu(case: str, simulated: subprocess.CompletedProcess[str]) -> None:
    assert f"equal {case}\n" in simulated.stdout, simulated.stderr
