"""The CUDA launchers, and whole operators on a simulated device, in a process with a simulator: equal to the CPU's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.kernels.simulated import CASES
from tests.support import ROOT


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> dict[str, str]:
    """What each case of this session raised, empty if nothing; all in one process."""
    items = (item for item in request.session.items if isinstance(item, pytest.Function))
    chosen = [item.callspec.params["case"] for item in items if "outcomes" in item.fixturenames]
    done = subprocess.run(
        [sys.executable, "-m", "tests.kernels.simulated", *dict.fromkeys(chosen)],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    found = {line["case"]: line["error"] for line in map(json.loads, done.stdout.splitlines())}
    return {case: found.get(case, f"the process ended: {done.stderr}") for case in chosen}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_cpu(case: str, outcomes: dict[str, str]) -> None:
    assert not outcomes[case], outcomes[case]
