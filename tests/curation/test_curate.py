"""Training sets: what is written, what is added on a second run, and what a killed run leaves."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import tifffile

from fastseg.curation.manifest import read_manifest
from fastseg.curation.polygons import Polygon, rasterise, write_polygons
from fastseg.curation.request import CurationRequest
from fastseg.curation.run import CurationReport, curate
from fastseg.curation.tracker import read_tracker, write_tracker
from fastseg.curation.training_set import TrainingSet
from fastseg.errors import FastsegError, UsageError
from fastseg.io import describe
from fastseg.unet.normalization import normalize
from tests.curation.sets import (
    MARK,
    SHAPE,
    SPACING,
    A,
    B,
    C,
    blocks,
    raw_stack,
    trained,
    write_plain,
    write_raw,
    write_set,
)

SQUARE = (((1.0, 1.0), (6.0, 1.0), (6.0, 6.0), (1.0, 6.0)),)


def run(tmp_path: Path, mode: str = "takeall", **fields: Any) -> CurationReport:
    given: dict[str, Any] = {
        "raw": tmp_path / "raw",
        "segmentations": (tmp_path / "seg",),
        "output": tmp_path / "train",
        "normalization": "minmax",
        "workers": 1,
    }
    return curate(CurationRequest(mode=mode, **{**given, **fields}))  # type: ignore[arg-type]


def done(report: CurationReport) -> list[tuple[int, str]]:
    return [(outcome.number, outcome.done) for outcome in report.outcomes]


def messages(report: CurationReport) -> str:
    return "\n".join(o.failure.message for o in report.outcomes if o.failure is not None)


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
        if path.suffix == ".tif"
    }


def decided(tmp_path: Path, *scores: str, mask: str = "") -> Path:
    """A tracker as the reference writes it."""
    rows = [
        f"{tmp_path}/raw/cell{i}.ome.tif,{tmp_path}/seg/cell{i}{MARK}.tiff,{score},{mask}"
        for i, score in enumerate(scores)
    ]
    path = tmp_path / "tracker.csv"
    path.write_text("\n".join(["raw,seg,score,mask", *rows]) + "\n")
    return path


@pytest.mark.parametrize("recipe", [0, "contrast_1_6", 10, 12])
def test_takeall_writes_what_training_reads(recipe: int | str, tmp_path: Path) -> None:
    write_set(tmp_path)
    report = run(tmp_path, normalization=recipe)
    assert done(report) == [(1, "written"), (2, "written")]
    folder = tmp_path / "train"
    # section 2 of the data set's rules: base names from the ground truth, sorted by text, axes of length 1 dropped
    bases = sorted(p.name.removesuffix("_GT.ome.tif") for p in folder.glob("*_GT.ome.tif"))
    assert bases == ["img_001", "img_002"]
    for number, truth in ((1, blocks(A)), (2, blocks(A, B))):
        image, label, cost = trained(folder, number)
        assert (image.dtype, label.dtype, cost.dtype) == (np.float32, np.uint8, np.float32)
        np.testing.assert_array_equal(image, normalize(raw_stack(number - 1), recipe))
        assert 0 <= image.min() < image.max() <= 1
        np.testing.assert_array_equal(label, truth)
        np.testing.assert_array_equal(cost, np.ones(SHAPE))
    for path in sorted(folder.glob("img_*")):
        (scene,) = describe(path).scenes
        assert (scene.axes, scene.shape) == ("ZYX", SHAPE)
        assert scene.spacing == pytest.approx(SPACING)
        with tifffile.TiffFile(path) as file:
            assert {page.compression.name for page in file.pages} == {"ADOBE_DEFLATE"}


def test_sorting_takes_good_images_and_notes_their_numbers(tmp_path: Path) -> None:
    write_set(tmp_path, 4)
    mask = write_plain(tmp_path / "drawn" / "cell3_mask.tiff", blocks(B))
    tracker = decided(tmp_path, "0.0", "1.0", "", "1.0", mask=str(mask))
    report = run(tmp_path, "sort", decisions=tracker)
    assert done(report) == [(1, "written"), (2, "written")]
    assert (report.good, report.bad, report.undecided) == (2, 1, 1)
    image, label, cost = trained(tmp_path / "train", 2)
    np.testing.assert_array_equal(image, normalize(raw_stack(3), "minmax"))
    np.testing.assert_array_equal(label, blocks(A, B))
    np.testing.assert_array_equal(cost, ~blocks(B))  # positive is excluded
    rows = read_tracker(tracker).decisions
    assert [d.extra["number"] for d in rows] == ["", "1", "", "2"]
    assert [d.score for d in rows] == [False, True, None, True]


def test_a_second_run_adds_only_what_is_new(tmp_path: Path) -> None:
    write_set(tmp_path, 3)
    tracker = decided(tmp_path, "1", "", "")
    run(tmp_path, "sort", decisions=tracker)
    before = snapshot(tmp_path / "train")
    found = read_tracker(tracker)
    good = [replace(d, score=True) for d in found.decisions[1:2]]
    write_tracker(tracker, replace(found, decisions=(found.decisions[0], *good, found.decisions[2])))
    for _ in range(2):
        report = run(tmp_path, "sort", decisions=tracker)
    assert done(report) == [(1, "kept"), (2, "kept")]
    after = snapshot(tmp_path / "train")
    assert len(after) == 6
    assert {name: after[name] for name in before} == before


def test_numbers_go_on_after_the_highest(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    folder = tmp_path / "train"
    for name in ("img_007.ome.tif", "img_1200_GT.ome.tif", "img_x.ome.tif"):
        write_plain(folder / name, np.zeros(SHAPE, bool))
    assert done(run(tmp_path)) == [(1201, "written")]
    assert (folder / "img_1201_CM.ome.tif").exists()


def test_merging_by_mask_polygons_and_objects(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw" / "cell.ome.tif", raw_stack(0))
    one = write_plain(tmp_path / "one" / f"cell{MARK}.tiff", blocks(A, C)).parent
    two = write_plain(tmp_path / "two" / f"cell.ome{MARK}.tiff", blocks(B)).parent
    masks = write_plain(tmp_path / "masks" / "cell_merging_mask.tiff", blocks(C)).parent
    write_plain(masks / "cell_excluding_mask.tiff", blocks(A))
    polygons = write_polygons(
        tmp_path / "p.geojson",
        [Polygon("cell", "merging", SQUARE, (0, 0)), Polygon("cell", "excluding", SQUARE, (3, 3))],
    )
    patch = blocks(C) | rasterise([Polygon("cell", "merging", SQUARE, (0, 0))], SHAPE)
    excluded = blocks(A) | rasterise([Polygon("cell", "excluding", SQUARE, (3, 3))], SHAPE)
    shared = {"segmentations": (one, two), "merging_masks": masks, "masks": masks, "polygons": (polygons,)}
    for take, added in (
        ("", np.zeros(SHAPE, bool)),
        ("size>=75", blocks(B)),
        ("size>75", np.zeros(SHAPE, bool)),
    ):
        folder = tmp_path / f"train{take}"
        run(tmp_path, "merge", output=folder, taking=take, excluding="raw>3990", **shared)
        _, label, cost = trained(folder, 1)
        expected = (blocks(A, C) & ~patch) | (blocks(B) & patch) | added
        np.testing.assert_array_equal(label, expected)
        np.testing.assert_array_equal(cost, ~(excluded | (raw_stack(0) > 3990)))


def test_rules_of_a_row_replace_the_option(tmp_path: Path) -> None:
    write_set(tmp_path, 3)
    write_plain(tmp_path / "other" / f"cell0{MARK}.tiff", blocks(C))
    tracker = tmp_path / "t.csv"
    row = (
        "{0}/raw/cell{1}.ome.tif,{0}/seg/cell{1}"
        + MARK
        + ".tiff,{0}/other/cell0"
        + MARK
        + ".tiff,1,,,{2},{3}\n"
    )
    text = "raw,seg1,seg2,score,merging_mask,excluding_mask,rule,exclude_rule\n"
    rules = (("", ""), ("none", "planes:0-1"), ("points:points.csv", ""))
    tracker.write_text(text + "".join(row.format(tmp_path, i, *rule) for i, rule in enumerate(rules)))
    (tmp_path / "points.csv").write_text("image,z,y,x\ncell2,2,3,15\n")
    given = {"raw": None, "segmentations": (), "decisions": tracker, "excluding": "planes:3"}
    run(tmp_path, "merge", taking="size>5", **given)
    expected = ((blocks(A, C), [1, 1, 1, 0]), (blocks(A, B), [0, 0, 1, 1]), (blocks(A, C), [1, 1, 1, 0]))
    for number, (truth, planes) in enumerate(expected, 1):
        _, label, cost = trained(tmp_path / "train", number)
        np.testing.assert_array_equal(label, truth)
        np.testing.assert_array_equal(cost[:, 0, 0], planes)
    manifest = read_manifest(tmp_path / "train")
    assert manifest[3].settings["taking"] == [{"points_file": "points", "points": [[2, 3, 15]]}]


@pytest.mark.parametrize(
    ("mode", "polarity", "kept"),
    [("takeall", None, True), ("takeall", "positive", False), ("sort", None, False), ("sort", "zero", True)],
)
def test_polarity_of_masks(mode: str, polarity: str | None, kept: bool, tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    masks = write_plain(tmp_path / "m" / "cell0_mask.tiff", blocks(A)).parent
    decisions = decided(tmp_path, "1") if mode == "sort" else None
    run(tmp_path, mode, decisions=decisions, masks=masks, polarity=polarity)
    np.testing.assert_array_equal(trained(tmp_path / "train", 1)[2], blocks(A) == kept)
    assert read_manifest(tmp_path / "train")[1].settings["excluded"] == (
        polarity or ("zero" if kept else "positive")
    )


def test_disagreement_with_a_second_segmentation(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    second = write_plain(tmp_path / "second" / f"cell0{MARK}.tiff", blocks(A, C)).parent
    run(tmp_path, compared=second, excluding="disagreement")
    np.testing.assert_array_equal(trained(tmp_path / "train", 1)[2], ~blocks(C))
    assert [s.role for s in read_manifest(tmp_path / "train")[1].sources] == [
        "raw",
        "segmentation",
        "compared_segmentation",
    ]


def test_the_manifest_says_where_an_image_is_from(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    tracker = decided(tmp_path, "1")
    tracker.write_text(
        tracker.read_text().replace("mask\n", "mask,reason\n", 1).replace(",1,\n", ",1,,sharp\n")
    )
    run(tmp_path, "sort", decisions=tracker, normalization=10)
    found = json.loads((tmp_path / "train" / "manifest.json").read_text())
    assert found["normalization"] == "minimum_25"
    (entry,) = found["images"]
    assert entry["state"] == "done"
    assert entry["decision"] == {"file": str(tracker), "score": 1, "reason": "sharp"}
    assert entry["facts"] == {
        "shape": list(SHAPE),
        "spacing_um": pytest.approx(SPACING),
        "foreground": 32,
        "excluded": 0,
    }
    assert entry["sources"][0]["path"] == str(tmp_path / "raw" / "cell0.ome.tif")
    for name, facts in entry["files"].items():
        data = (tmp_path / "train" / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_changes_are_refused_until_redo_is_said(tmp_path: Path) -> None:
    write_set(tmp_path)
    folder = tmp_path / "train"
    run(tmp_path)
    before = snapshot(folder)
    write_plain(tmp_path / "seg" / f"cell1{MARK}.tiff", blocks(C))
    report = run(tmp_path)
    assert done(report) == [(1, "kept"), (2, "failed")]
    assert f"img_002 was made from other voxels of {tmp_path}/seg/cell1" in messages(report)
    assert "give --redo" in messages(report)
    assert snapshot(folder) == before
    assert 'was made with other settings (normalization was "minmax")' in messages(
        run(tmp_path, normalization="flat")
    )
    assert done(run(tmp_path, redo=True)) == [(1, "kept"), (2, "redone")]
    np.testing.assert_array_equal(trained(folder, 2)[1], blocks(C))
    assert done(run(tmp_path, normalization="flat", redo=True)) == [(1, "redone"), (2, "redone")]
    assert sorted(snapshot(folder)) == sorted(before)
    assert done(run(tmp_path, normalization="flat")) == [(1, "kept"), (2, "kept")]


def test_a_copy_of_the_same_voxels_is_the_same(tmp_path: Path) -> None:
    raw, _ = write_set(tmp_path, 1)
    run(tmp_path)
    os.utime(raw / "cell0.ome.tif", (1, 1))
    before = snapshot(tmp_path / "train")
    assert done(run(tmp_path)) == [(1, "kept")]
    assert snapshot(tmp_path / "train") == before
    (tmp_path / "project").mkdir()
    for name in ("raw", "seg", "train"):  # the project moves as a whole
        (tmp_path / name).rename(tmp_path / "project" / name)
    assert done(run(tmp_path / "project")) == [(1, "kept")]


def test_edited_files_are_not_replaced_and_lost_ones_completed(tmp_path: Path) -> None:
    write_set(tmp_path)
    folder = tmp_path / "train"
    run(tmp_path)
    before = snapshot(folder)
    (folder / "img_001_CM.ome.tif").unlink()
    report = run(tmp_path)
    assert done(report) in ([(2, "kept"), (1, "completed")], [(1, "completed"), (2, "kept")])
    after = snapshot(folder)
    assert after["img_001_GT.ome.tif"] == before["img_001_GT.ome.tif"]
    np.testing.assert_array_equal(trained(folder, 1)[2], np.ones(SHAPE))
    write_plain(folder / "img_002_GT.ome.tif", blocks(C))
    report = run(tmp_path)
    assert "img_002_GT.ome.tif was changed since it was written" in messages(report)
    np.testing.assert_array_equal(trained(folder, 2)[1], blocks(C) * 255)
    run(tmp_path, redo=True)
    np.testing.assert_array_equal(trained(folder, 2)[1], blocks(A, B))


def test_a_lost_manifest_is_made_up_by_the_decisions(tmp_path: Path) -> None:
    write_set(tmp_path)
    tracker = decided(tmp_path, "1", "1")
    run(tmp_path, "sort", decisions=tracker)
    before = snapshot(tmp_path / "train")
    (tmp_path / "train" / "manifest.json").unlink()
    assert done(run(tmp_path, "sort", decisions=tracker)) == [(1, "kept"), (2, "kept")]
    assert snapshot(tmp_path / "train") == before
    (tmp_path / "train" / "manifest.json").unlink()
    report = run(tmp_path, "sort", decisions=tracker, normalization="flat")
    assert "has number 1 in the decisions file, but" in messages(report)
    assert snapshot(tmp_path / "train") == before


def test_the_same_voxels_are_not_learnt_from_twice(tmp_path: Path) -> None:
    raw, seg = write_set(tmp_path, 1)
    run(tmp_path)
    (raw / "copy.ome.tif").write_bytes((raw / "cell0.ome.tif").read_bytes())
    write_plain(seg / f"copy{MARK}.tiff", blocks(B))
    report = run(tmp_path)
    assert done(report) == [(1, "kept"), (2, "failed")]
    assert "holds the very voxels that img_001 was made from" in messages(report)


KILL = """
    import os, signal
    from pathlib import Path
    import fastseg.curation.training_set as sets
    from fastseg.curation.request import CurationRequest
    from fastseg.curation.run import curate

    folder = Path({folder!r})
    replaced = os.replace
    def replace(source, target):
        if Path(target).name == {victim!r} and Path(source).suffix == ".tif":
            os.kill(os.getpid(), signal.SIGKILL)
        replaced(source, target)
    os.replace = replace
    curate(CurationRequest(mode="takeall", raw=folder / "raw", segmentations=(folder / "seg",), output=folder / "train",
        normalization={recipe!r}, redo=True, workers=1))
