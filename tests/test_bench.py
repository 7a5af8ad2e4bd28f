"""The benchmark on tiny arrays: every answer of every contender agrees, and a wrong one is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

from bench.arrays import objects_image
from bench.cases import Case, objects, operators
from bench.compare import compare, dice
from bench.contenders import cuda
from bench.contenders.composition import Composition
from bench.contenders.eigenvalues import of_2x2, of_3x3
from bench.lineup import FASTSEG, REFERENCE, lineup
from bench.machine import module_path
from bench.protocol import Worker, WorkerError
from bench.runner import Effort, Runner
from bench.smoke import smoke
from tests.support import ROOT

SHAPE = (4, 8, 9)
CASE = Case("size filter", "operators", "remove_small_objects", ("mask",), SHAPE, {"min_size": 2}, "mask")


class FakeWorker:
    """Answers with a given array after a given time, or fails."""

    def __init__(self, name: str, answer: Any, calls: list[str], seconds: float = 1.0) -> None:
        self.name, self.answer, self.calls, self.seconds = name, answer, calls, seconds

    def start(self) -> None:
        pass

    def ask(self, limit: float | None = None, **request: Any) -> dict[str, Any]:
        if request["do"] == "hello":
            return {"operations": ["remove_small_objects"], "versions": {"it": "1"}}
        if request["do"] != "run":
            return {}
        self.calls.append(self.name)
        if isinstance(self.answer, str):
            raise WorkerError(self.answer)
        if request.get("save"):
            np.save(request["save"], self.answer)
        return {"seconds": self.seconds, "bytes": self.answer.nbytes}

    def close(self) -> None:
        self.calls.append(f"close {self.name}")


def measured(
    workers: dict[str, FakeWorker], effort: Effort | None = None, case: Case = CASE
) -> dict[str, Any]:
    runner = Runner(workers, effort or Effort(repeats=2, memory=False, first=False))  # type: ignore[arg-type]
    return runner.measure(case)["contenders"]


def test_contenders_agree_on_tiny_arrays() -> None:
    assert smoke(lineup("cpu", None)) == []


def test_a_wrong_answer_is_reported_and_not_timed() -> None:
    right = np.zeros(SHAPE, bool)
    right[1, 2:5, 2:5] = True
    wrong = np.roll(right, 1, axis=2)
    calls: list[str] = []
    found = measured(
        {FASTSEG: FakeWorker(FASTSEG, right, calls), "other": FakeWorker("other", wrong, calls)},
    )
    assert calls == [FASTSEG, "other", FASTSEG, FASTSEG]
    assert not found["other"]["agrees"]
    assert "median_s" not in found["other"]
    assert found[FASTSEG]["median_s"] == 1.0


def test_contenders_take_turns_and_slow_ones_leave() -> None:
    answer = np.ones(SHAPE, bool)
    calls: list[str] = []
    workers = {
        FASTSEG: FakeWorker(FASTSEG, answer, calls),
        "slow": FakeWorker("slow", answer, calls, seconds=10),
        "slowest": FakeWorker("slowest", answer, calls, seconds=50),
    }
    found = measured(workers, Effort(repeats=3, budget_s=15, memory=False, first=False))
    assert calls == [FASTSEG, "slow", "slowest", FASTSEG, "slow", FASTSEG, FASTSEG]
    assert (found["slow"]["calls"], found["slowest"]["calls"], found["slowest"]["median_s"]) == (1, 1, 50)


def test_a_first_call_that_waits_for_compilers_leaves_the_others_their_turns() -> None:
    calls: list[str] = []
    workers = {FASTSEG: FakeWorker(FASTSEG, np.ones(SHAPE, bool), calls, seconds=10)}
    for counts, runs in ((True, 1), (False, 2)):
        effort = Effort(repeats=5, budget_s=15, memory=False, first=False, first_counts=counts)
        assert measured(workers, effort)[FASTSEG]["calls"] == runs


def test_processes_of_this_interpreter_see_what_it_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/carried")
    assert module_path().split(os.pathsep) == [str(ROOT), "/carried"]
    assert module_path(sys.executable, "/monai").split(os.pathsep) == [str(ROOT), "/monai", "/carried"]
    assert module_path("/peers/bin/python") == str(ROOT)


def test_failures_are_kept_and_missing_operations_are_left_out() -> None:
    calls: list[str] = []
    found = measured(
        {
            FASTSEG: FakeWorker(FASTSEG, np.ones(SHAPE, bool), calls),
            "broken": FakeWorker("broken", "ValueError: no", calls),
            "without": FakeWorker("without", "NotImplementedError: 3-D only", calls),
        }
    )
    assert found["broken"] == {"error": "ValueError: no"}
    assert "without" not in found


def test_a_series_is_not_run_where_the_reference_would_take_too_long() -> None:
    answer = np.ones(SHAPE, bool)
    calls: list[str] = []
    workers = {
        FASTSEG: FakeWorker(FASTSEG, answer, calls),
        REFERENCE: FakeWorker(REFERENCE, answer, calls, seconds=10),
    }
    runner = Runner(workers, Effort(repeats=1, limit_s=50, memory=False, first=False))  # type: ignore[arg-type]
    for amount, runs in ((100, True), (400, True), (4000, False)):
        case = Case(
            "objects", "objects", "remove_small_objects", ("mask",), SHAPE, kind="mask", amount=amount
        )
        entry = runner.measure(case)["contenders"][REFERENCE]
        assert ("median_s" in entry) == runs
    assert entry["error"] == "not run: about 100 s expected from fewer objects"


@pytest.mark.parametrize(
    ("script", "message"),
    [("exit 3", "died"), ("exec sleep 60", "takes longer than 0.2 s")],
    ids=["dies", "hangs"],
)
def test_a_process_that_fails_is_ended_and_reported(tmp_path: Path, script: str, message: str) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    with (
        Worker(python, "nobody") as worker,
        pytest.raises(WorkerError, match=message),
    ):
        worker.ask(0.2 if "sleep" in script else 20, do="hello")


LOUD = """#!{python}
import os, sys
from bench import worker
from bench.contenders import fixed
def loud(array):
    print("from Python", flush=True)
    os.write(1, b"from a library")
    return array + 1
