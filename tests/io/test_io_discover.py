"""Finding images among files, folders and patterns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tifffile import imwrite

from fastseg.errors import ReadError
from fastseg.io import find_images, output_path, write_image, write_labels, write_mask
from fastseg.io.naming import step_path


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


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A folder into which earlier runs wrote beside its images."""
    tmp_path = tmp_path / "used"
    tmp_path.mkdir()
    stack = np.zeros((2, 4, 5), np.float32)
    for name in ("cell", "cell_2", "gfp_im_norm"):
        imwrite(tmp_path / f"{name}.tiff", stack, ome=True, metadata={"axes": "ZYX", "Name": name})
    for stem, step in (
        ("cell", "im_norm"),
        ("cell", "step_im"),
        ("cell_2", "bw_final"),
        ("cell_im_norm", "im"),
    ):
        write_image(step_path(tmp_path, stem, step), stack, name=step)
    write_labels(step_path(tmp_path, "cell", "seed"), stack.astype(np.uint8))
    write_mask(step_path(tmp_path, "cell", "sweep_1"), stack)
    write_mask(output_path(tmp_path, "cell"), stack)
    return tmp_path


def test_results_beside_their_images_are_left_out(used: Path) -> None:
    assert names(find_images([used])) == ["cell.tiff", "cell_2.tiff", "gfp_im_norm.tiff"]
    assert names(find_images([f"{used}/*.tiff"])) == ["cell.tiff", "cell_2.tiff", "gfp_im_norm.tiff"]
    assert names(find_images([f"{used}/../*/*"])) == ["cell.tiff", "cell_2.tiff", "gfp_im_norm.tiff"]


def test_results_without_their_images_are_images(used: Path) -> None:
    assert names(find_images([f"{used}/*_im_norm.tiff"])) == ["cell_im_norm.tiff", "gfp_im_norm.tiff"]
    assert names(find_images([used / "cell_seed.tiff", used / "cell.tiff"])) == [
        "cell_seed.tiff",
        "cell.tiff",
    ]
    folder = used / "steps"
    folder.mkdir()
    (used / "cell_im_norm.tiff").rename(folder / "cell_im_norm.tiff")
    write_image(step_path(folder, "cell", "im"), np.zeros((1, 2, 3), np.float32), name="im")
    write_image(step_path(folder, "cell", "im_smooth"), np.zeros((1, 2, 3), np.float32), name="im_smooth")
    # cell_im_smooth was made from cell, which is not here, and not from cell_im, which is
    assert names(find_images([folder])) == ["cell_im.tiff", "cell_im_norm.tiff", "cell_im_smooth.tiff"]


def test_a_file_that_cannot_be_read_is_an_image(tmp_path: Path) -> None:
    """What is wrong with it is said when it is read."""
    (tmp_path / "cell.tif").touch()
    (tmp_path / "cell_im_norm.tiff").write_bytes(b"II*\0 torn")
    imwrite(tmp_path / "cell_plain.tiff", np.zeros((4, 5), np.uint8))
    assert names(find_images([tmp_path])) == ["cell.tif", "cell_im_norm.tiff", "cell_plain.tiff"]
