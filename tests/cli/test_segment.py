"""``fastseg segment``: what is written and said, and the exit code of everything that can go wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import Result

from fastseg import read
from fastseg.arrays.device import why_no_cuda
from tests.screen.stacks import (
    BRIGHT,
    EVERYTHING,
    SHAPE,
    expected,
    files_in,
    stack,
    write_stack,
    write_workflow,
)

Cli = Callable[..., Result]


def test_a_file(tmp_path: Path, bright: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "cell[1].ome.tif", stack(1))
    result = cli("segment", path, "-w", bright, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    written = tmp_path / "out" / "cell[1]_struct_segmentation.tiff"
    np.testing.assert_array_equal(tifffile.imread(written), expected(stack(1)))
    share = 100 * np.mean(stack(1) > 500)
    line = rf"cell\[1\]\.ome\.tif: [0-9.]+ s, foreground {share:.3g} %, {re.escape(str(written))}\n"
    assert re.fullmatch(line, result.output)


def test_a_library_workflow_by_name_gives_what_python_gives(tmp_path: Path, cli: Cli) -> None:
    import fastseg

    path = write_stack(tmp_path / "a.tif", stack(2))
    result = cli("segment", path, "-w", "TOMM20", "-o", tmp_path / "out", "--tile", "4,16,16")
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff"), fastseg.segment(stack(2), "tomm20")
    )


def test_options_reach_the_run(tmp_path: Path, bright: Path, cli: Cli) -> None:
    array = np.stack([stack(1), stack(2)])
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack")
    options = ("--axes", "czyx", "--channel", "1", "--spacing", "0.5,0.25,0.125", "--format", "ome-zarr")
    result = cli("segment", path, "-w", bright, "-o", tmp_path / "out", *options, "--save-steps", "--preview")
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == ["a_over.tiff", "a_preview.png", "a_struct_segmentation.zarr"]
    image = read(tmp_path / "out" / "a_struct_segmentation.zarr")
    np.testing.assert_array_equal(image.volume(), expected(stack(2)))
    assert image.spacing == (0.5, 0.25, 0.125)
    assert "and 2 more" in result.output


def test_one_bad_among_good_ones(tmp_path: Path, bright: Path, cli: Cli) -> None:
    for name in ("a.tif", "c.tif"):
        write_stack(tmp_path / "in" / name)
    (tmp_path / "in" / "b.tif").write_bytes(b"II*\0garbage")
    result = cli("segment", tmp_path / "in", "missing.tif", "-w", bright, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert files_in(tmp_path / "out") == ["a_struct_segmentation.tiff", "c_struct_segmentation.tiff"]
    lines = result.output.splitlines()
    assert lines[0] == "workflow bright on cpu, 4 images"
    assert [line.split(": ")[0] for line in lines[1:5]] == [
        "[1/4] a.tif",
        "[2/4] b.tif",
        "[3/4] c.tif",
        "[4/4] missing.tif",
    ]
    errors = [line for line in lines if line.startswith("error: ")]
    assert [str(tmp_path / "in" / "b.tif") in errors[0], "missing.tif does not exist" in errors[1]] == [
        True,
        True,
    ]
    assert re.fullmatch(r"2 of 4 images segmented in [0-9.]+ s, 2 failed", lines[-1])


def _picture(path: Path) -> None:
    from PIL import Image

    Image.new("L", (8, 8)).save(path)


ALONE = {
    "missing": ("absent.tif", None, 1, "does not exist"),
    "folder": ("empty", Path.mkdir, 1, "folder without images"),
    "picture": ("a.png", _picture, 1, "plain picture"),
    "plane": ("a.tif", lambda p: tifffile.imwrite(p, stack()[0]), 1, "2-D"),
    "constant": ("a.tif", lambda p: write_stack(p, np.ones(SHAPE, np.uint8)), 1, "is constant"),
    "channels": ("a.tif", lambda p: write_stack(p, stack(0, (2, *SHAPE)), "CZYX"), 2, "--channel"),
}


@pytest.mark.parametrize("case", ALONE)
def test_a_single_bad_input_has_its_own_exit_code(tmp_path: Path, bright: Path, cli: Cli, case: str) -> None:
    name, make, code, words = ALONE[case]
    path = tmp_path / name
    if make is not None:
        make(path)
    result = cli("segment", path, "-w", bright, "-o", tmp_path / "out")
    assert result.exit_code == code
    assert re.fullmatch(rf"error: .*{words}.*\n", result.output), result.output
    assert str(path) in result.output
    assert files_in(tmp_path / "out") == []


def test_a_wrong_channel_lists_the_choices(tmp_path: Path, bright: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(0, (2, *SHAPE)), "CZYX")
    result = cli("segment", path, "-w", bright, "-o", tmp_path / "out", "--channel", "Lamin")
    assert result.exit_code == 2
    assert "no channel 'Lamin'" in result.output
    assert "0, 1" in result.output


USAGE = {
    "workflow": (("-w", "lamp2"), "did you mean lamp1"),
    "device": (("--device", "tpu"), "use auto, cpu, cuda or cuda:N"),
    "tile": (("--tile", "16,x,16"), "--tile '16,x,16' is not a size"),
    "tile sides": (("--tile", "16,16"), "three whole numbers z,y,x"),
    "spacing": (("--spacing", "0.3,0,0.1"), "--spacing '0.3,0,0.1' is not a voxel size"),
    "spacing nan": (("--spacing", "nan,1,1"), "--spacing 'nan,1,1' is not a voxel size"),
    "rescale": (("--rescale", "-1"), "rescale ratio -1 is out of range"),
    "format": (("--format", "tiff"), "'ome-tiff', 'ome-zarr'"),
    "option": (("--tiles", "1,2,3"), "No such option"),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_wrong_request(tmp_path: Path, bright: Path, cli: Cli, case: str) -> None:
    options, words = USAGE[case]
    given = ("-w", bright) if "-w" not in options else ()
    result = cli("segment", write_stack(tmp_path / "a.tif"), "-o", tmp_path / "out", *given, *options)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not why_no_cuda(), reason="this machine has a CUDA device")
def test_a_missing_gpu_is_said_to_be_missing(tmp_path: Path, bright: Path, cli: Cli) -> None:
    result = cli(
        "segment", write_stack(tmp_path / "a.tif"), "-w", bright, "-o", tmp_path / "o", "--device", "cuda"
    )
    assert result.exit_code == 2
    assert why_no_cuda() in result.output
    assert "--device cpu" in result.output


def test_an_output_folder_that_cannot_be(tmp_path: Path, bright: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif")
    result = cli("segment", path, "-w", bright, "-o", path / "out")
    assert result.exit_code == 2
    assert f"output folder {path / 'out'} cannot be written to" in result.output


def test_two_of_the_same_name(tmp_path: Path, bright: Path, cli: Cli) -> None:
    paths = [write_stack(tmp_path / d / "x.tif") for d in ("one", "two")]
    result = cli("segment", *paths, "-w", bright, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert all(str(p) in result.output for p in paths)
    assert files_in(tmp_path / "out") == []


def test_existing_results_stay_without_overwrite(tmp_path: Path, bright: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(1))
    run = ("segment", path, "-w", bright, "-o", tmp_path / "out")
    assert cli(*run).exit_code == 0
    write_stack(path, stack(2))
    second = cli(*run)
    assert second.exit_code == 1
    assert "--overwrite" in second.output
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff"), expected(stack(1))
    )
    assert cli(*run, "--overwrite").exit_code == 0
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff"), expected(stack(2))
    )


def test_every_problem_of_a_definition_is_listed(tmp_path: Path, cli: Cli) -> None:
    text = """\
