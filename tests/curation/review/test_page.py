"""The page in a browser: what a person does is what its files say."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from skimage.draw import polygon as draw_polygon

from fastseg.curation.polygons import read_polygons
from fastseg.curation.tracker import read_tracker
from tests.curation.batches import Batch, curate, make_batch

if TYPE_CHECKING:
    from tests.curation.review.browser import Page

SHAPE = (24, 30)
SQUARE = [(4.0, 3.0), (17.0, 4.0), (15.0, 18.0), (5.0, 16.0)]
TRIANGLE = [(20.0, 5.0), (27.0, 8.0), (21.0, 20.0)]

COLUMNS = "raw,seg1,seg2,score,merging_mask,excluding_mask,quality,finding,automatic,note"
ROWS = [",,,0.9,usual,,|a, b|", "1,,,0.95,usual,accepted: so,", ",,,0.2,|odd, very|,,", ",,,0.4,,,"]


def decisions_text(folder: Path) -> str:
    """A decisions file of four images: one has an automatic score, the others differ in quality."""
    paths = "{0}/raw/cell_{1}.tiff,{0}/seg/cell_{1}_struct_segmentation.tiff,{0}/seg2/cell_{1}_struct_segmentation.tiff"
    rows = [f"{paths.format(folder, i)},{row}" for i, row in enumerate(ROWS)]
    return "\n".join([COLUMNS, *rows, ""])


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    made = make_batch(tmp_path_factory.mktemp("batch"), 4)
    (made.folder / "start.csv").write_text(decisions_text(made.folder), "utf-8")
    sources = made.paths("raw", "seg", "seg2")
    start = made.folder / "start.csv"
    done = curate("review", *sources, "-o", made.folder / "page", "--decisions", start, "--workers", 1)
    assert done.exit_code == 0, done.output
    return made


@pytest.fixture
def opened(page: Page, batch: Batch) -> Page:
    """The page of four images, as it was made."""
    page.complaints()
    return page.open(batch.folder / "page" / "index.html", forget=True)


def cells(text: str) -> list[list[str]]:
    """Rows of a file in the tracker's dialect."""
    return list(csv.reader(io.StringIO(text, newline=""), quotechar="|"))


def scores(page: Page) -> dict[str, bool | None]:
    return {d.raw.stem: d.score for d in read_tracker(page.export()[0]).decisions}


def test_keys_decide_and_go_to_the_next_undecided_image_in_order_of_doubt(opened: Page) -> None:
    assert opened.listed() == ["cell_2", "cell_3", "cell_0", "cell_1"]
    assert (opened.name(), opened.text("finding")) == ("cell_2", "quality 0.20 · odd, very")
    opened.key("g")
    assert opened.name() == "cell_3"
    opened.key("b")
    assert opened.name() == "cell_0"
    assert [opened.text(f"{which}-count") for which in ("good", "bad", "undecided")] == ["2", "1", "1"]
    assert scores(opened) == {"cell_0": None, "cell_1": True, "cell_2": True, "cell_3": False}
    opened.press("good")
    assert "All images are decided." in opened.text("toast")
    opened.key("u")
    assert opened.text("undecided-count") == "1"
    assert opened.complaints() == []


def test_the_next_undecided_image_is_sought_from_here_on_and_then_from_the_start(opened: Page) -> None:
    opened.run("review.go(3)")  # second in the list
    opened.key("g")
    assert opened.name() == "cell_0"
    opened.key("g")
    assert opened.name() == "cell_2"


def test_the_exported_rows_keep_what_was_in_them(opened: Page, batch: Batch) -> None:
    rows = cells(decisions_text(batch.folder))
    assert cells(opened.export()[0].read_bytes().decode("utf-8")) == rows
    opened.run("review.go(1)")
    opened.key("b")  # a person's word in place of the automatic one
    rows[2][3], rows[2][8] = "0", ""
    assert cells(opened.export()[0].read_bytes().decode("utf-8")) == rows


