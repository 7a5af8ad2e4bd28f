"""What the launchers of the CUDA kernels copy between host and device is small, whatever the size of the volume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import prod

from tests.gpu_double.kernels import FOLDER
from tests.support import ROOT

NEIGHBOURS = [512]
"""What thinning looks up for the neighbours of a pixel. Tables of objects and footprints are far shorter here."""


def test_launchers_copy_numbers_and_tables_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu_double.launchers_simulated"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    launching = {path.stem for path in FOLDER.glob("*.py") if "cuda.jit(" in path.read_text()}
    assert launching <= set(found["modules"])
    assert {copy["way"] for copy in found["copies"]} == {"up", "down"}
    assert [c for c in found["copies"] if prod(c["shape"]) > 100 and c["shape"] != NEIGHBOURS] == []
