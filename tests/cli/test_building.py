"""Building a workflow on the command line: steps alone, changed parameters, pixel sizes, sweeps, new files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from typer.testing import Result

import fastseg
from fastseg import read
from fastseg.workflow.edit import with_assignments
from fastseg.workflow.load import get_workflow, load_file
from fastseg.workflow.run import run_workflow
from fastseg.workflow.spacing import to_grid
from tests.screen.stacks import (
    EVERYTHING,
    SPACING,
    expected,
    files_in,
    stack,
    write_stack,
    write_workflow,
)
from tests.support import image

Cli = Callable[..., Result]
YELLOW = (255, 214, 10)


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    return write_workflow(tmp_path, EVERYTHING, "everything.yaml")


@pytest.fixture
def never_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No image may be opened."""
    for module in ("batch", "sweep"):
        monkeypatch.setattr(
            f"fastseg.screen.{module}.read", lambda *a, **k: pytest.fail("an image was opened")
        )


def one_line(result: Result) -> str:
    return " ".join(result.output.split())


UNTIL = {
    "image": ("norm", "a_im_norm.tiff", np.float32, "values"),
    "exposed name": ("im_norm", "a_im_norm.tiff", np.float32, "values"),
    "mask": ("over", "a_over.tiff", np.uint8, "foreground"),
    "labels": ("seeds", "a_seed.tiff", None, "foreground"),
    "plane": ("plane", "a_plane.tiff", np.float32, "values"),
    "inactive": ("im", "a_im.tiff", np.float32, "values"),
}