fixed.CONTENDER.operations["loud"] = loud
sys.argv = ["", "fixed"]
worker.main()
"""


def test_a_worker_keeps_prints_out_of_its_replies_and_survives_errors(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(LOUD.format(python=sys.executable))
    python.chmod(0o755)
    np.save(tmp_path / "in.npy", np.zeros(3))
    with Worker(python, "fixed") as worker:
        worker.ask(do="load", inputs=[str(tmp_path / "in.npy")])
        with pytest.raises(WorkerError, match="KeyError"):
            worker.ask(do="run", operation="no such operation", parameters={})
        reply = worker.ask(do="run", operation="loud", parameters={}, save=str(tmp_path / "out.npy"))
    assert reply["bytes"] == 24
    assert np.array_equal(np.load(tmp_path / "out.npy"), np.ones(3))


def test_composed_size_filter_and_hole_filling_keep_their_bounds() -> None:
    composition = Composition(np, ndi, slab=2)
    mask = np.zeros((3, 6, 12), bool)
    mask[1, 1, 1:4] = mask[1, 4, 1:5] = True
    assert np.count_nonzero(composition.remove_small(mask, 3)) == 7
    assert np.count_nonzero(composition.remove_small(mask, 4)) == 4
    assert not composition.fill_holes(~mask, 1, 2, slices=True)[mask].any()
    assert np.count_nonzero(composition.fill_holes(~mask, 1, 3, slices=False)[mask]) == 3
    assert np.count_nonzero(composition.fill_holes(~mask, 4, 9, slices=True)[mask]) == 4


def test_comparison_of_images_and_masks() -> None:
    image = np.linspace(0, 2, 200_000, dtype=np.float32)
    assert compare(image, image + np.float32(1e-6), "image", 1e-5).passed
    assert not compare(image, image + np.float32(1e-4), "image", 1e-5).passed
    stray = image.copy()
    stray[:2] += 1
    assert compare(image, stray, "image", 1e-5).passed
    stray[:3] = np.nan
    assert not compare(image, stray, "image", 1e-5).passed
    assert not compare(image, image[1:], "image", 1e-5).passed
    a, b = np.array([1, 1, 0, 0], bool), np.array([0, 255, 255, 0], np.uint8)
    assert dice(a, b) == 0.5
    assert not compare(a, b, "mask", 0.4).passed
    assert compare(a, b, "mask", 0.5).passed
    assert dice(a & False, a & False) == 1


@pytest.mark.parametrize("count", [10, 100])
def test_images_of_objects_hold_that_many(count: int) -> None:
    image = objects_image((24, 60, 50), count)
    _, found = ndi.label(image > 50)
    assert found == count
    assert image[image < 50].max() < 13


def test_cases_have_distinct_keys_and_small_volumes_leave_out_what_does_not_fit() -> None:
    keys = [case.key for case in operators((64, 512, 512)) + objects((64, 512, 512))]
    assert len(set(keys)) == len(keys) == 18
    assert [case.amount for case in objects((24, 60, 50))] == [10, 100]


def test_closed_form_eigenvalues_equal_lapack() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(500, 3, 3))
    half[0] = 0
    half[1] = np.diag([2.0, 2.0, -1.0])
    for size, closed in ((2, of_2x2), (3, of_3x3)):
        matrices = (half + half.transpose(0, 2, 1))[:, :size, :size]
        rows = [(0, 0), (1, 1), (0, 1)] if size == 2 else [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
        found = np.stack(closed(np, *(matrices[:, i, j] for i, j in rows)), axis=1)
        expected = np.linalg.eigvalsh(matrices)
        order = np.argsort(np.abs(expected), axis=1)[:, -2:]
        np.testing.assert_allclose(np.abs(found), np.abs(np.take_along_axis(expected, order, 1)), atol=1e-9)
        np.testing.assert_allclose(
            found[2:], np.take_along_axis(expected, order, 1)[2:], atol=1e-9
        )  # equal magnitudes of both signs may swap


def test_peak_memory_is_that_of_the_call() -> None:
    """In a process of its own, as in the benchmark: memory that earlier work gave back is taken again first."""
    code = """
