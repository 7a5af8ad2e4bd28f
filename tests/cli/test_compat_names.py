"""The names of intermediate images on the command line, with --compat and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from fastseg import read
from fastseg.operators import intensity_clip, intensity_normalize
from tests.golden import stack
from tests.screen.stacks import files_in, write_stack

Cli = Callable[..., Result]
WORKFLOW = "fbl_labelfree_4dn"
SCALING = [0.5, 19.5]


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    return write_stack(tmp_path / "a.tif", stack("structured")[0][10:26, 20:84, 20:84].astype(np.uint16))


def contents(cells: Path) -> tuple[np.ndarray, np.ndarray]:
    """The normalised and the clipped image."""
    x = read(cells).volume()
    normalised = intensity_normalize(x, scaling=SCALING)
    clipped = intensity_clip(x, scaling=SCALING)
    assert normalised.max() == 1
    assert clipped.max() > 100
    return normalised, clipped


def test_save_steps(cells: Path, tmp_path: Path, cli: Cli) -> None:
    normalised, clipped = contents(cells)
    expected = {
        "plain": {"a_im_norm.tiff": normalised, "a_image_clipped.tiff": clipped},
        "compat": {"a_im_norm.tiff": clipped, "a_step_im_norm.tiff": normalised},
    }
    for folder, files in expected.items():
        options = ["--compat"] if folder == "compat" else []
        result = cli("segment", cells, "-w", WORKFLOW, "-o", tmp_path / folder, "--save-steps", *options)
        assert result.exit_code == 0, result.output
        for name, values in files.items():
            np.testing.assert_array_equal(read(tmp_path / folder / name).volume(), values)
    plain, compat = (set(files_in(tmp_path / folder)) for folder in expected)
    assert plain - compat == {"a_image_clipped.tiff"}
    assert compat - plain == {"a_step_im_norm.tiff"}
    masks = [read(tmp_path / folder / "a_struct_segmentation.tiff").volume() for folder in expected]
    assert masks[0].any()
    np.testing.assert_array_equal(*masks)


def test_until(cells: Path, tmp_path: Path, cli: Cli) -> None:
    for values, options in zip(contents(cells), ([], ["--compat"]), strict=True):
        out = tmp_path / "-".join(["out", *options])
        result = cli("segment", cells, "-w", WORKFLOW, "-o", out, "--until", "im_norm", *options)
        assert result.exit_code == 0, result.output
        assert files_in(out) == ["a_im_norm.tiff"]
        np.testing.assert_array_equal(read(out / "a_im_norm.tiff").volume(), values)


def test_until_the_other_step(cells: Path, tmp_path: Path, cli: Cli) -> None:
    """Its id stays what it was; only its file is named after what it stands for."""
    _, clipped = contents(cells)
    for name, options in (("a_image_clipped.tiff", []), ("a_im_norm.tiff", ["--compat"])):
        out = tmp_path / "-".join(["out", *options])
        cli("segment", cells, "-w", WORKFLOW, "-o", out, "--until", "image_clipped", *options)
        assert files_in(out) == [name]
        np.testing.assert_array_equal(read(out / name).volume(), clipped)


def test_both_are_shown(cli: Cli) -> None:
    output = cli("workflows", "show", WORKFLOW).output
    shown = (
        "exposes: im_norm (with --compat step image_clipped), im_smooth (step smooth), bw_final (step seg)"
    )
    assert shown in " ".join(output.split())
    assert "--compat" not in cli("workflows", "show", "npm_labelfree_4dn").output


def test_a_definition_of_ones_own_keeps_both(tmp_path: Path, cells: Path, cli: Cli) -> None:
    own = tmp_path / "own.yaml"
    assert cli("workflows", "new", own, "--from", WORKFLOW).exit_code == 0
    copy = tmp_path / "copy.yaml"
    assert cli("workflows", "convert", own, copy).exit_code == 0
    _, clipped = contents(cells)
    for number, file in enumerate((own, copy)):
        out = tmp_path / f"out{number}"
        result = cli("segment", cells, "-w", file, "-o", out, "--until", "im_norm", "--compat")
        assert result.exit_code == 0, result.output
        np.testing.assert_array_equal(read(out / "a_im_norm.tiff").volume(), clipped)
