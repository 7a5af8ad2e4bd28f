"""What the benchmark does on a CUDA device, without one: order, workflows on whole fields, memory, disk to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

from bench import __main__ as command
from bench import disk
from bench.cases import RESIDENT, Case, resident
from bench.commands import RESULT, Finished
from bench.compare import dice
from bench.contenders.composed_workflows import ComposedWorkflows
from bench.lineup import COMPOSITION, FASTSEG, lineup
from bench.phantom import phantom
from bench.report import markdown
from bench.runner import Effort, Runner
from fastseg.workflow.segment import segment


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return 2 * phantom((12, 48, 56), 3)


@pytest.mark.parametrize("name", ["rab5a", "tjp1", "tomm20", "actb", "sec61b"])
def test_composed_workflows_answer_as_fastseg_does(name: str, counts: np.ndarray) -> None:
    expected = segment(counts, name, "cpu") > 0
    found = ComposedWorkflows(np, ndi, slab=4).workflow(counts, name)
    assert 10 < np.count_nonzero(expected) < expected.size / 2
    assert dice(found, expected) >= 0.9995
    assert name in {workflow for workflow, _ in RESIDENT.values()}


def test_workflows_without_a_composition_are_left_out(counts: np.ndarray) -> None:
    with pytest.raises(NotImplementedError, match="no composition of npm1"):
        ComposedWorkflows(np, ndi, slab=4).workflow(counts, "npm1")


def test_the_most_telling_groups_come_first_on_a_device() -> None:
    def keys(*arguments: str) -> list[str]:
        options = command.parse(["--no-peers", *arguments])
        runner = Runner(lineup(options.device, None), Effort())
        return [key for key, _ in command.plan(options, runner, None)]

    found = keys("--device", "cuda")
    starts = [
        next(i for i, key in enumerate(found) if word in key) for word in ("resident", "Gaussian", "disk")
    ]
    assert starts == sorted(starts)
    assert starts[0] == 0
    assert not any("resident" in key or key.startswith("disk") for key in keys())
    assert keys("--groups", "disk", "--field-size", "4,8,9", "--only", "rab5a") == ["disk rab5a @ 4x8x9"]


class Weighed:
    """A worker that tells what it weighed, in a process of its own or not."""

    def __init__(self, alone: bool, asked: list[str]) -> None:
        self.alone, self.asked = alone, asked

    def start(self) -> None:
        pass

    def ask(self, limit: float | None = None, **request: Any) -> dict[str, Any]:
        if request["do"] == "hello":
            return {"operations": ["workflow"], "versions": {}, "weighed_alone": self.alone}
        if request["do"] == "run" and request.get("save"):
            np.save(request["save"], np.ones((4, 8, 9), bool))
        self.asked.append(request["do"])
        return {"seconds": 0.5, "bytes": 288, "peak_bytes": 77}

    def twin(self, variables: Any = None) -> Weighed:
        self.asked.append("twin")
        return self

    def __enter__(self) -> Weighed:
        return self

    def __exit__(self, *_: object) -> None:
        self.asked.append("end")


@pytest.mark.parametrize("alone", [True, False])
def test_memory_on_a_device_needs_no_process_of_its_own(alone: bool) -> None:
    asked: list[str] = []
    (case,) = [case for case in resident((4, 8, 9)) if "rab5a" in case.name]
    runner = Runner({FASTSEG: Weighed(alone, asked)}, Effort(repeats=1, first=False))  # type: ignore[dict-item]
    row = runner.measure(case)
    assert row["contenders"][FASTSEG]["peak_bytes"] == 77
    assert asked[-4:] == (["twin", "load", "memory", "end"] if alone else ["run", "run", "load", "memory"])
    assert row["target_s"] == 0.04


def test_compilation_is_measured_in_some_groups_only() -> None:
    asked: list[str] = []
    effort = Effort(repeats=1, memory=False, first_in=("resident",))
    runner = Runner({FASTSEG: Weighed(False, asked)}, effort)  # type: ignore[dict-item]
    other = Case("other", "operators", "workflow", ("mask",), (4, 8, 9), {}, "mask")
    assert "first" not in runner.measure(other)
    assert "twin" not in asked


def test_time_from_disk_to_disk_is_a_start_and_a_part_for_each_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(path: Path, shape: Any) -> None:
        path.write_bytes(b"x" * 1000)

    def run(arguments: list[str], limit: float) -> Finished:
        files = [Path(a) for a in arguments if a.endswith(".tiff")]
        output = Path(arguments[arguments.index("-o") + 1])
        output.mkdir()
        for file in files:
            (output / f"{file.stem}{RESULT}").write_bytes(b"y" * 500)
        return Finished(5 + 0.25 * len(files))

    monkeypatch.setattr(disk, "write_stack", write)
    monkeypatch.setattr(disk, "run", run)
    row = disk.measure_disk("sec61b", (65, 624, 924), "cuda")
    assert row["start_s"] == pytest.approx(5)
    assert row["contenders"][FASTSEG]["median_s"] == pytest.approx(0.25)
    assert "| disk sec61b, 65x624x924 | 5 | 0.25 | 4 | 0.006 |" in markdown("some device", [row])
    assert "Not timed" not in markdown("some device", [row])
    monkeypatch.setattr(disk, "run", lambda *_: Finished(1.0))
    with pytest.raises(RuntimeError, match="the command of 3 stacks did not write all masks"):
        disk.measure_disk("sec61b", (4, 8, 9), "cuda")


def test_the_report_compares_with_the_seconds_asked_for() -> None:
    def row(name: str, seconds: float) -> dict[str, Any]:
        entry = {"median_s": seconds, "min_s": seconds, "max_s": seconds, "calls": 5, "agrees": True}
        contenders = {FASTSEG: entry | {"peak_bytes": 8000}, COMPOSITION: entry | {"median_s": 10 * seconds}}
        return {
            "group": "resident",
            "name": name,
            "shape": [10, 10, 10],
            "bytes": 8000,
            "bandwidth": 1e6,
            "date": "2030-01-02",
            "target_s": 0.04,
            "contenders": contenders,
            "first": {"installed_s": 9.0, "later_s": 8.5},
        }

    text = markdown("some device", [row("resident fast", 0.01), row("resident slow", 0.05)])
    assert "| resident fast, 10x10x10 | 10 | 40, met | 1.2x | 100 | 10.0x | 2.0 | - | 8.5 |" in text
    assert "| resident slow, 10x10x10 | 50 | 40, **missed** |" in text
