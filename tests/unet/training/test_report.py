"""The page of a run: complete in one file, and drawn where the numbers are."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from fastseg.unet.training.chart import Line, chart
from fastseg.unet.training.folder import metrics_table
from fastseg.unet.training.prepare import Plan, prepare
from fastseg.unet.training.report import report_page
from fastseg.unet.training.samples import (
    IGNORED,
    MISSED,
    RIGHT,
    WRONG,
    difference,
    picture,
    read_samples,
    save_samples,
)
from fastseg.unet.training.validation import Sample
from tests.unet.training.runs import blob_set, tiny


def history(count: int = 11) -> list[dict[str, float]]:
    rows = []
    for epoch in range(count):
        row = {"epoch": epoch, "steps": 2 * epoch + 2, "train_loss": 1 / (epoch + 1), "learning_rate": 1e-3}
        if epoch % 5 == 0:
            dice = (0.3, 0.8, 0.7)[epoch // 5]
            row |= {"validation_loss": 0.5, "dice": dice, "iou": dice / 2}
        rows.append(row | {"seconds": 61.0})
    return rows


def sample() -> Sample:
    predicted = np.zeros((3, 4), bool)
    true, counts = predicted.copy(), ~predicted
    predicted[0] = true[:, 0] = True
    counts[2] = False
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    return Sample("a <b>", 7, grey, grey, predicted, true, counts, 0.75)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return prepare(tiny(blob_set(tmp_path_factory.mktemp("blobs"), 2)))


def test_the_page_stands_alone_and_says_what_happened(plan: Plan, tmp_path: Path) -> None:
    save_samples(tmp_path, ("last", "best"), [sample()], 5)
    save_samples(tmp_path, ("last",), [replace(sample(), dice=0.5)], 10)
    page = report_page("run <1>", plan, history(), read_samples(tmp_path), done=True)
    assert "<script" not in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    for part in (
        "run &lt;1&gt;",
        "a &lt;b&gt;, plane 7; Dice of the whole image 0.7500",
        "<b>11 / 3</b><span>epochs, finished",
        "<b>0.8000</b><span>Dice, epoch 5 (best)",
        "<b>11 min 11 s</b>",
        "Best epoch (5)",
        "Last validated epoch (10)",
        "held back (1)</th><td>img_001",
        "16 x 24 x 24 in, 4 x 8 x 8 out; 2 a step",
        "learning_rate: 0.01",
    ):
        assert part in page, part
    assert page.count("data:image/png;base64,") == 2
    assert page.count("<svg") == 4
    for drawn in re.findall(r"<svg.*?</svg>", page):
        ElementTree.fromstring(drawn)


def test_the_page_of_a_run_without_validation(plan: Plan) -> None:
    rows = [
        {k: v for k, v in row.items() if k not in ("dice", "iou", "validation_loss")} for row in history(1)
    ]
    page = report_page("run", plan, rows, {}, done=False)
    assert "running, or stopped on the way" in page
    assert "Held-back images" not in page
    assert page.count("<svg") == 3


def points(drawn: str) -> list[np.ndarray]:
    lines = [e.attrib["points"] for e in ElementTree.fromstring(drawn).iter() if e.tag.endswith("polyline")]
    return [np.array([[float(n) for n in p.split(",")] for p in line.split()]) for line in lines]


def ticks(drawn: str, kind: str) -> dict[str, float]:
    found = [e for e in ElementTree.fromstring(drawn).iter() if e.attrib.get("class") == kind]
    return {str(e.text): float(e.attrib["x" if kind == "x" else "y"]) for e in found}


def test_points_are_where_the_axes_say() -> None:
    line = Line("a", [(0, 2.0), (10, 4.0), (20, 8.0)], "c1")
    drawn = chart([line], title="t", x_label="epoch")
    (found,) = points(drawn)
    x, y = ticks(drawn, "x"), ticks(drawn, "y")
    assert found[:, 0] == pytest.approx([x["0"], x["10"], x["20"]], abs=0.1)
    assert [y["2"], y["4"], y["8"]] == pytest.approx(found[:, 1] + 4, abs=0.2)  # text stands 4 lower


def test_wide_ranges_are_logarithmic() -> None:
    drawn = chart([Line("a", [(0, 1.0), (1, 0.1), (2, 0.01)], "c1")], title="t", x_label="epoch")
    (found,) = points(drawn)
    assert np.diff(found[:, 1], 2) == pytest.approx(0, abs=0.2)
    y = ticks(drawn, "y")
    assert y["0.1"] == pytest.approx(found[1, 1] + 4, abs=0.2)


@pytest.mark.parametrize("values", [[5.0], [0.0], [0.0, 0.0], [-1.0, 1.0], [1e-12, 2e-12], [1e9, 2e9]])
def test_odd_ranges_are_drawn(values: list[float]) -> None:
    drawn = chart([Line("a", list(enumerate(values)), "c1")], title="t", x_label="epoch")
    (found,) = points(drawn)
    assert np.isfinite(found).all()
    assert (found[:, 1] > 0).all()
    assert (found[:, 1] < 270).all()
    assert len(ticks(drawn, "y")) >= 2


def test_nothing_to_draw() -> None:
    assert chart([Line("a", [(0, float("nan"))], "c1")], title="t", x_label="epoch") == ""


def test_the_difference_has_four_colours() -> None:
    found = difference(sample())
    assert found[0].tolist() == [list(RIGHT), *[list(WRONG)] * 3]
    assert found[1].tolist() == [list(MISSED), *[[0, 0, 0]] * 3]
    assert found[2].tolist() == [list(IGNORED)] * 4


def test_a_picture_has_four_panels_enlarged_by_whole_numbers() -> None:
    image = np.asarray(Image.open(io.BytesIO(picture(sample()))))
    assert image.shape == (3 * 56, 4 * 4 * 56 + 3 * 6, 4)
    assert image[0, 0, :3].tolist() == [0, 0, 0]
    assert image[-1, 4 * 56 - 1, :3].tolist() == [11, 11, 11]
    assert image[0, 4 * 56].tolist() == [0, 0, 0, 0]


def test_metrics_have_one_header_and_empty_cells() -> None:
    rows = list(csv.DictReader(io.StringIO(metrics_table(history()))))
    assert list(rows[0])[-1] == "seconds"
    assert [row["dice"] for row in rows[:6]] == ["0.3", "", "", "", "", "0.8"]
    assert float(rows[2]["train_loss"]) == 1 / 3
