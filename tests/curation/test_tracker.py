"""Trackers: the reference's files are read and continued, and what is wrong with a file is told as a whole."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.curation.tracker import Decision, Tracker, read_tracker, write_tracker
from fastseg.errors import Problems, ReadError

# As the reference leaves it in the middle of a session: scores as floats, quotes for a comma only.
SORTING = """\
raw,seg,score,mask
/raw/a.tiff,/seg/a_struct_segmentation.tiff,1.0,/masks/a_mask.tiff
"|/raw/b, second.tiff|",/seg/b_struct_segmentation.tiff,0.0,
/raw/c.tiff,/seg/c_struct_segmentation.tiff,,
""".replace('"', "")
MERGING = """\
raw,seg1,seg2,score,merging_mask,excluding_mask
/raw/a.tiff,/one/a.tiff,/two/a.tiff,1,/m/a_mask.tiff,
/raw/b.tiff,/one/b.tiff,/two/b.tiff,0,,/e/b_mask.tiff
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "tracker.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_session_of_the_reference_is_read(tmp_path: Path) -> None:
    found = read_tracker(written(tmp_path, SORTING))
    assert found.mode == "sort"
    assert [d.score for d in found.decisions] == [True, False, None]
    assert [d.raw for d in found.decisions] == [
        Path("/raw/a.tiff"),
        Path("/raw/b, second.tiff"),
        Path("/raw/c.tiff"),
    ]
    assert [d.excluding_mask for d in found.decisions] == [Path("/masks/a_mask.tiff"), None, None]
    merged = read_tracker(written(tmp_path, MERGING))
    assert merged.mode == "merge"
    first, second = merged.decisions
    assert first.segmentations == (Path("/one/a.tiff"), Path("/two/a.tiff"))
    assert (first.merging_mask, first.excluding_mask) == (Path("/m/a_mask.tiff"), None)
    assert (second.merging_mask, second.excluding_mask) == (None, Path("/e/b_mask.tiff"))


def test_what_is_written_reads_like_the_reference(tmp_path: Path) -> None:
    path = write_tracker(tmp_path / "out.csv", read_tracker(written(tmp_path, SORTING)))
    with open(path, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter=",", quotechar="|"))
    assert list(rows[0]) == ["raw", "seg", "score", "mask"]
    assert [row["score"] for row in rows] == ["1", "0", ""]
    assert rows[1]["raw"] == "/raw/b, second.tiff"


def test_further_columns_survive_and_can_be_set(tmp_path: Path) -> None:
    text = MERGING.replace("mask\n", "mask,note,number\n", 1).replace("tiff,\n", "tiff,,seen twice,4\n", 1)
    text = text.replace("/e/b_mask.tiff\n", "/e/b_mask.tiff,,\n")
    found = read_tracker(written(tmp_path, text))
    assert [dict(d.extra) for d in found.decisions] == [
        {"note": "seen twice", "number": "4"},
        {"note": "", "number": ""},
    ]
    changed = replace(
        found, decisions=(found.decisions[0], found.decisions[1].with_extra(number="7", reason="dark"))
    )
    again = read_tracker(write_tracker(tmp_path / "tracker.csv", changed))
    assert [d.extra["number"] for d in again.decisions] == ["4", "7"]
    assert [d.extra["reason"] for d in again.decisions] == ["", "dark"]
    assert again.decisions[0].extra["note"] == "seen twice"


def test_relative_paths_are_those_beside_the_file_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        (folder / "raw").mkdir(parents=True)
    (project / "raw" / "a.tiff").touch()
    (elsewhere / "raw" / "a.tiff").touch()
    (elsewhere / "raw" / "b.tiff").touch()
    monkeypatch.chdir(elsewhere)
    found = read_tracker(written(project, "raw,seg\nraw/a.tiff,s/a.tiff\nraw/b.tiff,s/b.tiff\n"))
    assert [d.raw for d in found.decisions] == [project / "raw/a.tiff", elsewhere / "raw/b.tiff"]
    assert found.decisions[0].segmentations == (project / "s/a.tiff",)
    # written back as they were spelt, and in another folder so that they still lead to the same files
    assert "raw/b.tiff,s/b.tiff,," in write_tracker(project / "tracker.csv", found).read_text()
    moved = read_tracker(write_tracker(tmp_path / "moved.csv", found))
    assert [d.raw for d in moved.decisions] == [d.raw for d in found.decisions]
    assert "project/raw/a.tiff" in (tmp_path / "moved.csv").read_text()


def test_tables_of_spreadsheets_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + 'raw,seg,note\r\n"/raw/a, b.tif",/seg/a.tif,"good, bright"\r\n')
    (found,) = read_tracker(path).decisions
    assert found.raw == Path("/raw/a, b.tif")
    assert found.extra == {"note": "good, bright"}
    assert found.score is None


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="/"), min_size=1
)
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=("Cs",))).map(
    str.strip
)


@given(
    names=st.lists(NAMES.filter(lambda n: n not in (".", "..")), min_size=1, max_size=4, unique=True),
    note=CELLS,
    score=st.sampled_from([None, True, False]),
)
def test_any_tracker_reads_back(
    names: list[str], note: str, score: bool | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tracker")
    root = Path("/data")
    decisions = tuple(
        Decision(root / name, (root / "seg" / name,), score, None, root / "m" / name, {"note": note})
        for name in names
    )
    expected = Tracker("sort", decisions)
    found = read_tracker(write_tracker(folder / "t.csv", expected))
    assert found.decisions == expected.decisions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("raw,score\n", "column seg is missing"),
        ("raw,seg,seg1,seg2\n", "both of sorting"),
        ("raw,seg1\n", "column seg2 is missing"),
        ("raw,seg,seg\n", "column 'seg' is there twice"),
        ("raw,seg,score\na,b,2\n", "row 1: score '2' is none: 1 is good, 0 is bad, empty is undecided"),
        ("raw,seg,score\na,b\n", "row 1: 2 fields where the header has 3"),
        ("raw,seg\n,b\n", "row 1: raw is empty"),
        ("raw,seg\na,b\na,c\n", "is in row 1 already"),
    ],
)
def test_bad_trackers(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((ReadError, Problems), match="(?s)tracker.csv.*" + message):
        read_tracker(written(tmp_path, text))


def test_all_problems_are_told_at_once_and_missing_files_too(tmp_path: Path) -> None:
    with pytest.raises(Problems) as caught:
        read_tracker(written(tmp_path, "raw,seg,score\na,b,good\nc,,1\n"))
    assert len(caught.value.problems) == 2
    with pytest.raises(ReadError, match="No such file"):
        read_tracker(tmp_path / "none.csv")
