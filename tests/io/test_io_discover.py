"""Finding images among files, folders and patterns."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastseg.errors import ReadError
from fastseg.io import find_images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [
        "t10.tif",
        "t2.tif",
        "t1.ome.tiff",
        "cells.CZI",
        "notes.txt",
        "view.png",
        ".hidden.tif",
        "._t2.tif",
    ]:
        (tmp_path / name).touch()
    (tmp_path / "t2_struct_segmentation.tiff").touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.tif").touch()
    (tmp_path / "plate.zarr" / "B").mkdir(parents=True)
    (tmp_path / "t3_struct_segmentation.zarr").mkdir()
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [p.name for p in paths]


def test_folder(folder: Path) -> None:
    assert names(find_images([folder])) == ["cells.CZI", "plate.zarr", "t1.ome.tiff", "t2.tif", "t10.tif"]


def test_pattern(folder: Path) -> None:
    assert names(find_images([f"{folder}/t*.tif*"])) == ["t1.ome.tiff", "t2.tif", "t10.tif"]
    assert names(find_images([f"{folder}/*.zarr"])) == ["plate.zarr"]
    assert "d.tif" in names(find_images([f"{folder}/**/*.tif"]))
    assert names(find_images([f"{folder}/*_struct_segmentation*"])) == [
        "t2_struct_segmentation.tiff",
        "t3_struct_segmentation.zarr",
    ]


def test_files_are_taken_as_they_are_and_once(folder: Path) -> None:
    listed = [folder / "t10.tif", folder / "t2_struct_segmentation.tiff", folder / "deep" / ".." / "t10.tif"]
    assert names(find_images(listed)) == ["t10.tif", "t2_struct_segmentation.tiff"]
    assert names(find_images([folder / "t10.tif", folder]))[:2] == ["t10.tif", "cells.CZI"]
    assert len(find_images([folder / "t10.tif", folder])) == 5
    assert names(find_images([folder / "plate.zarr"])) == ["plate.zarr"]


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].tif").touch()
    assert names(find_images([tmp_path / "a[1].tif"])) == ["a[1].tif"]


def test_zarr_without_suffix_is_an_image(tmp_path: Path) -> None:
    (tmp_path / "field").mkdir()
    (tmp_path / "field" / "zarr.json").touch()
    assert find_images([tmp_path / "field"]) == [tmp_path / "field"]


def test_nothing_found(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(ReadError, match="empty is a folder without images"):
        find_images([folder / "empty"])
    with pytest.raises(ReadError, match=r"\*\.lif matches no image"):
        find_images([f"{folder}/*.lif"])
    with pytest.raises(ReadError, match=r"\*\.txt matches no image"):
        find_images([f"{folder}/*.txt"])
    with pytest.raises(ReadError, match=r"none\.tif does not exist"):
        find_images([folder / "t2.tif", folder / "none.tif"])
    with pytest.raises(ReadError, match="no input was given"):
        find_images([])
