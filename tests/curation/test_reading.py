"""Segmentations and masks as they come: which files are read, and which are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fastseg.curation.masks import Drawn, excluding_mask, merging_mask, read_mask
from fastseg.curation.polygons import Polygon, rasterise
from fastseg.curation.reading import read_segmentation
from fastseg.errors import FastsegError, InputError
from fastseg.io import write_mask
from tests.curation.sets import SHAPE, A, B, blocks, write_plain, write_raw

MASK = blocks(A, B)
LABELS = blocks(A) * 2 + blocks(B) * 900
SQUARE = Polygon("cell", "excluding", (((1.0, 1.0), (6.0, 1.0), (6.0, 6.0), (1.0, 6.0)),), (1, 2))


@pytest.mark.parametrize(
    ("values", "labelled"),
    [
        (MASK * np.uint8(1), False),
        (MASK * np.uint8(255), False),
        (LABELS.astype(np.uint16), True),
        (MASK * np.float32(1), False),
        (LABELS.astype(np.float64), False),
        (MASK * np.int16(1) - np.int16(1) * ~MASK, False),
    ],
    ids=["0/1", "0/255", "labels", "floats", "float labels", "-1/1"],
)
def test_what_counts_as_foreground(values: np.ndarray, labelled: bool, tmp_path: Path) -> None:
    found = read_segmentation(write_plain(tmp_path / "s.tif", values))
    np.testing.assert_array_equal(found.mask, MASK)
    assert found.mask.dtype == bool
    assert found.labelled == labelled


@pytest.mark.parametrize("axes", ["CYX", "ZYX", "CZYX", "ZCYX", "TCZYX"])
def test_axes_of_length_one_and_planes_stored_as_channels(axes: str, tmp_path: Path) -> None:
    # CYX and ZCYX with planes as channels are what the reference writes
    shapes = {"CYX": SHAPE, "ZCYX": (1, *SHAPE), "ZYX": SHAPE, "CZYX": (1, *SHAPE), "TCZYX": (1, 1, *SHAPE)}
    array = (MASK * np.uint8(255)).reshape(shapes[axes])
    found = read_segmentation(write_raw(tmp_path / "s.ome.tif", array, axes))
    np.testing.assert_array_equal(found.mask, MASK)


def test_ome_zarr_as_segment_writes_it(tmp_path: Path) -> None:
    found = read_segmentation(write_mask(tmp_path / "s.zarr", MASK, spacing=(0.3, 0.2, 0.1)))
    np.testing.assert_array_equal(found.mask, MASK)
    assert found.spacing == (0.3, 0.2, 0.1)


def test_probabilities_need_a_threshold(tmp_path: Path) -> None:
    probability = np.where(MASK, 0.8, 0.3).astype(np.float32)
    path = write_plain(tmp_path / "p.tif", probability)
    with pytest.raises(
        InputError, match=r"p.tif holds values such as 0.3, probabilities: say with --threshold"
    ):
        read_segmentation(path)
    np.testing.assert_array_equal(read_segmentation(path, 0.5).mask, MASK)
    assert read_segmentation(path, 0.2).mask.all()
    # it is for probabilities alone
    np.testing.assert_array_equal(
        read_segmentation(write_plain(tmp_path / "m.tif", MASK * np.uint8(1)), 0.99).mask, MASK
    )


@pytest.mark.parametrize(
    ("array", "axes", "message"),
    [
        (np.full(SHAPE, np.nan, np.float32), "ZYX", "NaN or infinite"),
        (np.full(SHAPE, 3.7, np.float32), "ZYX", "such as 3.7, neither a mask nor labels"),
        (np.zeros((2, *SHAPE), np.uint8), "CZYX", "has 2 channels"),
        (np.zeros(SHAPE, np.uint8), "TYX", "4 time points"),
    ],
)
def test_what_is_no_segmentation(array: np.ndarray, axes: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FastsegError, match="s.ome.tif.*" + message):
        read_segmentation(write_raw(tmp_path / "s.ome.tif", array, axes))


def test_masks_of_one_plane_and_of_other_shapes(tmp_path: Path) -> None:
    raw = Path("cell.tif")
    plane = MASK[1] * np.uint8(255)
    flat = tmp_path / "flat.tif"
    tifffile.imwrite(flat, plane, ome=False)
    np.testing.assert_array_equal(read_mask(flat, raw, SHAPE), np.broadcast_to(plane, SHAPE))
    for shape in ((3, 18, 20), (4, 18, 21)):
        path = write_plain(tmp_path / "m.tif", np.zeros(shape, bool))
        with pytest.raises(InputError, match=r"m.tif has \d x 18 x \d\d planes, rows and columns; its image"):
            read_mask(path, raw, SHAPE)
    with pytest.raises(InputError, match="NaN"):
        read_mask(write_plain(tmp_path / "n.tif", np.full(SHAPE, np.nan, np.float32)), raw, SHAPE)


@pytest.mark.parametrize(
    ("mode", "polarity", "expected"),
    [
        ("sort", "positive", MASK),
        ("merge", "positive", MASK),
        ("takeall", "zero", ~MASK),
        ("takeall", "positive", MASK),
        ("sort", "zero", ~MASK),
    ],
)
def test_polarity_is_of_files_and_not_of_polygons(mode: str, polarity: str, expected: np.ndarray) -> None:
    values = MASK * np.uint8(255)
    area = rasterise([SQUARE], SHAPE)
    found = excluding_mask(Drawn(Path("m.tif"), (SQUARE,)), values, SHAPE, polarity, mode)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, expected | area)
    alone = excluding_mask(Drawn(None, (SQUARE,)), None, SHAPE, polarity, mode)  # type: ignore[arg-type]
    np.testing.assert_array_equal(alone, area)
    assert not excluding_mask(Drawn(), None, SHAPE, polarity, mode).any()  # type: ignore[arg-type]


def test_merging_masks() -> None:
    assert merging_mask(Drawn(), None, SHAPE) is None
    found = merging_mask(Drawn(Path("m.tif"), (SQUARE,)), MASK * np.uint8(1), SHAPE)
    np.testing.assert_array_equal(found, MASK | rasterise([SQUARE], SHAPE))
