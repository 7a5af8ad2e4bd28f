"""The CUDA launchers in Numba's simulator, in a process of their own: equal to the CPU launchers."""

import os
import subprocess
import sys

import pytest

from tests.support import ROOT

CASES = ("response",)


@pytest.mark.parametrize("case", CASES)
def test_launcher_equals_the_cpu(case: str) -> None:
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    script = ROOT / "tests" / "kernels" / "cuda_simulated.py"
    done = subprocess.run(
        [sys.executable, str(script), case],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["equal", case]
