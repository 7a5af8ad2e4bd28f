"""``fastseg curate``: a folder is segmented and curated as a stranger would; what goes wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from fastseg.cli.main import app
from fastseg.io import read
from fastseg.unet.normalization import RECIPES
from tests.curation.sets import MARK, A, B, C, blocks, trained, write_plain, write_set
from tests.screen.stacks import write_workflow
from tests.support import ROOT


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def fine(*arguments: object) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("form", ["ome-tiff", "ome-zarr"])
def test_what_segment_writes_is_curated(form: str, tmp_path: Path) -> None:
    raw, _ = write_set(tmp_path)
    workflow = write_workflow(tmp_path)
    fine("segment", raw, "-w", workflow, "-o", tmp_path / "out", "--format", form)
    text = fine(
        "curate", "takeall", raw, tmp_path / "out", "-n", "minmax", "-o", tmp_path / "train", "--workers", 1
    )
    assert "2 written" in text
    for number in (1, 2):
        image = read(raw / f"cell{number - 1}.ome.tif").volume()
        np.testing.assert_array_equal(trained(tmp_path / "train", number)[1], image > 500)


def test_sorting_from_the_beginning(tmp_path: Path) -> None:
    raw, seg = write_set(tmp_path)
    decisions, train = tmp_path / "d.csv", tmp_path / "train"
    given = ("curate", "sort", raw, seg, "--decisions", decisions, "-n", 10, "-o", train, "--workers", 1)
    assert "made, 2 images to decide about" in fine(*given)
    assert "no image is good, nothing to do" in fine(*given)
    decisions.write_text(decisions.read_text().replace(",,\n", ",1,\n"))
    text = fine(*given)
    assert "cell0.ome.tif: img_001 written, 2.22 % foreground, 0 % excluded" in text
    assert "d.csv: 2 good, 0 bad, 0 undecided" in text
    assert "2 already there" in fine("curate", "sort", "--decisions", decisions, "-n", 10, "-o", train)


def test_merging_with_every_option(tmp_path: Path) -> None:
    raw, seg = write_set(tmp_path, 1)
    write_plain(tmp_path / "two" / f"cell0{MARK}.tiff", blocks(B, C))
    given = (
        "curate",
        "merge",
        raw,
        seg,
        tmp_path / "two",
        "-n",
        "minmax",
        "-o",
        tmp_path / "train",
        "--workers",
        1,
    )
    fine(*given, "--take", "size>=75", "--exclude", "planes:0-1; disagreement", "--spacing", "1,1,1")
    _, label, cost = trained(tmp_path / "train", 1)
    np.testing.assert_array_equal(label, blocks(A, B))
    np.testing.assert_array_equal(cost, ~((blocks(A) ^ blocks(B, C)) | (np.arange(4) < 2)[:, None, None]))
    with tifffile.TiffFile(tmp_path / "train" / "img_001_GT.ome.tif") as file:
        assert 'PhysicalSizeZ="1.0"' in (file.ome_metadata or "")


def test_failures_and_wrong_usage(tmp_path: Path) -> None:
    raw, seg = write_set(tmp_path)
    given = ("curate", "takeall", raw, seg, "-o", tmp_path / "train", "--workers", 1)
    write_plain(seg / f"cell0{MARK}.tiff", np.full((4, 18, 20), 0.5, np.float32))
    some = invoke(*given, "-n", 0)
    assert some.exit_code == 1
    assert some.output.count("holds values such as 0.5, probabilities") == 1
    assert "1 written, 1 failed" in some.output
    (seg / f"cell1{MARK}.tiff").unlink()
    wrong = invoke(*given, "-n", 0)
    assert wrong.exit_code == 2
    assert "cell1.ome.tif has no segmentation" in wrong.output
    assert "left out" not in wrong.output
    assert invoke(*given, "-n", "flatt").exit_code == 2
    assert invoke(*given, "-n", 0, "--threshold", "0.4", "--skip-missing").exit_code == 0


def test_recipes_are_listed_and_checked(tmp_path: Path) -> None:
    text = fine("curate", "recipes")
    for recipe in RECIPES:
        assert recipe.name in text
    assert len(text.splitlines()) == len(RECIPES) + 1
    own = tmp_path / "own.yaml"
    own.write_text(
        "recipes:\n  mine:\n    summary: my own\n    operations: [unit_range, gaussian_smooth: {sigma: 1}]\n"
    )
    assert f"{own}:mine" in fine("curate", "recipes", own)
    raw, seg = write_set(tmp_path, 1)
    fine("curate", "takeall", raw, seg, "-n", f"{own}:mine", "-o", tmp_path / "train", "--workers", 1)
    own.write_text("recipes: {mine: {operations: [blur]}}")
    assert invoke("curate", "recipes", own).exit_code == 2


def test_the_recipe_in_the_docs_is_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "curation.md").read_text(encoding="utf-8")
    file = tmp_path / "docs.yaml"
    file.write_text(text.split("```yaml\n")[1].split("```")[0])
    assert "flat_20" in fine("curate", "recipes", file)