def test_undoing_goes_back_to_the_image(opened: Page) -> None:
    opened.key("g", "b", "z")
    assert (opened.name(), opened.state()["score"]) == ("cell_3", None)
    opened.key("z")
    assert (opened.name(), opened.state()["score"]) == ("cell_2", None)
    opened.key("y")
    assert opened.state()["score"] == 1
    opened.key("b")  # a new decision ends what can be done again
    assert opened.driver.find_element("id", "redo").is_enabled() is False


@pytest.mark.parametrize("panel", [".main", ":nth-of-type(3)"])
def test_a_polygon_drawn_by_mouse_is_the_mask_of_scikit_image(opened: Page, panel: str) -> None:
    opened.key("e")
    corners = opened.draw(SQUARE, SHAPE, panel)
    opened.key("m")
    others = opened.draw(TRIANGLE, SHAPE, panel)
    found = read_polygons(opened.export()[1])
    assert [(p.image, p.role, p.planes) for p in found] == [
        ("cell_2", "excluding", None),
        ("cell_2", "merging", None),
    ]
    for drawn, polygon in zip((corners, others), found, strict=True):
        np.testing.assert_allclose(polygon.rings[0], drawn, atol=2e-3)
        columns, rows = zip(*polygon.rings[0], strict=True)
        expected, by_hand = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
        expected[draw_polygon(rows, columns, SHAPE)] = True
        by_hand[draw_polygon([y for _, y in drawn], [x for x, _ in drawn], SHAPE)] = True
        np.testing.assert_array_equal(by_hand, expected)
        assert 30 < expected.sum() < 250
    assert opened.text("list").count("2 polygons") == 1


def test_the_export_becomes_the_training_set_that_was_drawn(
    opened: Page, batch: Batch, tmp_path: Path
) -> None:
    opened.key("m")
    merging = opened.draw(SQUARE, SHAPE)
    opened.key("e")
    excluding = opened.draw(TRIANGLE, SHAPE)
    opened.key("\ue00c")
    opened.driver.find_elements("css selector", "#polygons input")[3].send_keys(
        "4\n"
    )  # the triangle: up to plane 4
    opened.key("g", "b")
    decisions, polygons = (Path(shutil.copy(path, tmp_path)) for path in opened.export())
    done = curate(
        "merge", "--decisions", decisions, "--polygons", polygons, "--normalize", "minmax", "-o", tmp_path / "train",
        "--workers", 1,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    areas = []
    for corners in (merging, excluding):
        area = np.zeros(SHAPE, bool)
        area[draw_polygon([y for _, y in corners], [x for x, _ in corners], SHAPE)] = True
        areas.append(area)
    label = np.where(areas[0], batch.others[2], batch.masks[2])
    cost = np.ones(label.shape, np.float32)
    cost[:5, areas[1]] = 0
    # The rows are in the order of the files: cell_1 has its automatic score, cell_2 the person's.
    assert sorted(p.name for p in (tmp_path / "train").glob("*_GT.ome.tif")) == [
        "img_001_GT.ome.tif",
        "img_002_GT.ome.tif",
    ]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "train" / "img_002_GT.ome.tif"), label)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "train" / "img_002_CM.ome.tif"), cost)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "train" / "img_001_GT.ome.tif"), batch.masks[1])
    assert (label != batch.masks[2]).any()


def test_a_polygon_is_closed_by_its_first_corner_a_double_click_or_enter(opened: Page) -> None:
    points = [opened.point(".main", x, y, SHAPE)[:2] for x, y in SQUARE]
    opened.key("e")
    points = [opened.point(".main", x, y, SHAPE)[:2] for x, y in SQUARE]  # the tool's line takes room
    for x, y in [*points, points[0]]:
        opened.click(x, y)
    for x, y in [*points, points[-1]]:
        opened.click(x, y)
    for x, y in points:
        opened.click(x, y)
    opened.key("\ue007")
    assert [len(p["points"]) for p in opened.state()["polygons"]] == [4, 4, 4]


