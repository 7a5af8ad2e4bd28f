"""Decisions of a batch: what is kept, what is decided automatically, and the order in which the rest is seen."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastseg.curation.quality import Figures, measure
from fastseg.curation.quality_batch import Limits, Measured, QualitySource, decide
from fastseg.curation.quality_scores import Assessment, assess
from fastseg.curation.tracker import Decision, read_tracker
from fastseg.curation.workers import Failure
from fastseg.errors import Problems, UsageError
from fastseg.io import write_image
from tests.curation.batches import Batch, curate, make_batch

FIGURES = Figures(0.1, 3, 9.0, 9.0, 9.0, 0.4, 5.0)


def measured(name: str, quality: float | None) -> Measured:
    source = QualitySource(Path(f"/raw/{name}.tiff"), (Path(f"/seg/{name}.tiff"),))
    if quality is None:
        return Measured(source, None, None, Failure(f"/raw/{name}.tiff cannot be read", True))
    return Measured(source, FIGURES, Assessment(quality, {}, f"finding of {name}"))


def decision(name: str, score: bool | None, **extra: str) -> Decision:
    return Decision(Path(f"/raw/{name}.tiff"), (Path(f"/seg/{name}.tiff"),), score, extra=extra)


def names(decisions: list[Decision]) -> list[str]:
    return [d.raw.stem for d in decisions]


def test_undecided_images_come_in_order_of_doubt_then_the_decided_ones() -> None:
    batch = [
        measured("a", 0.9),
        measured("b", 0.3),
        measured("c", None),
        measured("d", 0.05),
        measured("e", 0.5),
    ]
    made = decide(batch, limits=Limits(0.8, 0.1))
    assert names(made) == ["b", "e", "c", "d", "a"]
    assert [d.score for d in made] == [None, None, None, False, True]
    assert [d.extra["quality"] for d in made] == ["0.3000", "0.5000", "", "0.0500", "0.9000"]
    assert [d.extra["automatic"] for d in made] == [
        "",
        "",
        "",
        "rejected: quality 0.050 is below 0.1, finding of d",
        "accepted: quality 0.900 is at least 0.8",
    ]
    assert made[2].extra["finding"] == "/raw/c.tiff cannot be read"


def test_without_limits_nothing_is_decided() -> None:
    assert [d.score for d in decide([measured("a", 1.0), measured("b", 0.0)])] == [None, None]


def test_the_limits_themselves_accept_and_do_not_reject() -> None:
    made = decide([measured("a", 0.8), measured("b", 0.1)], limits=Limits(0.8, 0.1))
    assert {d.raw.stem: d.score for d in made} == {"a": True, "b": None}


def test_scores_are_kept_and_what_was_not_measured_stays_at_the_end() -> None:
    known = [
        decision("gone", True),
        replace(decision("a", False, note="mine"), excluding_mask=Path("/masks/a.tiff")),
        decision("b", None, note="look again"),
        decision("c", True, automatic="accepted: earlier"),
    ]
    batch = [measured("a", 0.9), measured("b", 0.95), measured("c", 0.01)]
    made = {d.raw.stem: d for d in decide(batch, known, Limits(0.8, 0.1))}
    assert list(made)[-1] == "gone"
    assert made["gone"] == known[0]
    assert (made["a"].score, made["a"].extra["note"], made["a"].extra["automatic"]) == (False, "mine", "")
    assert made["a"].excluding_mask == Path("/masks/a.tiff")
    assert (made["b"].score, made["b"].extra["note"]) == (True, "look again")
    assert (made["c"].score, made["c"].extra["automatic"]) == (True, "accepted: earlier")
    assert made["c"].extra["quality"] == "0.0100"


def test_redo_decides_anew_what_was_automatic_and_is_in_no_training_set() -> None:
    known = [
        decision("a", True, automatic="accepted: earlier"),
        decision("b", True),
        decision("c", True, automatic="accepted: earlier", number="4"),
        decision("d", True, automatic="accepted: earlier"),
    ]
    batch = [measured("a", 0.05), measured("b", 0.05), measured("c", 0.05), measured("d", 0.5)]
    made = {d.raw.stem: d for d in decide(batch, known, Limits(0.8, 0.1), redo=True)}
    assert {name: d.score for name, d in made.items()} == {"a": False, "b": True, "c": True, "d": None}
    assert made["d"].extra["automatic"] == ""


def test_decisions_about_other_segmentations_are_refused() -> None:
    known = [Decision(Path("/raw/a.tiff"), (Path("/older/a.tiff"),), True)]
    with pytest.raises(
        Problems, match=r"/raw/a.tiff: decisions are about /older/a.tiff, given were /seg/a.tiff"
    ):
        decide([measured("a", 0.5)], known)


@pytest.mark.parametrize(
    ("accept", "reject", "message"),
    [
        (1.2, None, "--auto-accept 1.2: a quality between 0 and 1 is needed"),
        (None, -0.1, "--auto-reject -0.1: a quality"),
        (float("nan"), None, "--auto-accept nan"),
        (0.4, 0.6, "--auto-reject 0.6 is above --auto-accept 0.4"),
    ],
)
def test_senseless_limits_are_refused(accept: float | None, reject: float | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Limits(accept, reject)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    return make_batch(tmp_path_factory.mktemp("batch"), 4)


@pytest.fixture
def batch(made: Batch, tmp_path: Path) -> Batch:
    shutil.copytree(made.folder, tmp_path / "batch")
    return replace(made, folder=tmp_path / "batch")


def test_the_command_writes_decisions_and_figures(batch: Batch) -> None:
    decisions, table = batch.paths("decisions.csv", "quality.csv")
    probable = batch.folder / "model"
    for i, mask in enumerate(batch.masks):
        probability = np.where(mask, 0.6, 0.3).astype(np.float32)
        write_image(probable / f"{batch.stem(i)}_struct_segmentation.tiff", probability)
    done = curate(
        "quality", *batch.paths("raw", "seg", "seg2"), "-o", decisions, "--table", table, "--model", probable,
        "--workers", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    figures = [
        measure(*images) for images in zip(batch.raws, batch.masks, batch.others, batch.masks, strict=True)
    ]
    qualities = [one.quality for one in assess(figures) if one]
    tracker = read_tracker(decisions)
    assert tracker.mode == "merge"
    order = sorted(range(4), key=lambda i: qualities[i])
    assert [d.raw for d in tracker.decisions] == [batch.folder / "raw" / f"cell_{i}.tiff" for i in order]
    assert [d.extra["quality"] for d in tracker.decisions] == [f"{qualities[i]:.4f}" for i in order]
    rows = list(csv.DictReader(Path(table).read_text("utf-8").splitlines()))
    assert [float(row["border_contrast"]) for row in rows] == pytest.approx(
        [one.border_contrast for one in figures], rel=1e-4
    )
    assert [float(row["dice"]) for row in rows] == pytest.approx([one.dice for one in figures], rel=1e-4)
    assert [row["model_dice"] for row in rows] == ["1"] * 4
    assert all(row["error"] == "" for row in rows)
    assert "0 good, 0 bad, 4 images to review" in done.output


def test_a_second_run_keeps_scores_and_spelling(batch: Batch) -> None:
    decisions = batch.folder / "decisions.csv"
    decisions.write_text(
        "raw,seg,score,mask\nraw/cell_2.tiff,seg/cell_2_struct_segmentation.tiff,0,\n", "utf-8"
    )
    arguments = ["quality", *batch.paths("raw", "seg"), "-o", decisions, "--workers", 1, "--auto-accept", 0]
    assert curate(*arguments).exit_code == 0
    first = decisions.read_text("utf-8")
    assert curate(*arguments).exit_code == 0
    assert decisions.read_text("utf-8") == first
    rows = {row["raw"]: row for row in csv.DictReader(first.splitlines(), quotechar="|")}
    assert rows["raw/cell_2.tiff"]["score"] == "0"
    assert rows["raw/cell_2.tiff"]["automatic"] == ""
    assert {rows[f"raw/cell_{i}.tiff"]["score"] for i in (0, 1, 3)} == {"1"}


def test_a_bad_file_does_not_stop_the_others(batch: Batch) -> None:
    (batch.folder / "raw" / "cell_1.tiff").write_bytes(b"II*\0 no image")
    write_image(batch.folder / "raw" / "cell_3.tiff", batch.raws[3][:-1], overwrite=True)
    decisions, table = batch.paths("decisions.csv", "quality.csv")
    done = curate("quality", *batch.paths("raw", "seg"), "-o", decisions, "--table", table, "--workers", 2,
                  "--auto-reject", 1, "--auto-accept", 1)  # fmt: skip
    assert done.exit_code == 1
    tracker = read_tracker(decisions)
    assert [d.raw.stem for d in tracker.decisions][:2] == ["cell_1", "cell_3"]
    assert [d.score is None for d in tracker.decisions] == [True, True, False, False]
    assert "cell_1.tiff" in done.stderr
    assert "6 x 24 x 30" in done.stderr
    assert "2 of 4 images measured" in done.output
    rows = {Path(row["raw"]).stem: row for row in csv.DictReader(Path(table).read_text("utf-8").splitlines())}
    assert {name: bool(row["error"]) for name, row in rows.items()} == {
        "cell_0": False, "cell_1": True, "cell_2": False, "cell_3": True,
    }  # fmt: skip


def test_a_decisions_file_of_the_other_kind_is_refused(batch: Batch) -> None:
    decisions = batch.folder / "decisions.csv"
    decisions.write_text("raw,seg,score,mask\n", "utf-8")
    done = curate("quality", *batch.paths("raw", "seg", "seg2"), "-o", decisions)
    assert done.exit_code == 2
    assert "is a decisions file for sorting, with one segmentation an image; 2 were given" in done.stderr
    assert decisions.read_text("utf-8") == "raw,seg,score,mask\n"
