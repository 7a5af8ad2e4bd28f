"""JSON workflows on the command line: listed, shown, checked, converted, run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from fastseg.cli.main import app
from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.legacy_library import DIFFERENCES, legacy_text
from fastseg.workflow.load import get_workflow, library_text, load_file
from tests.golden import json_mask, stack
from tests.workflow.legacy_files import NORMALIZE, SPOTS, steps, write

Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    """Runs ``fastseg`` with these arguments."""
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_list_tells_how_they_differ(cli: Cli) -> None:
    lines = cli("workflows", "list").output.splitlines()
    assert any(line.split()[0] == "json:smc1a" and DIFFERENCES["smc1a"] in line for line in lines if line)
    assert any(line.startswith("json:tomm20 ") and "same segmentation as tomm20" in line for line in lines)


def test_show(cli: Cli) -> None:
    assert "differs from the workflow smc1a" in cli("workflows", "show", "json:smc1a").output
    assert cli("workflows", "show", "json:smc1a", "--yaml").output == dump_yaml(get_workflow("json:smc1a"))


def test_validate(tmp_path: Path, cli: Cli) -> None:
    good = write(tmp_path, steps(NORMALIZE, SPOTS))
    assert cli("workflows", "validate", good).output == f"OK {good}: mine, 3 steps\n"
    bad = write(tmp_path, steps(NORMALIZE, {**SPOTS, "parent": 4}), "bad.json")
    result = cli("workflows", "validate", bad)
    assert result.exit_code == 2
    assert result.output == (
        f"error: {bad}: 1 problem\n  - step 2: parent 4 does not exist; use 0 (the input image) to 1\n"
    )


def test_there_and_back(tmp_path: Path, cli: Cli) -> None:
    old = write(tmp_path, legacy_text("npm1"), "npm1.json")
    native, back = tmp_path / "new" / "npm1.yaml", tmp_path / "back.json"
    result = cli("workflows", "convert", old, native)
    assert (result.exit_code, result.output) == (0, f"{native}: npm1\n")
    assert load_file(native) == load_file(old)
    assert cli("workflows", "convert", native, back).exit_code == 0
    assert back.read_text() == legacy_text("npm1")


def test_rescaling_is_left_out_and_said_so(tmp_path: Path, cli: Cli) -> None:
    target = tmp_path / "tomm20.JSON"
    result = cli("workflows", "convert", "tomm20", target)
    assert result.output == (
        f"{target}: tomm20\nnote: the optional rescaling is left out, a JSON workflow has none\n"
    )
    assert target.read_text() == legacy_text("tomm20")


def test_nothing_is_overwritten_unasked(tmp_path: Path, cli: Cli) -> None:
    target = tmp_path / "mine.yaml"
    target.write_text("mine")
    result = cli("workflows", "convert", "json:actb", target)
    assert result.exit_code == 1
    assert result.output == f"error: {target} exists already: give --overwrite to replace it.\n"
    assert target.read_text() == "mine"
    assert cli("workflows", "convert", "actb", target, "--overwrite").exit_code == 0
    assert target.read_text() == library_text("actb")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("cetn2", "a.json", "step 'seg' (remove_small_labels): counts the voxels of each label"),
        ("actb", "a.txt", "a.txt has no suffix that names a format: use .yaml, .yml or .json"),
        ("json:act", "a.yaml", "did you mean json:actb"),
        ("absent.json", "a.yaml", "workflow file absent.json cannot be read"),
    ],
)
def test_what_cannot_be_converted(tmp_path: Path, cli: Cli, old: str, new: str, words: str) -> None:
    result = cli("workflows", "convert", old, tmp_path / new)
    assert result.exit_code == 2
    assert words in result.output
    assert not any(tmp_path.iterdir())


def test_segment_by_an_unchanged_file(tmp_path: Path, cli: Cli) -> None:
    image = tmp_path / "cells.tif"
    tifffile.imwrite(image, stack("structured")[0], metadata={"axes": "ZYX"})
    definition = write(tmp_path, legacy_text("tjp1"), "tjp1.json")
    result = cli("segment", image, "-w", definition, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.output
    found = tifffile.imread(tmp_path / "out" / "cells_struct_segmentation.tiff")
    np.testing.assert_array_equal(found > 0, json_mask("structured", "tjp1"))