def test_corners_are_taken_back_and_an_unfinished_polygon_does_not_survive(opened: Page) -> None:
    opened.key("e")
    points = [opened.point(".main", x, y, SHAPE)[:2] for x, y in SQUARE]
    for x, y in points[:2]:
        opened.click(x, y)
    opened.key("\ue007")
    assert opened.text("toast") == "A polygon needs at least 3 corners."
    opened.key("\ue003")  # backspace
    for x, y in points[2:]:
        opened.click(x, y)
    opened.key("\ue007")
    assert len(opened.state()["polygons"][0]["points"]) == 3
    opened.click(*points[0])
    opened.key("\ue014", "\ue012")  # to the next image and back
    assert opened.run("return [review.pen.role, review.pen.points.length]") == [None, 0]
    opened.key("z")
    assert opened.state()["polygons"] == []
    assert opened.name() == "cell_2"


def test_polygons_are_selected_moved_limited_to_planes_and_removed(opened: Page) -> None:
    opened.key("e")
    corners = opened.draw(SQUARE, SHAPE)
    opened.key("\ue00c")  # escape: leave the tool
    opened.click(*opened.point(".main", 10, 10, SHAPE)[:2])
    start = opened.point(".main", *corners[2], SHAPE)[:2]
    x, y, *moved = opened.point(".main", 25, 20, SHAPE)
    opened.drag(start, (x, y))
    ring = opened.state()["polygons"][0]["points"]
    np.testing.assert_allclose(ring, [*corners[:2], moved, corners[3]], atol=1e-9)
    first, last = opened.driver.find_elements("css selector", "#polygons input")
    first.send_keys("2\t")
    assert opened.state()["polygons"][0]["planes"] == [2, 6]
    opened.driver.switch_to.active_element.send_keys(
        "\ue009a\ue0093\t"
    )  # the cursor is in the next field, selected
    assert opened.state()["polygons"][0]["planes"] == [2, 3]
    last.clear()
    assert opened.state()["polygons"][0]["planes"] == [2, 6]
    opened.run("document.activeElement.blur()")
    opened.key("z")
    assert read_polygons(opened.export()[1])[0].planes == (2, 3)
    opened.key("z", "z", "z")
    np.testing.assert_allclose(opened.state()["polygons"][0]["points"], corners, atol=1e-9)
    opened.key("\ue017")  # delete
    assert opened.state()["polygons"] == []


def test_dragging_moves_a_magnified_image_and_adds_no_corner(opened: Page) -> None:
    opened.key("e", "+", "+", "+")
    zoom = opened.run("return review.camera.zoom")
    assert zoom == pytest.approx(1.4**3)
    before = opened.run("return review.main.toVoxel([0, 0])")
    x, y = opened.point(".main", 15, 12, SHAPE)[:2]
    opened.drag((x, y), (x + 60, y - 45))
    after = opened.run("return review.main.toVoxel([0, 0])")
    scale = opened.run("return review.main.placement.scale")
    np.testing.assert_allclose(np.subtract(before, after), [60 / scale, -45 / scale], atol=1e-6)
    assert opened.run("return review.pen.points.length") == 0
    opened.click(x, y)
    corner = opened.run("return review.pen.points[0]")
    opened.key("f")
    assert opened.run("return review.pen.points[0]") == corner
    left, top = opened.run("return review.main.toStage(review.pen.points[0])")
    px, py = opened.point(".main", *corner, SHAPE)[:2]
    box = opened.run(
        "return (r => [r.left, r.top])(document.querySelector('.main .stage').getBoundingClientRect())"
    )
    np.testing.assert_allclose([left + box[0], top + box[1]], [px, py], atol=1)


def test_work_is_taken_up_again_after_a_reload(opened: Page) -> None:
    opened.key("g", "e")
    opened.draw(TRIANGLE, SHAPE)
    before = opened.run("return [review.session.table(), review.session.geoJson()]")
    opened.driver.refresh()
    opened.ready()
    assert "your decisions on 2 images" in opened.text("toast")
    assert opened.run("return [review.session.table(), review.session.geoJson()]") == before
    opened.driver.find_element("css selector", "#toast button").click()
    assert [opened.text(f"{which}-count") for which in ("good", "undecided")] == ["1", "3"]
    opened.key("z")
    assert opened.text("good-count") == "2"


