"""The tests and the benchmark on a GPU are there when a machine with one is: found on a machine that only looks so."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.gpu.__main__ import NEEDED, missing
from tests.support import ROOT

ABSENT = ("bioio", "cc3d", "cucim", "dask", "distributed", "edt", "imagecodecs", "skimage", "torch", "zarr")
"""What such a machine need not have."""
CUPY = """
from types import SimpleNamespace as _Names

__version__ = "14.0"

class _Device:
    def __init__(self, index=0):
        pass
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass

cuda = _Names(
    Device=_Device,
    runtime=_Names(
        getDeviceCount=lambda: 1,
        getDeviceProperties=lambda index: {"name": b"NVIDIA Stub", "major": 9, "minor": 0},
        memGetInfo=lambda: (1 << 30, 1 << 30),
    ),
)
median = None
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of processes that find a CuPy with a device, and no package that is not needed."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "cupy.py").write_text(CUPY)
    for name in ("cupyx", "cupyx/scipy", "cupyx/scipy/ndimage"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("")
    for name in ABSENT:
        (folder / f"{name}.py").write_text(f"raise ModuleNotFoundError('no {name} here', name='{name}')\n")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "NUMBA_CACHE_DIR": str(folder),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # plugins of the packages that are absent
    }


def _run(machine: dict[str, str], *arguments: str, given: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=machine,
        cwd=ROOT,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_every_test_is_collected_and_none_skips(machine: dict[str, str]) -> None:
    code = """
import sys, pytest
class Count:
    def pytest_collection_finish(self, session):
        marks = [[m for m in item.iter_markers("skipif") if m.args[0]] for item in session.items]
        print("collected", len(session.items), "skipped", sum(map(bool, marks)))
sys.exit(pytest.main(["--collect-only", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"], [Count()]))
"""
    (line,) = [found for found in _run(machine, "-c", code) if found.startswith("collected")]
    _, number, _, skipped = line.split()
    assert int(number) > 200
    assert int(skipped) == 0


def test_the_benchmark_has_cases_of_every_kind(machine: dict[str, str]) -> None:
    found = _run(machine, "-m", "bench", "--device", "cuda", "--no-peers", "--list")
    assert found[0] == "resident spots (rab5a) @ 65x624x924"
    for words in (
        "disk sec61b @ 65x624x924",
        "Gaussian 3D @",
        "dilation by a ball @",
        "throughput ",
        "2000 objects",
    ):
        assert any(words in line for line in found), words


@pytest.mark.parametrize("contender", ["fastseg_cuda", "cupy_composition"])
def test_contenders_start(contender: str, machine: dict[str, str]) -> None:
    (reply,) = _run(machine, "-m", "bench.worker", contender, given='{"do": "hello"}\n')
    found = json.loads(reply)
    assert {"workflow", "dilate", "median_threshold", "gaussian_smooth"} <= set(found["operations"])
    assert found["versions"]["device"] == "NVIDIA Stub"
    assert found["weighed_alone"] is False


def test_what_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import tests.gpu.__main__ as module

    assert set(missing()) <= {
        NEEDED["cupy"],
        NEEDED["numba_cuda"],
    }  # all else comes with fastseg and its tests
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert missing() == list(NEEDED.values())


def test_every_operator_is_compared() -> None:
    from fastseg.operators.registry import registry
    from tests.gpu import test_cuda_equals_cpu as compared

    assert {case[0] for case in (*compared.CASES, *compared.NEEDS_TWO)} == set(registry())
