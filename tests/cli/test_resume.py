"""``fastseg segment --resume``, and what a run that fails or is stopped leaves behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import zarr
from typer.testing import Result

import fastseg
from fastseg.errors import WriteError
from fastseg.io.omezarr_store import OmeZarrStore
from fastseg.tiling import chunked
from tests.screen.stacks import files_in, stack, write_stack

Cli = Callable[..., Result]
LARGE = ("--tile", "4,16,32", "--memory", "600MB")


def killed_while_segmenting(path: Path, output: Path, scratch: Path, stage: int) -> None:
    """Segment in another process, which is killed before a stage."""
    script = f"""
        import os, signal
        from fastseg.screen import SegmentRequest, segment_files
        from fastseg.screen.events import StepStarted

        def kill(event):
            if isinstance(event, StepStarted) and event.number == {stage}:
                os.kill(os.getpid(), signal.SIGKILL)

        out, scratch = {str(output)!r}, {str(scratch)!r}
        request = SegmentRequest("cetn2", out, tile=(4, 16, 32), memory=600_000_000, scratch=scratch)
        segment_files({str(path)!r}, request, kill)
    """
    done = subprocess.run([sys.executable, "-c", dedent(script)], check=False)
    assert done.returncode == -9


@pytest.mark.parametrize("form", ["ome-tiff", "ome-zarr"])
def test_a_killed_run_goes_on(form: str, tmp_path: Path, cli: Cli) -> None:
    path, scratch = write_stack(tmp_path / "a.tif", stack(3)), tmp_path / "scratch"
    killed_while_segmenting(path, tmp_path / "out", scratch, 5)
    assert files_in(tmp_path / "out") == []
    options = (*LARGE, "--scratch", scratch, "--resume", "--format", form)
    result = cli("segment", path, "-w", "cetn2", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "stages 1 to 5 were finished by an earlier run" in result.output
    (found,) = (tmp_path / "out").iterdir()
    np.testing.assert_array_equal(fastseg.read(found).volume(), fastseg.segment(stack(3), "cetn2"))
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    "change", [("-w", "npm1"), ("--compat",), ("--set", "peaks.compat=true"), ("--spacing", "1,1,1"), ()]
)
def test_other_work_does_not_go_on(change: tuple[str, ...], tmp_path: Path, cli: Cli) -> None:
    path, scratch = write_stack(tmp_path / "a.tif", stack(3)), tmp_path / "scratch"
    killed_while_segmenting(path, tmp_path / "out", scratch, 5)
    if not change:  # the same name, another image
        write_stack(path, stack(4))
    options = (*LARGE, "--scratch", scratch, "--resume", "-w", "cetn2", *change)
    result = cli("segment", path, "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert ("finished by an earlier run" in result.output) == ("--spacing" in change)


def test_finished_images_are_kept(tmp_path: Path, cli: Cli) -> None:
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "ab":
        write_stack(folder / f"{name}.tif", stack(3))
    assert cli("segment", folder / "a.tif", "-w", "npm1", "-o", output).exit_code == 0
    before = (output / "a_struct_segmentation.tiff").stat().st_mtime_ns
    result = cli("segment", folder, "-w", "npm1", "-o", output, "--resume")
    assert result.exit_code == 0, result.output
    assert "already there" in result.output
    assert files_in(output) == ["a_struct_segmentation.tiff", "b_struct_segmentation.tiff"]
    assert (output / "a_struct_segmentation.tiff").stat().st_mtime_ns == before
    assert "exists already" in cli("segment", folder, "-w", "npm1", "-o", output).output


def test_resume_and_overwrite_exclude_each_other(tmp_path: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(3))
    result = cli("segment", path, "-w", "npm1", "-o", tmp_path / "out", "--resume", "--overwrite")
    assert result.exit_code == 2
    assert "--resume keeps what is there and --overwrite replaces it" in result.output


def fail_with(error: BaseException) -> Callable[..., None]:
    def fail(*arguments: Any, **options: Any) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [WriteError("the disk is full"), KeyboardInterrupt()], ids=["full", "stop"])
@pytest.mark.parametrize("when", ["write", "reduce"])
def test_no_half_output_and_no_scratch_is_left(
    when: str, error: BaseException, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    path = write_stack(tmp_path / "a.tif", rng.integers(0, 999, (5, 300, 40)).astype(np.uint16))
    monkeypatch.setattr(OmeZarrStore, when, fail_with(error))
    options = ("--scratch", tmp_path / "s", "--tile", "5,100,40", "--format", "ome-zarr", "--preview")
    result = cli("segment", path, "-w", "npm1", "-o", tmp_path / "out", *options)
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert list((tmp_path / "out").iterdir()) == []
    assert list((tmp_path / "s").iterdir()) == []


def test_a_full_scratch_is_one_sentence(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_stack(tmp_path / "a.tif", stack(3))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    monkeypatch.setattr(chunked, "open", fail_with(full), raising=False)
    result = cli("segment", path, "-w", "npm1", "-o", tmp_path / "out", "--scratch", tmp_path / "s")
    assert result.exit_code == 1
    assert "cannot be written: No space left on device" in result.output
    assert len([line for line in result.output.splitlines() if "cannot be written" in line]) == 1
    assert list((tmp_path / "s").iterdir()) == []


def test_tiles_write_the_output_themselves(tmp_path: Path, cli: Cli) -> None:
    image = np.random.default_rng(1).normal(size=(8, 300, 280)).cumsum(axis=2).astype(np.float32)
    path = write_stack(tmp_path / "a.tif", image)
    for name, options in {"whole": (), "tiles": ("--workers", "2", "--tile", "8,64,64", "--preview")}.items():
        output = tmp_path / name
        result = cli("segment", path, "-w", "npm1", "-o", output, "--format", "ome-zarr", *options)
        assert result.exit_code == 0, result.output
    pair = [
        zarr.open_group(tmp_path / n / "a_struct_segmentation.zarr", mode="r") for n in ("whole", "tiles")
    ]
    for array in ("0", "1", "labels/segmentation/0", "labels/segmentation/1"):
        whole, tiles = (group[array] for group in pair)
        assert whole.shape == tiles.shape
        np.testing.assert_array_equal(whole[:], tiles[:])
    assert pair[0]["1"][:].any()
    assert pair[1]["0"].chunks == (8, 64, 64)  # those of the tiles
    assert files_in(tmp_path / "tiles") == ["a_preview.png", "a_struct_segmentation.zarr"]


def test_an_output_that_exists_is_refused_before_any_work(tmp_path: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(3))
    (tmp_path / "out" / "a_struct_segmentation.zarr").mkdir(parents=True)
    options = (*LARGE, "--format", "ome-zarr", "--scratch", tmp_path / "s")
    result = cli("segment", path, "-w", "npm1", "-o", tmp_path / "out", *options)
    assert result.exit_code == 1
    assert "exists already: give --overwrite to replace it" in result.output
    assert not (tmp_path / "s").exists()
    assert cli("segment", path, "-w", "npm1", "-o", tmp_path / "out", *options, "--overwrite").exit_code == 0