import numpy as np
from bench.memory import peak_of

size = 64 << 20

def call():
    return int(np.ones(size, np.uint8).sum())

assert call() == size
print(peak_of(call) / size)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert 0.9 < float(done.stdout) < 1.5


def test_the_command_lists_cases_and_refuses_what_it_does_not_know() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bench", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))

    listed = run("--list", "--groups", "operators", "--only", "Gaussian", "--size", "8,32,32")
    assert listed.stdout.splitlines() == ["Gaussian 3D @ 8x32x32", "Gaussian by plane @ 8x32x32"]
    refused = run("--list", "--size", "8,32")
    assert refused.returncode == 2
    assert "'8,32' is no size: three numbers of at least 4, such as 64,512,512" in refused.stderr


def test_inputs_on_a_device_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = types.SimpleNamespace(free_all_blocks=lambda: None)
    fake = types.SimpleNamespace(asarray=np.array, get_default_memory_pool=lambda: pool)
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(cuda, "ROTATED_BYTES", 3 * 4 * 100)
    contender = cuda.CudaContender("fake", {})
    array = np.arange(100, dtype=np.float32)
    placed = [contender.place([array])[0] for _ in range(6)]
    assert len({id(p) for p in placed}) == 3
    assert all(a is b for a, b in zip(placed[:3], placed[3:], strict=True))
    contender.forget()
    assert contender.place([array + 1])[0][0] == 1