schema_version: 1
name: wrong
steps:
  - {id: a, operator: gaussian_smoth, inputs: [b]}
  - {id: b, operator: greater_than, inputs: [a], parameters: {value: high}}
result: {step: c}
"""
    path = write_stack(tmp_path / "a.tif")
    definition = write_workflow(tmp_path, text)
    result = cli("segment", path, "-w", definition, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert f"{definition}: 4 problems" in result.output
    for words in ("form a cycle", "did you mean gaussian_smooth", "steps.b.parameters.value", "result.step"):
        assert words in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["segment", "global"])
def test_debug_shows_the_traceback_and_only_debug_does(
    tmp_path: Path, bright: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def run(*args: object, **options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("fastseg.screen.batch.run_workflow", run)
    path = write_stack(tmp_path / "a.tif")
    command = ("segment", path, "-w", bright, "-o", tmp_path / "out")
    result = cli(*command)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert f"error: {path}: ZeroDivisionError: a bug\n" in result.output
    assert "--debug" in result.output
    loud = cli("--debug", *command) if where == "global" else cli(*command, "--debug")
    assert "Traceback" in loud.output
    assert "ZeroDivisionError: a bug" in loud.output


def test_an_exception_outside_the_items_is_one_line(
    tmp_path: Path, bright: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*args: object) -> None:
        raise LookupError("two\nlines")

    monkeypatch.setattr("fastseg.screen.segment_files", run)
    result = cli("segment", "a.tif", "-w", bright, "-o", tmp_path)
    assert result.exit_code == 1
    assert result.output == "error: LookupError: two lines (run again with --debug for the traceback)\n"


def test_stopping_is_one_line(
    tmp_path: Path, bright: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastseg.screen import batch

    calls = []
    run = batch.run_workflow

    def interrupted(*args: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*args, **options)

    monkeypatch.setattr(batch, "run_workflow", interrupted)
    for name in "abc":
        write_stack(tmp_path / "in" / f"{name}.tif")
    result = cli("segment", tmp_path / "in", "-w", bright, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert (
        result.output.splitlines()[-1] == "stopped: 1 of 3 images are finished, nothing half-written is left"
    )
    assert files_in(tmp_path / "out") == ["a_struct_segmentation.tiff"]


def test_notes_are_printed(tmp_path: Path, cli: Cli) -> None:
    definition = write_workflow(tmp_path, BRIGHT + "rescale: ignored\n")
    path = write_stack(tmp_path / "a.tif")
    result = cli("segment", path, "-w", definition, "-o", tmp_path / "out", "--rescale", "0.5")
    assert result.exit_code == 0
    assert "a.tif: note: workflow 'bright' does not rescale: the ratio 0.5 has no effect\n" in result.output


def test_a_second_run_takes_only_the_images(tmp_path: Path, cli: Cli) -> None:
    """Results that lie beside their images are not images of the next run."""
    workflow = write_workflow(tmp_path, EVERYTHING)
    folder = tmp_path / "cells"
    for name in ("a.tif", "a_2.tif"):
        write_stack(folder / name)
    command = ("segment", folder, "-w", workflow, "-o", folder, "--save-steps", "--overwrite")
    assert cli(*command).exit_code == 0
    before = files_in(folder)
    assert len(before) > 10
    result = cli(*command)
    assert result.exit_code == 0, result.output
    assert files_in(folder) == before
