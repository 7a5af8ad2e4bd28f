"""Making a page: complete or absent, whatever the images, and nothing from outside."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.draw import polygon as draw_polygon

from fastseg.curation.polygons import Polygon, write_polygons
from fastseg.curation.review import ReviewSettings, write_review
from fastseg.curation.review.page import SCRIPTS, asset
from fastseg.curation.tracker import Decision, Tracker
from fastseg.errors import UsageError
from fastseg.io import write_image
from tests.curation.batches import Batch, curate, make_batch

if TYPE_CHECKING:
    from tests.curation.review.browser import Page

ONE = ReviewSettings(workers=1)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return make_batch(tmp_path, 2)


def tracker(batch: Batch, count: int = 2) -> Tracker:
    return Tracker(
        "sort",
        tuple(
            Decision(
                batch.folder / "raw" / f"cell_{i}.tiff",
                (batch.folder / "seg" / f"cell_{i}_struct_segmentation.tiff",),
            )
            for i in range(count)
        ),
    )


class Scripts(HTMLParser):
    """Script elements of a page by their id, and every address in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.addresses: list[str] = []
        self._id: str | None = None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        self._id = dict(attrs).get("id") or "" if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._id is not None:
            self.found[self._id] = self.found.get(self._id, "") + data

    @property
    def page(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.found["page"])
        return found


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_folder_holds_the_page_and_three_files_an_image(batch: Batch, tmp_path: Path) -> None:
    made = write_review(tmp_path / "page", tracker(batch), settings=ONE)
    images = {f"images/{i:05d}{end}" for i in (1, 2) for end in (".js", ".png", "t.jpg")}
    assert names(tmp_path / "page") == {"index.html", "images", *images}
    assert made.bytes == sum(f.stat().st_size for f in (tmp_path / "page").rglob("*") if f.is_file())
    assert (made.page, made.images, made.failures) == (tmp_path / "page" / "index.html", 2, ())
    page = Scripts(made.page).page
    assert page["mode"] == "sort"
    assert page["columns"] == ["raw", "seg", "score", "mask"]
    assert [item["stem"] for item in page["items"]] == ["cell_0", "cell_1"]
    assert page["items"][0]["shape"] == [7, 24, 30]
    with Image.open(tmp_path / "page" / "images" / "00001.png") as picture:
        assert picture.mode == "L"


def test_the_page_asks_for_nothing_from_outside(batch: Batch, tmp_path: Path) -> None:
    made = write_review(tmp_path / "page", tracker(batch), settings=ONE)
    text = made.page.read_text("utf-8")
    assert Scripts(made.page).addresses == []
    assert re.findall(r"https?://|\bfetch\(|XMLHttpRequest|WebSocket|@import|url\(", text) == []


def test_every_asset_is_in_the_page() -> None:
    folder = Path(__file__).parents[3] / "fastseg" / "curation" / "review" / "assets"
    assert {path.name for path in folder.iterdir()} == {*SCRIPTS, "index.html", "style.css"}
    for name in SCRIPTS:
        assert "</script" not in asset(name)
        assert "/* scripts */" not in asset(name)


