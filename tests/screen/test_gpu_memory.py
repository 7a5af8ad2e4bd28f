"""Runs over files on a GPU whose memory does not suffice: in memory, stage by stage, as every format."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from typer.testing import CliRunner

import fastseg
from fastseg.cli.main import app
from fastseg.screen import ItemOutcome, SegmentRequest, segment_files
from fastseg.tiling.scratch import Scratch
from tests.gpu_double import Gpu, gpu_double
from tests.screen.stacks import files_in, stack, write_stack

ARRAY = stack(3, (8, 96, 96))
NAME = "tjp1"
LARGE = {"scratch": "s", "memory": 400 * 2**20}


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return fastseg.segment(ARRAY, NAME, "cpu")


def _run(folder: Path, capacity: int | None, **options: Any) -> tuple[ItemOutcome, Gpu]:
    if "scratch" in options:
        options["scratch"] = folder / "s"
    with gpu_double(capacity) as gpu:
        (outcome,) = segment_files(
            write_stack(folder / "a.tif", ARRAY), SegmentRequest(NAME, folder / "out", **options)
        )
    return outcome, gpu


def _result(outcome: ItemOutcome) -> np.ndarray:
    assert outcome.ok, outcome.traceback
    return fastseg.read(outcome.outputs[0]).volume()


def _short(outcome: ItemOutcome) -> list[str]:
    return [note for note in outcome.notes if "does not fit into the memory of cuda:0" in note]


@pytest.mark.parametrize(
    "options", [{}, LARGE, {**LARGE, "format": "ome-zarr"}], ids=["memory", "tiff", "zarr"]
)
@pytest.mark.parametrize("share", [0.8, 0.05], ids=["tiles", "cpu"])
def test_the_result_is_that_of_the_cpu(
    tmp_path: Path, expected: np.ndarray, options: dict[str, Any], share: float
) -> None:
    whole, gpu = _run(tmp_path / "whole", None, **options)
    assert _short(whole) == []
    assert gpu.trims == 0
    np.testing.assert_array_equal(_result(whole), expected)
    outcome, bounded = _run(tmp_path / "bounded", int(share * gpu.peak), **options)
    np.testing.assert_array_equal(_result(outcome), expected)
    assert bounded.peak <= share * gpu.peak
    lines = _short(outcome)
    assert 1 <= len(lines) <= 6
    assert [line.endswith("going on on the CPU") for line in lines] == [False] * (len(lines) - 1) + [
        share < 0.1
    ]
    assert not [note for note in outcome.notes if "earlier run" in note]
    assert files_in(tmp_path / "bounded" / "out") == [outcome.outputs[0].name]
    assert files_in(tmp_path / "bounded" / "s") == []


def test_a_file_is_copied_in_its_own_dtype(tmp_path: Path) -> None:
    outcome, gpu = _run(tmp_path, None)
    assert outcome.ok
    volumes = [(copy.way, copy.dtype) for copy in gpu.transfers if copy.shape == ARRAY.shape]
    assert volumes == [("up", "uint16"), ("down", "uint8")]


@pytest.mark.parametrize("options", [{}, LARGE], ids=["memory", "tiff"])
def test_a_gpu_that_was_named_is_not_left(tmp_path: Path, options: dict[str, Any]) -> None:
    outcome, _ = _run(tmp_path, 2000, device="cuda", **options)
    assert not outcome.ok
    assert outcome.expected
    assert outcome.exit_code == 1
    assert (
        "does not fit into the memory of cuda:0 in tiles of 8,16,16: a task was planned to take"
        in outcome.message
    )
    assert files_in(tmp_path / "out") == []


def test_a_stage_that_was_finished_is_not_run_again(tmp_path: Path, expected: np.ndarray) -> None:
    begun: list[int] = []
    left: list[int] = []
    real = Scratch.remove_unfinished

    def looked_at(self: Scratch) -> None:
        real(self)
        left.append(len(list(self.folder.glob("*.zarr"))))

    path = write_stack(tmp_path / "a.tif", ARRAY)
    _, gpu = _run(tmp_path / "whole", None, **LARGE)
    request = SegmentRequest(NAME, tmp_path / "out", scratch=tmp_path / "s", memory=400 * 2**20)

    def on_event(event: Any) -> None:
        if hasattr(event, "step"):
            begun.append(event.number)

    with gpu_double(int(0.8 * gpu.peak)), patch.object(Scratch, "remove_unfinished", looked_at):
        (outcome,) = segment_files(path, request, on_event)
    np.testing.assert_array_equal(_result(outcome), expected)
    again = [b for a, b in pairwise(begun) if b <= a]
    assert len(again) == len(_short(outcome))
    assert all(b == a for a, b in pairwise(begun) if b <= a)  # the one that failed, no other
    assert len(left) == 1 + len(again)  # once when the folder is made, once after each failure


def test_without_a_budget_the_free_memory_of_the_gpu_is_planned_with(
    tmp_path: Path, expected: np.ndarray
) -> None:
    outcome, gpu = _run(tmp_path / "ample", None, scratch="s")
    np.testing.assert_array_equal(_result(outcome), expected)
    assert gpu.transfers
    outcome, gpu = _run(tmp_path / "little", 100_000, scratch="s")
    np.testing.assert_array_equal(_result(outcome), expected)
    assert gpu.transfers == []
    assert [note for note in outcome.notes if "going on" in note] == [
        "97.7 KiB that are free on cuda:0 do not suffice for any tile; going on on the CPU"
    ]
    outcome, _ = _run(tmp_path / "named", 100_000, scratch="s", device="cuda")
    assert not outcome.ok
    assert outcome.exit_code == 2


@pytest.fixture
def cli() -> Callable[..., str]:
    def invoke(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return invoke


def test_one_line_says_so(tmp_path: Path, cli: Callable[..., str]) -> None:
    path = write_stack(tmp_path / "a.tif", ARRAY)
    with gpu_double(2000):
        lines = cli("segment", path, "-w", NAME, "-o", tmp_path / "out").splitlines()
    (last,) = [line for line in lines if "going on on the CPU" in line]
    assert last.startswith("a.tif: note: ")
    assert "does not fit into the memory of cuda:0 in tiles of " in last