"""


@pytest.mark.parametrize("victim", ["img_002.ome.tif", "img_002_CM.ome.tif", "img_002_GT.ome.tif"])
def test_a_killed_run_goes_on(victim: str, tmp_path: Path) -> None:
    write_set(tmp_path, 3)
    script = dedent(KILL).format(folder=str(tmp_path), victim=victim, recipe="minmax")
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = tmp_path / "train"
    assert sorted(p.name for p in folder.glob("*_GT.ome.tif")) == [
        "img_001_GT.ome.tif"
    ]  # what training sees is whole
    report = run(tmp_path)
    assert [o.number for o in report.outcomes] == [1, 2, 3]
    assert all(o.ok for o in report.outcomes)
    for number in (1, 2, 3):
        image, label, _ = trained(folder, number)
        np.testing.assert_array_equal(image, normalize(raw_stack(number - 1), "minmax"))
        np.testing.assert_array_equal(label, blocks(A, B) if number == 2 else blocks(A))
    left = [p.name for p in folder.iterdir() if not p.name.startswith("img_")]
    assert sorted(left) == [".fastseg-curation.lock", "manifest.json"]
    assert done(run(tmp_path)) == [(1, "kept"), (2, "kept"), (3, "kept")]


def test_training_does_not_see_an_image_that_is_half_made_again(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    run(tmp_path)
    script = dedent(KILL).format(folder=str(tmp_path), victim="img_001_CM.ome.tif", recipe="contrast_1_6")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert not list((tmp_path / "train").glob("*_GT.ome.tif"))
    assert done(run(tmp_path, normalization="contrast_1_6")) == [(1, "written")]
    np.testing.assert_array_equal(trained(tmp_path / "train", 1)[0], normalize(raw_stack(0), "contrast_1_6"))


def test_an_interrupted_run_keeps_what_is_finished(tmp_path: Path) -> None:
    write_set(tmp_path, 3)
    tracker = decided(tmp_path, "1", "1", "1")

    def stop(outcome: Any, number: int, total: int) -> None:
        if number == 2:
            raise KeyboardInterrupt

    request = CurationRequest(
        mode="sort", output=tmp_path / "train", normalization=0, decisions=tracker, workers=1
    )
    with pytest.raises(KeyboardInterrupt):
        curate(request, stop)
    assert [r.state for r in read_manifest(tmp_path / "train").values()] == ["done", "done", "planned"]
    assert [d.extra["number"] for d in read_tracker(tracker).decisions] == ["1", "2", ""]
    assert done(curate(request)) == [(1, "kept"), (2, "kept"), (3, "written")]


def test_several_processes_give_the_same_files(tmp_path: Path) -> None:
    write_set(tmp_path, 3)
    run(tmp_path, output=tmp_path / "one")
    assert done(run(tmp_path, output=tmp_path / "two", workers=2)) == [(n, "written") for n in (1, 2, 3)]
    for number in (1, 2, 3):
        for a, b in zip(trained(tmp_path / "one", number), trained(tmp_path / "two", number), strict=True):
            np.testing.assert_array_equal(a, b)


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    with (
        TrainingSet(tmp_path / "train").locked(),
        pytest.raises(UsageError, match="another process curates into"),
    ):
        run(tmp_path)


def test_bad_images_fail_alone(tmp_path: Path) -> None:
    raw, seg = write_set(tmp_path, 6)
    write_raw(raw / "cell0.ome.tif", np.full(SHAPE, 7, np.uint16))
    nan = raw_stack(1).astype(np.float32)
    nan[0, 0, 0] = np.nan
    write_raw(raw / "cell1.ome.tif", nan)
    write_plain(seg / f"cell2{MARK}.tiff", np.zeros((4, 18, 21), bool))
    write_raw(raw / "cell3.ome.tif", np.stack([raw_stack(3)] * 2), "CZYX")
    write_plain(seg / f"cell4{MARK}.tiff", np.full(SHAPE, 0.5, np.float32))
    polygons = write_polygons(
        tmp_path / "p.geojson", [Polygon("cell5", "excluding", (((40.0, 1.0), (50.0, 1.0), (45.0, 9.0)),))]
    )
    report = run(tmp_path, polygons=(polygons,))
    found = messages(report).splitlines()
    for line, expected in zip(
        found,
        [
            "cell0.ome.tif is empty: every voxel is 7, there is nothing to learn from",
            "cell1.ome.tif holds NaN or infinite voxels",
            "has 4 x 18 x 21 planes, rows and columns; its image",
            "has 2 channels (0, 1) and none was chosen: choose one with --channel",
            "holds values such as 0.5, probabilities: say with --threshold",
            "outside the image of 18 rows and 20 columns",
        ],
        strict=True,
    ):
        assert expected in line
    assert not list((tmp_path / "train").glob("img_*"))
    assert {r.state for r in read_manifest(tmp_path / "train").values()} == {"failed"}
    write_raw(raw / "cell0.ome.tif", raw_stack(0))  # mended, it keeps its number
    assert (1, "written") in done(run(tmp_path))


def test_one_of_several_channels(tmp_path: Path) -> None:
    write_set(tmp_path, 1)
    both = np.stack([raw_stack(8), raw_stack(9)])
    write_raw(tmp_path / "raw" / "cell0.ome.tif", both, "CZYX")
    assert done(run(tmp_path, channel=1)) == [(1, "written")]
    np.testing.assert_array_equal(trained(tmp_path / "train", 1)[0], normalize(both[1], "minmax"))
    assert done(run(tmp_path, channel=0)) == [(2, "written")]  # another structure of the same file


def test_inputs_are_left_alone(tmp_path: Path) -> None:
    raw, seg = write_set(tmp_path, 2)
    before = [(p, p.read_bytes()) for folder in (raw, seg) for p in sorted(folder.iterdir())]
    run(tmp_path, excluding="size<5; focus<0.2")
    assert [(p, p.read_bytes()) for p, _ in before] == before


def test_everything_wrong_with_a_request_is_told_before_anything_is_written(tmp_path: Path) -> None:
    _, seg = write_set(tmp_path, 3)
    (seg / f"cell0{MARK}.tiff").unlink()
    (seg / f"cell2{MARK}.tiff").unlink()
    cases: list[tuple[str, dict[str, Any], str]] = [
        (
            "takeall",
            {},
            "(?s)cell0.ome.tif has no segmentation.*cell2.ome.tif has no segmentation.*--skip-missing",
        ),
        ("takeall", {"normalization": 3}, "normalisation recipe '3' is unknown"),
        ("takeall", {"taking": "size>3"}, "taking objects of a second segmentation is for merge"),
        ("takeall", {"excluding": "disagreement"}, "needs a second segmentation of every image"),
        ("takeall", {"masks": tmp_path / "none"}, "none is no folder"),
        ("takeall", {"threshold": 2.0}, "a threshold of 2 is out of range"),
        ("takeall", {"decisions": tmp_path / "d.csv"}, "takeall takes every image"),
        ("takeall", {"relocate": True}, "--relocate needs decisions"),
        ("sort", {}, "sort needs --decisions"),
        ("merge", {}, "merge needs raw images and two folders of segmentations; 1 were given"),
        ("sort", {"raw": None, "segmentations": (), "decisions": "none.csv"}, "none.csv does not exist"),
    ]
    for mode, fields, message in cases:
        with pytest.raises(FastsegError, match=message):
            run(tmp_path, mode, **fields)
    assert not (tmp_path / "train").exists()
    report = run(tmp_path, skip_missing=True)
    assert done(report) == [(1, "written")]


def test_masks_and_rules_of_rows_are_checked_first(tmp_path: Path) -> None:
    write_set(tmp_path, 2)
    tracker = decided(tmp_path, "1", "1", mask="/none/mask.tiff")
    tracker.write_text(
        tracker.read_text().replace("mask\n", "mask,exclude_rule\n", 1).replace(".tiff\n", ".tiff,sise<3\n")
    )
    with pytest.raises(
        FastsegError, match=r"(?s)cell0.*/none/mask.tiff does not exist.*cell1.*does not exist"
    ):
        run(tmp_path, "sort", decisions=tracker)
    tracker.write_text(tracker.read_text().replace("/none/mask.tiff", ""))
    with pytest.raises(FastsegError, match=r"(?s)cell0.*did you mean size.*cell1"):
        run(tmp_path, "sort", decisions=tracker)
    assert not (tmp_path / "train").exists()


def test_decisions_about_other_images_are_refused_or_relocated(tmp_path: Path) -> None:
    write_set(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    masks = write_plain(tmp_path / "m" / "drawn_mask.tiff", blocks(A))
    tracker = decided(tmp_path, "1", "0", mask=str(masks))
    (tmp_path / "raw").rename(other / "raw")
    (tmp_path / "seg").rename(other / "seg")
    given = {"raw": other / "raw", "segmentations": (other / "seg",), "decisions": tracker}
    with pytest.raises(
        FastsegError, match=r"(?s)is about other images.*cell0.*not among the images of.*--relocate"
    ):
        run(tmp_path, "sort", **given)
    with pytest.raises(FastsegError, match=r"needs .*cell0.ome.tif, which does not exist"):
        run(tmp_path, "sort", decisions=tracker, raw=None, segmentations=())
    assert not (tmp_path / "train").exists()
    assert done(run(tmp_path, "sort", relocate=True, **given)) == [(1, "written")]
    first, second = read_tracker(tracker).decisions
    assert first.raw == other / "raw" / "cell0.ome.tif"
    assert (first.extra["number"], second.raw) == ("1", tmp_path / "raw" / "cell1.ome.tif")
    np.testing.assert_array_equal(trained(tmp_path / "train", 1)[2], ~blocks(A))


def test_relocated_images_keep_their_numbers(tmp_path: Path) -> None:
    write_set(tmp_path)
    tracker = decided(tmp_path, "1", "1")
    run(tmp_path, "sort", decisions=tracker)
    other = tmp_path / "other"
    other.mkdir()
    for name in ("raw", "seg"):
        (tmp_path / name).rename(other / name)
    given = {"raw": other / "raw", "segmentations": (other / "seg",), "decisions": tracker}
    assert done(run(tmp_path, "sort", relocate=True, **given)) == [(1, "kept"), (2, "kept")]


def test_decisions_are_begun_and_tables_read(tmp_path: Path) -> None:
    write_set(tmp_path)
    tracker = tmp_path / "new.csv"
    report = run(tmp_path, "sort", decisions=tracker)
    assert (report.begun, report.undecided, report.outcomes) == (tracker, 2, ())
    assert [d.score for d in read_tracker(tracker).decisions] == [None, None]
    assert not (tmp_path / "train").exists()
    assert done(run(tmp_path, raw=tracker, segmentations=())) == [(1, "written"), (2, "written")]


def test_remarks_on_what_looks_wrong(tmp_path: Path) -> None:
    _, seg = write_set(tmp_path)
    write_plain(seg / f"cell0{MARK}.tiff", np.zeros(SHAPE, bool))
    polygons = write_polygons(tmp_path / "p.geojson", [Polygon("cell9", "merging", SQUARE)])
    report = run(tmp_path, normalization="none", excluding="planes:0-3", polygons=(polygons,))
    notes = [note for outcome in report.outcomes for note in outcome.notes]
    assert "no voxel is foreground" in notes
    assert "every voxel is excluded: there is nothing to learn from" in notes
    assert any("normalised values span 1" in note for note in notes)
    assert report.notes == (
        "polygons or points are about images that are not here: cell9",
        "merging polygons have no effect in takeall",
    )
    write_raw(tmp_path / "raw" / "cell2.ome.tif", raw_stack(2))
    write_plain(seg / f"cell2{MARK}.tiff", blocks(A))
    again = run(tmp_path, normalization="minmax", excluding="planes:0-3")
    assert any("holds images normalised otherwise (none)" in note for note in again.notes)