@pytest.mark.parametrize("single_file", [False, True])
def test_a_page_is_there_whole_or_not_at_all(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, single_file: bool
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    target = tmp_path / "out" / "page"
    monkeypatch.setattr("fastseg.curation.review.build.write_page", fail)
    with pytest.raises(Exception, match="the disk is full"):
        write_review(target, tracker(batch), settings=replace(ONE, single_file=single_file))
    assert names(tmp_path / "out") == set()


def test_a_page_is_replaced_only_when_asked_to(batch: Batch, tmp_path: Path) -> None:
    arguments = ["review", *batch.paths("raw", "seg"), "-o", tmp_path / "page", "--workers", 1]
    assert curate(*arguments).exit_code == 0
    before = (tmp_path / "page" / "index.html").stat()
    again = curate(*arguments)
    assert again.exit_code == 1
    assert "exists already: give --overwrite to replace it" in again.stderr
    assert (tmp_path / "page" / "index.html").stat() == before
    assert curate(*arguments, "--overwrite").exit_code == 0
    assert (tmp_path / "page" / "index.html").stat() != before


def test_what_is_decided_and_drawn_already_is_in_the_page(batch: Batch, tmp_path: Path) -> None:
    decisions, polygons = tmp_path / "decisions.csv", tmp_path / "polygons.geojson"
    decisions.write_text(
        "raw,seg,score,mask,number\nraw/cell_1.tiff,seg/cell_1_struct_segmentation.tiff,1,masks/m.tiff,7\n",
        "utf-8",
    )
    ring, hole = ((1.0, 2.0), (9.0, 2.0), (9.0, 8.5)), ((3.0, 3.0), (5.0, 3.0), (5.0, 4.0))
    write_polygons(polygons, [Polygon("cell_1", "excluding", (ring, hole), (1, 3))])
    done = curate(
        "review", *batch.paths("raw", "seg"), "-o", tmp_path / "page", "--workers", 1,
        "--decisions", decisions, "--polygons", polygons,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    page = Scripts(tmp_path / "page" / "index.html").page
    assert page["columns"] == ["raw", "seg", "score", "mask", "number"]
    assert page["items"][1]["row"] == {
        "raw": str(tmp_path / "raw" / "cell_1.tiff"),
        "seg": str(tmp_path / "seg" / "cell_1_struct_segmentation.tiff"),
        "score": "1",
        "mask": str(tmp_path / "masks" / "m.tiff"),
        "number": "7",
    }
    assert page["items"][0]["row"]["score"] == ""
    drawn = {"role": "excluding", "points": [list(p) for p in ring], "planes": [1, 3]}
    assert page["items"][1]["polygons"] == [{**drawn, "holes": [[list(p) for p in hole]]}]
    assert page["items"][0]["polygons"] == []


def test_a_browser_keeps_decisions_by_the_files_and_not_by_the_place_of_the_page(
    batch: Batch, tmp_path: Path
) -> None:
    def key(name: str, tracker: Tracker) -> str:
        return str(Scripts(write_review(tmp_path / name, tracker, settings=ONE).page).page["key"])

    given = tracker(batch)
    other = replace(
        given.decisions[1], segmentations=(batch.folder / "seg2" / "cell_1_struct_segmentation.tiff",)
    )
    scored = replace(given.decisions[1], score=True)
    assert key("a", given) == key("b", replace(given, decisions=(given.decisions[0], scored)))
    assert key("c", replace(given, decisions=(given.decisions[0], other))) != key("d", given)


def test_names_that_look_like_html_do_no_harm(batch: Batch, tmp_path: Path) -> None:
    raw = batch.folder / "raw" / "cell_0.tiff"
    odd = raw.rename(raw.with_name("a<script>&'x.tiff"))
    made = write_review(
        tmp_path / "page",
        Tracker("sort", (replace(tracker(batch).decisions[0], raw=odd, extra={"note": "</script><!--"}),)),
        settings=replace(ONE, title="<b>&"),
    )
    scripts = Scripts(made.page)
    assert scripts.page["items"][0]["stem"] == "a<script>&'x"
    assert scripts.page["items"][0]["row"]["note"] == "</script><!--"
    assert set(scripts.found) == {"page", ""}
    assert "<title>&lt;b&gt;&amp;</title>" in made.page.read_text("utf-8")


def test_images_of_one_name_are_refused(batch: Batch, tmp_path: Path) -> None:
    first, second = tracker(batch).decisions
    twin = replace(second, raw=Path("/elsewhere/cell_0.ome.tif"))
    with pytest.raises(UsageError, match=r"cell_0.tiff and /elsewhere/cell_0.ome.tif are both called cell_0"):
        write_review(tmp_path / "page", Tracker("sort", (first, twin)), settings=ONE)
    with pytest.raises(UsageError, match="there is no image to review"):
        write_review(tmp_path / "page", Tracker("sort", ()), settings=ONE)
    assert not (tmp_path / "page").exists()


def test_a_page_of_one_segmentation_draws_excluded_areas_alone(
    page: Page, batch: Batch, tmp_path: Path
) -> None:
    done = curate("review", *batch.paths("raw", "seg"), "-o", tmp_path / "page", "--workers", 1)
    assert done.exit_code == 0, done.output
    page.open(tmp_path / "page" / "index.html")
    page.key("m")
    assert page.run("return review.pen.role") is None
    assert not page.driver.find_element("id", "merge").is_displayed()
    page.key("e")
    corners = page.draw([(3.0, 4.0), (20.0, 5.0), (11.0, 19.0)], (24, 30))
    page.key("g", "b")
    decisions, polygons = (Path(shutil.copy(path, tmp_path)) for path in page.export())
    done = curate(
        "sort", "--decisions", decisions, "--polygons", polygons, "--normalize", "minmax", "-o", tmp_path / "train",
        "--workers", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    cost = np.ones((7, 24, 30), np.float32)
    rows, columns = draw_polygon([y for _, y in corners], [x for x, _ in corners], (24, 30))
    cost[:, rows, columns] = 0
    (made,) = (tmp_path / "train").glob("*_CM.ome.tif")
    np.testing.assert_array_equal(tifffile.imread(made), cost)
    assert 50 < len(rows) < 300


def test_a_bad_image_is_on_the_page_with_the_reason(page: Page, batch: Batch, tmp_path: Path) -> None:
    (batch.folder / "raw" / "cell_0.tiff").write_bytes(b"II*\0 no image")
    done = curate("review", *batch.paths("raw", "seg"), "-o", tmp_path / "page", "--workers", 1)
    assert done.exit_code == 1
    assert "cell_0.tiff" in done.stderr
    page.open(tmp_path / "page" / "index.html")
    assert "cell_0.tiff" in page.text("problem")
    page.key("b")
    assert (page.name(), page.run("return !!review.image")) == ("cell_1", True)
    page.key("g")
    assert page.run("return review.session.states.map((s) => s.score)") == [0, 1]


def test_a_single_file_holds_everything(page: Page, batch: Batch, tmp_path: Path) -> None:
    page.complaints()
    target = tmp_path / "alone" / "page.html"
    done = curate("review", *batch.paths("raw", "seg"), "-o", target, "--single-file", "--workers", 1)
    assert done.exit_code == 0, done.output
    assert names(target.parent) == {"page.html"}
    page.open(target)
    page.key("g")
    assert (page.name(), page.run("return [review.image.width, review.image.height]")) == ("cell_1", [30, 24])
    assert page.run("return document.querySelector('#list img').complete")
    assert page.complaints() == []


@pytest.mark.parametrize("shape", [(1, 9, 9), (2, 1, 1), (3, 5, 1200), (3, 1200, 5)])
def test_odd_shapes_are_shown(page: Page, tmp_path: Path, shape: tuple[int, int, int]) -> None:
    folder = make_batch(tmp_path, 1, shape).folder
    done = curate("review", folder / "raw", folder / "seg", "-o", tmp_path / "page", "--axes", "ZYX")
    assert done.exit_code == 0, done.output
    page.complaints()
    page.open(tmp_path / "page" / "index.html")
    assert page.run("return review.image.shape") == list(shape)
    shown = page.run(
        "return [...document.querySelectorAll('.panel')].filter(p => !p.hidden)"
        ".map(p => [p.dataset.view, p.clientHeight > 30])"
    )
    views = {1: ["max", "max"], 2: ["max", "max", "middle", "above"]}.get(shape[0], ["max", "max", "middle"])
    assert [name for name, _ in shown][: len(views)] == views
    assert all(high for _, high in shown)
    assert page.complaints() == []


def test_probabilities_need_a_threshold(batch: Batch, tmp_path: Path) -> None:
    path = batch.folder / "seg" / "cell_0_struct_segmentation.tiff"
    write_image(path, np.where(batch.masks[0], 0.8, 0.2).astype(np.float32), overwrite=True)
    arguments = ["review", *batch.paths("raw", "seg"), "-o", tmp_path / "page", "--workers", 1]
    refused = curate(*arguments)
    assert refused.exit_code == 1
    assert "probabilities" in refused.stderr
    assert curate(*arguments, "--overwrite", "--threshold", 0.5).exit_code == 0
