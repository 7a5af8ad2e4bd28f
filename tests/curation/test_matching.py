"""Segmentations and masks are found by name; what is missing or ambiguous is told before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastseg.curation.matching import Pair, find_mask, find_pairs, find_raws, match_all, stems_of
from fastseg.errors import FastsegError, Problems, UsageError


def touched(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        if name.endswith(".zarr"):
            (folder / name).mkdir()
        else:
            (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("raw", "segmentation", "data_type"),
    [
        ("a.tiff", "a_struct_segmentation.tiff", None),
        ("a.ome.tif", "a_struct_segmentation.tiff", None),
        ("a.ome.tif", "a.ome_struct_segmentation.tiff", None),
        ("a.ome.tif", "a.ome_struct_segmentation.tiff", ".tif"),
        ("a.ome.tif", "a_struct_segmentation.tiff", "ome.tif"),
        ("a_raw.tif", "a_struct_segmentation.tiff", "_raw.tif"),
        ("a.czi", "a_struct_segmentation.ome.zarr", "czi"),
        ("a.tif", "a_struct_segmentation.zarr", None),
        ("a.tif", "a_struct_segmentation.ome.tif", None),
    ],
)
def test_names_that_belong_together(
    raw: str, segmentation: str, data_type: str | None, tmp_path: Path
) -> None:
    raws = touched(tmp_path / "raw", raw, "notes.txt")
    segs = touched(tmp_path / "seg", segmentation, "ab_struct_segmentation.tiff")
    if data_type == "_raw.tif":
        data_type = None
        (segs / segmentation).rename(segs / "a_raw_struct_segmentation.tiff")
        segmentation = "a_raw_struct_segmentation.tiff"
    assert find_pairs(raws, [segs], data_type) == [Pair(raws / raw, (segs / segmentation,))]


def test_beside_the_raw_images_and_with_two_folders(tmp_path: Path) -> None:
    raws = touched(tmp_path / "raw", "b.tif", "a10.tif", "a2.tif")
    for name in ("b", "a10", "a2"):
        touched(raws, f"{name}_struct_segmentation.tiff")
        touched(tmp_path / "gt", f"{name}_gt.tif")
    pairs = find_pairs(raws, [raws])
    assert [p.raw.name for p in pairs] == [
        "a10.tif",
        "a2.tif",
        "b.tif",
    ]  # sorted by text, as in the reference
    assert [p.segmentations[0].name for p in find_pairs(raws, [tmp_path / "gt"], mark="_gt")] == [
        "a10_gt.tif",
        "a2_gt.tif",
        "b_gt.tif",
    ]
    with pytest.raises(Problems) as caught:
        find_pairs(raws, [raws, tmp_path / "gt"])
    assert len(caught.value.problems) == 3


def test_everything_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    raws = touched(tmp_path / "raw", "a.tif", "b.tif", "c.tif")
    segs = touched(tmp_path / "seg", "b_struct_segmentation.tiff")
    with pytest.raises(Problems, match="--skip-missing") as caught:
        find_pairs(raws, [segs])
    assert [p.split()[0] for p in caught.value.problems] == [str(raws / "a.tif"), str(raws / "c.tif")]
    assert "a_struct_segmentation.tiff is expected" in caught.value.problems[0]
    assert [p.raw.name for p in find_pairs(raws, [segs], skip_missing=True)] == ["b.tif"]
    assert len(match_all(raws, [segs]).missing) == 2
    with pytest.raises(UsageError, match=r"no image in .* has a segmentation"):
        find_pairs(touched(tmp_path / "other", "z.tif"), [segs], skip_missing=True)


@pytest.mark.parametrize(
    ("raws", "segs", "message"),
    [
        (
            ["a.tif"],
            ["a_struct_segmentation.tiff", "a_struct_segmentation.ome.tif"],
            r"a.tif has several segmentations in .*: a_struct_segmentation.ome.tif, a_struct_segmentation.tiff",
        ),
        (["a.ome.tif"], ["a_struct_segmentation.tiff", "a.ome_struct_segmentation.tiff"], "several"),
        (["a.tif", "a.czi"], ["a_struct_segmentation.tiff"], "would be the segmentation of both"),
    ],
)
def test_ambiguous_names(raws: list[str], segs: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(Problems, match=message):
        find_pairs(touched(tmp_path / "raw", *raws), [touched(tmp_path / "seg", *segs)])


def test_one_image_and_its_segmentation(tmp_path: Path) -> None:
    touched(tmp_path, "cells.tif", "truth.tif")
    raw, truth = tmp_path / "cells.tif", tmp_path / "truth.tif"
    assert find_pairs(raw, [truth]) == [Pair(raw, (truth,))]
    with pytest.raises(Problems, match="several raw images: give a folder"):
        find_pairs(tmp_path, [truth])


def test_what_is_not_there(tmp_path: Path) -> None:
    touched(tmp_path, "a.tif")
    for raw, seg, data_type, message in (
        ("none", ".", None, "none does not exist: give the folder of the raw images"),
        (".", "none", None, "none does not exist: give the folder of the segmentations"),
        (".", ".", "czi", "no file whose name ends in .czi"),
    ):
        with pytest.raises(FastsegError, match=message):
            find_pairs(tmp_path / raw, [tmp_path / seg], data_type)
    assert find_raws(tmp_path, "tif") == [tmp_path / "a.tif"]


def test_scenes_are_part_of_the_name(tmp_path: Path) -> None:
    raws = touched(tmp_path / "raw", "p.czi")
    segs = touched(tmp_path / "seg", "p_P2_struct_segmentation.tiff")
    assert stems_of(raws / "p.czi", None, "P2") == ["p_P2", "p"]
    assert find_pairs(raws, [segs], scene="P2")[0].segmentations == (segs / "p_P2_struct_segmentation.tiff",)


@pytest.mark.parametrize("name", ["cell_mask.tiff", "cell.om_mask.tiff", "cell.ome_mask.tif"])
def test_masks_by_name(name: str, tmp_path: Path) -> None:
    raw = tmp_path / "cell.ome.tif"  # without its last five characters, as the reference cuts it: cell.om
    raw.touch()
    assert find_mask(tmp_path, raw, "excluding") is None
    masks = touched(tmp_path / "masks", name)
    assert find_mask(masks, raw, "excluding") == masks / name
    touched(masks, "cell_excluding_mask.tiff", "cell_merging_mask.tiff")
    assert find_mask(masks, raw, "excluding") == masks / "cell_excluding_mask.tiff"
    assert find_mask(masks, raw, "merging") == masks / "cell_merging_mask.tiff"
    touched(masks, "cell_merging_mask.tif")
    with pytest.raises(Problems, match="several masks"):
        find_mask(masks, raw, "merging")
