"""``fastseg plan`` and the options of ``segment`` for images larger than memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import Result

import fastseg
from tests.screen.stacks import files_in, stack, write_stack

Cli = Callable[..., Result]


def _mask(folder: Path) -> np.ndarray:
    return tifffile.imread(folder / "a_struct_segmentation.tiff")


@pytest.mark.parametrize("workflow", ["npm1", "cetn2", "json:sec61b"])
def test_out_of_core_gives_what_memory_gives(tmp_path: Path, workflow: str, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(3))
    scratch = tmp_path / "scratch"
    options = ("--memory", "300MB", "--tile", "5,13,20", "--scratch", scratch, "--preview")
    result = cli("segment", path, "-w", workflow, "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(_mask(tmp_path / "out"), fastseg.segment(stack(3), workflow))
    assert files_in(tmp_path / "out") == ["a_preview.png", "a_struct_segmentation.tiff"]
    assert not list(scratch.iterdir())


def test_rescaled_and_as_ome_zarr(tmp_path: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(3))
    options = ("--scratch", tmp_path / "s", "--tile", "3,32,9", "--rescale", "0.7", "--format", "ome-zarr")
    result = cli("segment", path, "-w", "tomm20", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    found = fastseg.read(tmp_path / "out" / "a_struct_segmentation.zarr").volume()
    np.testing.assert_array_equal(found, fastseg.segment(stack(3), "tomm20", rescale=0.7))


def test_workers(tmp_path: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(4))
    options = ("--workers", "2", "--memory", "900MB", "--tile", "4,16,32")
    result = cli("segment", path, "-w", "gja1", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(_mask(tmp_path / "out"), fastseg.segment(stack(4), "gja1"))


def test_plan(tmp_path: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(5))
    result = cli("plan", path, "-w", "tomm20", "--tile", "4,16,16")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].endswith("a.tif: 8x32x32 voxels, tiles of 4x16x16")
    planes = [line for line in lines if "Planes" in line]
    assert len(planes) == 1
    assert "x32x32" in planes[0]
    assert any("Labels" in line and " seg " in line for line in lines)
    assert "scratch space: at most" in lines[-1]
    assert cli("plan", path, "-w", "tomm20").output.splitlines()[0].endswith("tiles of 8x32x32")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--memory", "lots"),
            "'lots' is not a memory size: write a number and a unit, such as 4GiB or 500MB",
        ),
        (("--memory", "0GB"), "'0GB' is not a memory size"),
        (("--memory", "100MB"), "a memory budget of 95.4 MiB for 1 process is too small"),
        (("--workers", "0"), "0 workers were asked for: at least 1 is needed"),
        (("--workers", "2", "--scheduler", "tcp://x:1"), "--workers and --scheduler exclude each other"),
        (("--memory", "1GB", "--until", "smooth"), "--until works in memory only"),
        (("--memory", "1GB", "--save-steps"), "--save-steps works in memory only"),
        (("--memory", "1GB", "--match-spacing"), "--match-spacing works in memory only"),
        (("--gpu-pool", "1GB"), "--gpu-pool is for the workers of --gpus: give both"),
        (("--gpus", "all"), "device 'cuda' is not available"),
    ],
)
def test_wrong_requests(tmp_path: Path, options: tuple[str, ...], message: str, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(1))
    result = cli("segment", path, "-w", "tomm20", "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.output
    assert files_in(tmp_path / "out") == []


def test_what_cannot_fit_is_refused_before_it_starts(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((64, 256, 256), np.uint8), photometric="minisblack")
    for command in (("segment", "-o", tmp_path / "out"), ("plan",)):
        result = cli(command[0], path, "-w", "lmnb1_interphase", "--memory", "300MB", *command[1:])
        assert result.exit_code == 2
        assert "step 'ws' needs" in result.output
        assert "it needs the whole volume at once" in result.output
        assert "give --memory at least" in result.output
    assert files_in(tmp_path / "out") == []


def test_bad_images_are_told_as_in_memory(tmp_path: Path, cli: Cli) -> None:
    array = stack(1).astype(np.float32)
    array[3, 4, 5:7] = np.nan
    array[0, 0, 0] = np.inf
    path = write_stack(tmp_path / "a.tif", array)
    messages = []
    for options in ((), ("--scratch", tmp_path / "s", "--tile", "3,20,20")):
        result = cli("segment", path, "-w", "tomm20", "-o", tmp_path / "out", *options)
        assert result.exit_code == 1
        messages.append(result.output.splitlines()[-1])
    assert messages[0] == messages[1]
    assert "2 NaN and 1 infinite voxels of 8192" in messages[0]
    assert files_in(tmp_path / "out") == []