@pytest.mark.parametrize("case", UNTIL)
def test_until_writes_the_step_in_place_of_the_segmentation(
    tmp_path: Path, everything: Path, cli: Cli, case: str
) -> None:
    step, name, dtype, words = UNTIL[case]
    path = write_stack(tmp_path / "a.tif", stack(1))
    result = cli("segment", path, "-w", everything, "-o", tmp_path / "out", "--until", step, "--preview")
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == sorted([name, "a_preview.png"])
    assert f" s, {words} " in result.output
    assert name in result.output
    written = read(tmp_path / "out" / name)
    truth = run_workflow(load_file(everything), stack(1), until=step).result
    truth = truth if truth.ndim == 3 else truth[np.newaxis]
    if dtype is not None:
        assert written.dtype == dtype
    else:
        assert written.dtype.kind in "ui"
        assert truth.max() > 1
    np.testing.assert_array_equal(written.volume(), np.where(truth, 255, 0) if case == "mask" else truth)
    assert written.spacing == pytest.approx(SPACING)
    with Picture.open(tmp_path / "out" / "a_preview.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels == YELLOW).all(axis=-1).any() == (words == "foreground")


def test_the_preview_of_an_image_shows_it_beside_the_raw_one(tmp_path: Path, cli: Cli) -> None:
    text = """\
schema_version: 1
name: negative
steps:
  - {id: norm, operator: intensity_normalize, inputs: [image], parameters: {scaling: [0]}}
  - {id: dark, operator: invert_image, inputs: [norm]}
  - {id: over, operator: greater_than, inputs: [dark], parameters: {value: 0.5}}
result: {step: over}
"""
    array = np.zeros((4, 32, 32), np.uint16)
    array[:, :, 16:] = 1000
    path = write_stack(tmp_path / "a.tif", array)
    workflow = write_workflow(tmp_path, text, "negative.yaml")
    cli("segment", path, "-w", workflow, "-o", tmp_path / "out", "--until", "dark", "--preview")
    with Picture.open(tmp_path / "out" / "a_preview.png") as picture:
        pixels = np.asarray(picture.convert("L")).astype(int)
    middle = pixels[pixels.shape[0] // 4]
    quarters = [int(np.median(part)) for part in np.array_split(middle, 4)]
    assert quarters == [0, 255, 255, 0]


def test_until_a_number_prints_it(tmp_path: Path, everything: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(1))
    result = cli("segment", path, "-w", everything, "-o", tmp_path / "out", "--until", "middle")
    assert result.exit_code == 0, result.output
    assert " s, middle = 4, " in result.output
    assert files_in(tmp_path / "out") == ["a_steps.json"]
    assert json.loads((tmp_path / "out" / "a_steps.json").read_text()) == {"middle": 4}


def test_until_with_all_steps_writes_what_was_run(tmp_path: Path, everything: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(1))
    run = ("segment", path, "-w", everything, "-o", tmp_path / "out", "--until", "flat", "--save-steps")
    result = cli(*run)
    assert result.exit_code == 0, result.output
    assert files_in(tmp_path / "out") == ["a_flat.tiff", "a_im_norm.tiff", "a_plane.tiff", "a_steps.json"]
    again = cli(*run)
    assert again.exit_code == 1
    assert "exists already" in again.output


WRONG = {
    "step": (("--until", "ove"), "has no step 'ove': did you mean over"),
    "far step": (("--until", "xyz"), "its steps are norm, im"),
    "picture": (("--until", "middle", "--preview"), "gives a number, of which there is no picture"),
    "set form": (("--set", "over"), "'over' is not an assignment"),
    "set step": (("--set", "ovr.value=1"), "has no step 'ovr': did you mean over"),
    "set parameter": (("--set", "over.valu=1"), "did you mean 'value'"),
    "set value": (("--set", "over.value=high"), "steps.over.parameters.value"),
    "set all": (("--set", "over.value=high", "--set", "x", "--set", "norm.scaling.4=1"), "3 problems"),
    "matching": (("--match-spacing",), "does not say at which pixel size"),
}


@pytest.mark.usefixtures("never_read")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_are_refused_before_reading(
    tmp_path: Path, everything: Path, cli: Cli, case: str
) -> None:
    options, words = WRONG[case]
    path = write_stack(tmp_path / "a.tif")
    result = cli("segment", path, "-w", everything, "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert words in one_line(result)
    assert not (tmp_path / "out").exists()


def test_set_changes_parameters(tmp_path: Path, bright: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(1))
    result = cli("segment", path, "-w", bright, "-o", tmp_path / "out", "--set", "over.value=700")
    assert result.exit_code == 0, result.output
    mask = tifffile.imread(tmp_path / "out" / "a_struct_segmentation.tiff")
    np.testing.assert_array_equal(mask, np.where(stack(1) > 700, 255, 0))
    assert (mask != expected(stack(1))).any()


def test_set_reaches_entries_of_a_library_workflow(tmp_path: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(2))
    changes = ["im_norm.scaling.1=3", "m.value=2e-1"]
    result = cli("segment", path, "-w", "sec61b", "-o", tmp_path, "--set", changes[0], "--set", changes[1])
    assert result.exit_code == 0, result.output
    mask = tifffile.imread(tmp_path / "a_struct_segmentation.tiff")
    truth = fastseg.segment(stack(2), with_assignments(get_workflow("sec61b"), changes))
    np.testing.assert_array_equal(mask, truth)
    assert (mask != fastseg.segment(stack(2), "sec61b")).any()


def test_matching_gives_results_on_the_grid_of_the_image(tmp_path: Path, cli: Cli) -> None:
    array = np.round(1000 * image("blobs", (6, 33, 41), 5)).astype(np.uint16)
    path = write_stack(tmp_path / "a.tif", array)
    out = tmp_path / "out"
    run = ("segment", path, "-w", "tomm20", "--spacing", "0.3,0.06,0.06")
    result = cli(*run, "-o", out, "--match-spacing", "--preview")
    assert result.exit_code == 0, result.output
    assert "note" not in result.output
    mask = read(out / "a_struct_segmentation.tiff")
    assert mask.volume().shape == array.shape
    assert mask.spacing == pytest.approx((0.3, 0.06, 0.06))
    there = fastseg.segment(array, "tomm20", rescale=0.06 / 0.108)
    np.testing.assert_array_equal(mask.volume(), to_grid(there, array.shape))
    plain = cli(*run, "-o", tmp_path / "plain")
    assert (
        "note: pixels are 0.06 um, 'tomm20' was tuned at 0.108 um: --match-spacing or --rescale 0.5556"
        in (plain.output)
    )
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "plain" / "a_struct_segmentation.tiff"), fastseg.segment(array, "tomm20")
    )
    step = cli(*run, "-o", tmp_path / "step", "--match-spacing", "--until", "im_smooth")
    assert step.exit_code == 0, step.output
    smooth = read(tmp_path / "step" / "a_im_smooth.tiff")
    assert smooth.volume().shape == array.shape
    assert smooth.spacing == pytest.approx((0.3, 0.06, 0.06))


def test_matching_fails_image_by_image(tmp_path: Path, cli: Cli) -> None:
    square = tmp_path / "in" / "b.tif"
    write_stack(tmp_path / "in" / "a.tif", stack(1))  # 0.2 x 0.1 um
    tifffile.imwrite(square, stack(1), photometric="minisblack")
    run = ("-w", "tomm20", "-o", tmp_path / "out", "--match-spacing")
    result = cli("segment", tmp_path / "in", *run)
    assert result.exit_code == 1
    assert "pixels of 0.2 x 0.1 um are not square" in result.output
    assert "b.tif: the image's voxel size is unknown: give it with --spacing" in result.output
    assert files_in(tmp_path / "out") == []
    assert cli("segment", square, *run).exit_code == 2
    assert cli("segment", square, *run, "--spacing", "1,.1,.1").exit_code == 0


@pytest.mark.usefixtures("never_read")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-w", "tomm20", "--rescale", "0.5"), "finds the ratio itself: leave out --rescale 0.5"),
        (("-w", "son"), "workflow 'son' does not rescale"),
    ],
)
def test_matching_is_refused_before_reading(
    tmp_path: Path, cli: Cli, options: tuple[str, ...], words: str
) -> None:
    path = write_stack(tmp_path / "a.tif")
    result = cli("segment", path, *options, "-o", tmp_path / "out", "--match-spacing")
    assert result.exit_code == 2
    assert words in result.output
    assert not (tmp_path / "out").exists()


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_writes_a_table_and_a_contact_sheet(tmp_path: Path, bright: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.ome.tif", stack(1))
    out = tmp_path / "out"
    result = cli("sweep", path, "-w", bright, "--vary", "over.value=200:800:4", "-o", out, "--save-masks")
    assert result.exit_code == 0, result.output
    masks = [f"a_sweep_{i:02d}.tiff" for i in range(1, 5)]
    assert files_in(out) == sorted(["a_sweep.csv", "a_sweep.png", *masks])
    rows = rows_of(out / "a_sweep.csv")
    assert [float(r["over.value"]) for r in rows] == [200, 400, 600, 800]
    assert [r["mask"] for r in rows] == masks
    for row in rows:
        truth = stack(1) > float(row["over.value"])
        assert int(row["voxels"]) == truth.sum()
        written = read(out / row["mask"])
        np.testing.assert_array_equal(written.volume(), np.where(truth, 255, 0))
        assert written.spacing == pytest.approx(SPACING)
        assert float(row["seconds"]) >= 0
    assert list(rows[0]) == ["over.value", "voxels", "objects", "seconds", "mask"]
    lines = result.output.splitlines()
    assert lines[0] == "workflow bright on cpu, 4 combinations"
    assert lines[1].split() == ["over.value", "voxels", "objects", "seconds"]
    assert [line.split()[:3] for line in lines[2:6]] == [
        [f"{float(r['over.value']):g}", r["voxels"], r["objects"]] for r in rows
    ]
    assert lines[6].startswith("4 combinations in ")
    assert lines[6].endswith(f": {out / 'a_sweep.csv'}, {out / 'a_sweep.png'} and 4 masks")
    with Picture.open(out / "a_sweep.png") as picture:
        assert (np.asarray(picture.convert("RGB")) == YELLOW).all(axis=-1).sum() > 1000


def test_a_sweep_with_all_options(tmp_path: Path, everything: Path, cli: Cli) -> None:
    array = np.stack([stack(1), stack(2)])
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack")
    options = ("--axes", "czyx", "--channel", "1", "--spacing", "0.3,0.1,0.1", "--rescale", "0.5", "--compat")
    run = ("sweep", path, "-w", everything, "--vary", "norm.scaling=[0],[1, 2]", "--vary", "over.value=.4,.6")
    sheets = []
    for view in ("middle", "projection"):
        result = cli(*run, "--set", "flat.value=0.1", *options, "--view", view, "-o", tmp_path / view)
        assert result.exit_code == 0, result.output
        rows = rows_of(tmp_path / view / "a_sweep.csv")
        assert [(r["norm.scaling"], r["over.value"]) for r in rows] == [
            (s, v) for s in ("[0]", "[1, 2]") for v in ("0.4", "0.6")
        ]
        for row in rows:
            changes = [f"norm.scaling={row['norm.scaling']}", f"over.value={row['over.value']}"]
            definition = with_assignments(load_file(everything), changes)
            truth = run_workflow(definition, stack(2), rescale=0.5, compat=True).result
            assert int(row["voxels"]) == np.count_nonzero(truth)
        with Picture.open(tmp_path / view / "a_sweep.png") as picture:
            sheets.append(np.asarray(picture.convert("L")))
    assert sheets[0].shape == sheets[1].shape
    assert (sheets[0] != sheets[1]).mean() > 0.05


def test_every_panel_shows_its_own_mask(
    tmp_path: Path, everything: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheets = []
    monkeypatch.setattr(
        "fastseg.screen.sweep.write_contact_sheet",
        lambda path, plane, panels, **options: sheets.append((plane, panels, options)),
    )
    path = write_stack(tmp_path / "a.tif", stack(1))
    # The later step is named first: points are not run in the order of the panels.
    vary = ("--vary", "over.value=0.2,0.5,0.8", "--vary", "norm.scaling=[0],[1, 2]")
    result = cli("sweep", path, "-w", everything, *vary, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    ((plane, panels, options),) = sheets
    np.testing.assert_array_equal(plane, stack(1)[4])
    assert options["columns"] == 2
    assert "(definition: over.value = 0.5, norm.scaling = [0])" in options["title"]
    pairs = [(value, scaling) for value in (0.2, 0.5, 0.8) for scaling in ("[0]", "[1, 2]")]
    assert len(panels) == 6
    for panel, (value, scaling) in zip(panels, pairs, strict=True):
        definition = with_assignments(
            load_file(everything), [f"over.value={value}", f"norm.scaling={scaling}"]
        )
        truth = run_workflow(definition, stack(1)).result > 0
        np.testing.assert_array_equal(panel.mask, truth[4])
        assert panel.heading == (f"over.value = {value}", f"norm.scaling = {scaling}")
        assert panel.facts[0] == f"{np.count_nonzero(truth):,} voxels"


def test_a_sweep_replaces_nothing_unless_told_so(tmp_path: Path, bright: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif", stack(1))
    run = ("sweep", path, "-w", bright, "--vary", "over.value=200,800", "-o", tmp_path / "out")
    assert cli(*run).exit_code == 0
    (tmp_path / "out" / "a_sweep.png").unlink()
    second = cli(*run, "--save-masks")
    assert second.exit_code == 1
    assert "a_sweep.csv exists already: give --overwrite" in second.output
    assert files_in(tmp_path / "out") == ["a_sweep.csv"]
    assert cli(*run, "--overwrite").exit_code == 0


def test_a_failed_sweep_leaves_nothing(
    tmp_path: Path, bright: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        assert len(files_in(tmp_path / "out")) == 3
        raise OSError("no space")

    monkeypatch.setattr("fastseg.screen.sweep.write_contact_sheet", fail)
    path = write_stack(tmp_path / "a.tif", stack(1))
    run = ("sweep", path, "-w", bright, "--vary", "over.value=200,800", "-o", tmp_path / "out")
    result = cli(*run, "--save-masks")
    assert result.exit_code == 1
    assert "no space" in result.output
    assert files_in(tmp_path / "out") == []


SWEEPS = {
    "form": (("--vary", "over.value"), "'over.value' is not a variation: write STEP.PARAMETER=FROM:TO:COUNT"),
    "parameter": (("--vary", "over.valu=1,2"), "did you mean 'value'"),
    "all": (("--vary", "over.valu=1,2", "--vary", "ove.value=1,2"), "2 problems"),
    "many": (("--vary", "over.value=0:1:1001"), "the count must be 1 to 1000"),
    "both": (("--vary", "over.value=1,2", "--set", "over.value=1"), "over.value: is set and varied"),
    "set": (("--vary", "over.value=1,2", "--set", "x.y=1"), "has no step 'x'"),
    "rescale": (("--vary", "over.value=1,2", "--rescale", "0"), "rescale ratio 0 is out of range"),
    "device": (("--vary", "over.value=1,2", "--device", "tpu"), "use auto, cpu, cuda or cuda:N"),
    "view": (("--vary", "over.value=1,2", "--view", "top"), "'middle', 'projection'"),
    "nothing": ((), "Missing option '--vary'"),
}


@pytest.mark.usefixtures("never_read")
@pytest.mark.parametrize("case", SWEEPS)
def test_wrong_sweeps_are_refused_before_reading(tmp_path: Path, bright: Path, cli: Cli, case: str) -> None:
    options, words = SWEEPS[case]
    path = write_stack(tmp_path / "a.tif")
    result = cli("sweep", path, "-w", bright, "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert words in one_line(result)
    assert not (tmp_path / "out").exists()


def test_a_sweep_of_an_unsuitable_image(tmp_path: Path, bright: Path, cli: Cli) -> None:
    run = ("-w", bright, "--vary", "over.value=1,2", "-o", tmp_path / "out")
    missing = cli("sweep", tmp_path / "none.tif", *run)
    assert (missing.exit_code, "does not exist" in missing.output) == (1, True)
    constant = cli("sweep", write_stack(tmp_path / "a.tif", np.ones((4, 9, 9), np.uint8)), *run)
    assert (constant.exit_code, "constant" in constant.output) == (1, True)
    channels = cli("sweep", write_stack(tmp_path / "b.tif", stack(0, (2, 4, 9, 9)), "CZYX"), *run)
    assert (channels.exit_code, "--channel" in channels.output) == (2, True)
    assert files_in(tmp_path / "out") == []


def test_a_new_definition(tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "mine.yaml"
    result = cli("workflows", "new", path, "--from", "sec61b")
    assert result.exit_code == 0, result.output
    assert result.output == f"{path}: mine, 8 steps\n"
    assert load_file(path).steps == get_workflow("sec61b").steps
    again = cli("workflows", "new", path, "--from", "tomm20")
    assert again.exit_code == 1
    assert "--overwrite" in again.output
    assert load_file(path).source == "after sec61b"
    assert cli("workflows", "new", path, "--from", "tomm20", "--overwrite").exit_code == 0
    assert load_file(path).source == "after tomm20"
    for options in (("x.json", "--from", "sec61b"), ("x.yaml", "--from", "sec62b")):
        assert cli("workflows", "new", tmp_path / options[0], *options[1:]).exit_code == 2
    assert files_in(tmp_path) == ["mine.yaml"]


def test_suggestions(tmp_path: Path, cli: Cli) -> None:
    array = np.random.default_rng(0).gamma(3, 200, (6, 40, 40)).astype(np.uint16)
    path = write_stack(tmp_path / "a.tif", np.stack([stack(0, array.shape), array]), "CZYX")
    result = cli("suggest", path, "--channel", "1")
    assert result.exit_code == 0, result.output
    heading, values, advice = result.output.splitlines()
    assert heading.split()[:4] == ["lower", "upper", "mean", "std"]
    lower, upper = fastseg.operators.suggest_scaling(array)
    mean, std = array.mean(dtype=float), array.std(dtype=float)
    numbers = [lower, upper, mean, std, np.percentile(array, 99.99), array.min(), array.max()]
    assert [float(v) for v in values.split()] == pytest.approx(numbers, rel=1e-5)
    assert lower > 0
    assert mean - lower * std >= array.min()
    assert advice.startswith(f"intensity_normalize scaling: [{lower:g}, {upper:g}], which is ")
    assert cli("suggest", path).exit_code == 2
    assert cli("suggest", tmp_path / "none.tif").exit_code == 1