def test_exported_files_are_opened_again(opened: Page, batch: Batch, tmp_path: Path) -> None:
    opened.key("g", "m")
    opened.draw(TRIANGLE, SHAPE)
    opened.key("b")
    files = [Path(shutil.copy(path, tmp_path)) for path in opened.export()]
    before = opened.run("return [review.session.table(), review.session.geoJson()]")
    opened.open(batch.folder / "page" / "index.html", forget=True)
    assert opened.run("return [review.session.table(), review.session.geoJson()]") != before
    told = opened.load(*files)
    assert told == "4 decision rows taken. 1 polygons taken"
    assert opened.run("return [review.session.table(), review.session.geoJson()]") == before
    # From another folder the names count; what the page does not show is told.
    moved = tmp_path / "moved.csv"
    moved.write_text("raw,seg1,seg2,score\nD:\\x\\cell_3.tiff,a,b,1.0\n/else/cell_9.tiff,a,b,0\n", "utf-8")
    assert opened.load(moved) == "1 decision rows taken, 1 of images that are not on this page"
    assert opened.run("return review.session.states[3].score") == 1
    assert opened.run("return review.session.rows[3].seg1").endswith("/seg/cell_3_struct_segmentation.tiff")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "image,good\nx,1\n", "a.csv: this is no decisions file"),
        ("b.json", "{", "b.json: "),
        ("c.json", '{"type": "Topology"}', "c.json: this is no GeoJSON file of polygons"),
        (
            "d.json",
            json.dumps({"type": "FeatureCollection", "features": [{"geometry": {"type": "Point"}}]}),
            "d.json: polygon 1 of the file is not understood",
        ),
    ],
)
def test_other_files_are_refused_and_change_nothing(
    opened: Page, tmp_path: Path, name: str, text: str, message: str
) -> None:
    before = opened.run("return review.session.table()")
    (tmp_path / name).write_text(text, "utf-8")
    assert opened.load(tmp_path / name).startswith(message)
    assert opened.run("return [review.session.table(), review.session.done.length]") == [before, 0]


def test_polygons_with_holes_come_out_as_they_came_in(opened: Page, tmp_path: Path) -> None:
    ring = [[1, 1], [20, 1], [20, 20], [1, 20], [1, 1]]
    hole = [[5, 5], [9, 5], [9, 9.5], [5, 5]]
    feature = {
        "type": "Feature",
        "properties": {"image": "cell_2", "role": "merging", "planes": [1, 4]},
        "geometry": {"type": "Polygon", "coordinates": [ring, hole]},
    }
    file = tmp_path / "given.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}), "utf-8")
    opened.load(file)
    assert read_polygons(opened.export()[1]) == read_polygons(file)
    # A click in the hole selects nothing, one beside it the polygon.
    opened.click(*opened.point(".main", 8, 6, SHAPE)[:2])
    assert opened.run("return review.selected") is None
    opened.click(*opened.point(".main", 14, 14, SHAPE)[:2])
    assert opened.run("return review.selected") == 0


def test_the_list_is_filtered_sorted_and_searched(opened: Page) -> None:
    def choose(field: str, value: str) -> list[str]:
        opened.run(
            "const f = document.getElementById(arguments[0]); f.value = arguments[1];"
            "f.dispatchEvent(new Event('input'))",
            field,
            value,
        )
        return opened.listed()

    opened.key("b")  # cell_2; now at cell_3
    assert choose("filter", "bad") == ["cell_2", "cell_3"]  # the current image stays
    opened.key("\ue012")
    assert opened.listed() == ["cell_2"]
    assert choose("filter", "undecided") == ["cell_2", "cell_3", "cell_0"]
    assert choose("filter", "good") == ["cell_2", "cell_1"]
    assert choose("filter", "automatic") == ["cell_2", "cell_1"]
    assert choose("filter", "doubtful") == ["cell_2", "cell_3"]
    assert choose("filter", "polygons") == ["cell_2"]
    assert choose("filter", "all") == ["cell_2", "cell_3", "cell_0", "cell_1"]
    assert choose("sort", "file") == ["cell_0", "cell_1", "cell_2", "cell_3"]
    assert choose("search", "L_3") == ["cell_2", "cell_3"]


def test_keys_in_the_search_field_decide_nothing(opened: Page) -> None:
    opened.driver.find_element("id", "search").send_keys("bug")
    assert opened.run("return review.session.done.length") == 0


def test_masks_and_outlines_are_those_of_the_segmentation(opened: Page, batch: Batch) -> None:
    found = opened.driver.execute_async_script(
        """
        const done = arguments[0], pen = document.createElement("canvas").getContext("2d");
        pen.lineWidth = 0.2;
        review.loader.data(review.index).then((data) => done(data.views.map((view, v) => view.masks.map((text, m) => {
          const pixels = [...decodeMask(text, data.width, data.height)], path = review.image.views[v].outlines[m];
          const edges = { across: [], along: [] };
          for (let y = 0; y <= data.height; y++) for (let x = 0; x <= data.width; x++) {
            if (x < data.width) edges.across.push(pen.isPointInStroke(path, x + 0.5, y));
            if (y < data.height) edges.along.push(pen.isPointInStroke(path, x, y + 0.5));
          }
          return { plane: view.plane, pixels, ...edges };
        }))));
        """
    )
    height, width = SHAPE
    assert found[0][0]["plane"] is None
    for view in found:
        for stack, one in zip((batch.masks[2], batch.others[2]), view, strict=True):
            plane = stack.any(axis=0) if one["plane"] is None else stack[one["plane"]]
            np.testing.assert_array_equal(np.reshape(one["pixels"], SHAPE), plane)
            framed = np.pad(plane, 1)
            across = framed[1:, 1:-1] != framed[:-1, 1:-1]
            along = framed[1:-1, 1:] != framed[1:-1, :-1]
            np.testing.assert_array_equal(np.reshape(one["across"], (height + 1, width)), across)
            # the loop above goes row by row, and a row of edges is one longer than a row of pixels
            np.testing.assert_array_equal(np.reshape(one["along"], (height, width + 1)), along)


def test_decisions_files_are_read_and_written_as_by_python(opened: Page) -> None:
    rows = [
        ["raw", "score", "x"],
        ["a|b,c", "", 'say "so"'],
        ["||", " 1 ", "line\nbreak"],
        ["", "", ""],
        ["μm é", "0.0", "a\r\nb"],
    ]
    stream = io.StringIO(newline="")
    csv.writer(stream, quotechar="|", lineterminator="\n").writerows(rows)
    text = stream.getvalue()
    assert opened.run("return parseCsv(arguments[0])", text) == rows
    assert opened.run("return parseCsv('\\ufeff' + arguments[0])", text.replace("\n", "\r\n"))[0] == rows[0]
    written = opened.run("return formatCsv(arguments[0])", rows)
    assert cells(written) == rows
    assert opened.run("return formatCsv([['']])") == "||\n"
    assert opened.run("return ['1', '1.0', ' 0', '0.0', '', 'x', '2'].map(scoreOf)") == [
        1,
        1,
        0,
        0,
        None,
        None,
        None,
    ]


def test_outlines_are_hidden_while_h_is_down(opened: Page) -> None:
    ink = (
        "const c = review.main.layers.marks, p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < p.length; i += 4) n += p[i] > 0; return n"
    )
    shown = opened.run(ink)
    assert shown > 100
    opened.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'h'}))")
    assert opened.run(ink) == 0
    opened.run("document.dispatchEvent(new KeyboardEvent('keyup', {key: 'h'}))")
    assert opened.run(ink) == shown
    opened.key("o")
    assert opened.run(ink) == 0
