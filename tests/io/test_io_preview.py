"""The preview picture: layout, contrast, outline, scale bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastseg.errors import InputError, WriteError
from fastseg.io.drawing import round_length
from fastseg.io.preview import write_preview

YELLOW = (255, 214, 10)


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def yellow(pixels: np.ndarray) -> np.ndarray:
    return (pixels == YELLOW).all(axis=-1)


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A bright box in planes 1 to 3 of 8, so that it is in the projection but not in the middle plane."""
    image = np.random.default_rng(0).normal(100, 2, (8, 64, 96)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[1:4, 16:40, 24:72] = True
    image[mask] += 500
    return image, mask


def test_layout_and_outline(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    image, mask = scene
    pixels = picture(write_preview(tmp_path / "p.png", image, mask))
    drawn = yellow(pixels)
    height, width = drawn.shape
    assert not drawn[:, : width // 2].any()  # the raw column
    assert not drawn[height // 2 :].any()  # the middle plane has no mask
    rows, columns = np.nonzero(drawn)
    box = (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1)
    assert box == (24 * 6, 48 * 6)  # magnified six times, 96 to 576 pixels
    assert drawn.sum() == 2 * (box[0] + box[1]) - 4  # an outline one pixel wide, not an area


def test_middle_plane(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    image, mask = scene
    moved = np.zeros_like(mask)
    moved[4, 16:40, 24:72] = True
    pixels = picture(write_preview(tmp_path / "p.png", image, moved))
    half = len(pixels) // 2
    assert yellow(pixels)[:half].sum() == yellow(pixels)[half:].sum() > 0


def test_labels_are_outlined_one_by_one(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    image, mask = scene
    labels = mask.astype(np.int32)
    labels[:, :, 48:] *= 2
    one = yellow(picture(write_preview(tmp_path / "one.png", image, mask))).sum()
    two = yellow(picture(write_preview(tmp_path / "two.png", image, labels))).sum()
    assert two - one == 2 * (24 * 6 - 2)


def test_empty_mask_is_said(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    image, mask = scene
    badge = (120, 24, 24)
    empty = picture(write_preview(tmp_path / "empty.png", image, np.zeros_like(mask)))
    assert (empty == badge).all(axis=-1).sum() > 200
    assert not yellow(empty).any()
    full = picture(write_preview(tmp_path / "full.png", image, mask))
    assert not (full == badge).all(axis=-1).any()


def test_scale_bar_has_its_length(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    image, mask = scene
    image = np.zeros_like(image)
    without = picture(write_preview(tmp_path / "without.png", image, ~mask & mask))
    with_bar = picture(write_preview(tmp_path / "with.png", image, ~mask & mask, spacing=(1, 0.5, 0.5)))
    assert with_bar.shape == without.shape
    new = (with_bar == 255).all(axis=-1) & ~(without == 255).all(axis=-1)
    bars = [int(row.sum()) for row in new[:, : new.shape[1] // 2]]
    # 96 voxels of 0.5 um: a quarter is 12 um, so the bar is 10 um = 20 voxels = 120 pixels.
    assert max(bars) == 121


def test_contrast_ignores_outliers(tmp_path: Path) -> None:
    image = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (4, 64, 1))
    image[2, 5, 5] = 1e6
    image[2, 6, 6] = np.nan
    pixels = picture(write_preview(tmp_path / "p.png", image, image > 2))
    line = pixels[len(pixels) * 3 // 4, 12 : 12 + 576, 0]
    assert line[0] <= 5
    assert line[-1] >= 250
    assert (np.diff(line) >= 0).all()


@pytest.mark.parametrize(
    ("shape", "longest"),
    [((3, 1, 1), 560), ((3, 100, 40), 600), ((2, 900, 300), 900), ((2, 200, 4000), 1600)],
)
def test_panels_have_a_readable_size(tmp_path: Path, shape: tuple, longest: int) -> None:
    pixels = picture(write_preview(tmp_path / "p.png", np.ones(shape, np.uint8), np.ones(shape, bool)))
    height, width = pixels.shape[:2]
    panel = (width - 36) // 2
    if shape[2] >= shape[1]:
        assert panel == longest
    else:
        assert panel == round(longest * shape[2] / shape[1])
        assert height >= 2 * longest


def test_thin_objects_survive_shrinking(tmp_path: Path) -> None:
    mask = np.zeros((2, 300, 5000), bool)
    mask[1, 150, ::10] = True
    pixels = picture(write_preview(tmp_path / "p.png", mask.astype(np.uint8), mask))
    assert yellow(pixels).any()


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">u2", np.int16, np.float64])
def test_every_dtype(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path, dtype: Any) -> None:
    image, mask = scene
    assert yellow(picture(write_preview(tmp_path / "p.png", (image > 300).astype(dtype), mask))).any()


def test_title_and_inputs_untouched(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    image, mask = scene
    before = image.copy(), mask.copy()
    plain = picture(write_preview(tmp_path / "a.png", image, mask))
    titled = picture(write_preview(tmp_path / "b.png", image, mask, title="a very long name " * 40))
    assert titled.shape[0] > plain.shape[0]
    assert titled.shape[1] == plain.shape[1]
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(mask, before[1])


def test_refusals(scene: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    image, mask = scene
    with pytest.raises(InputError, match=r"same .*shape"):
        write_preview(tmp_path / "p.png", image, mask[:3])
    with pytest.raises(InputError, match=r"same .*shape"):
        write_preview(tmp_path / "p.png", image[0], mask[0])
    assert list(tmp_path.iterdir()) == []
    path = write_preview(tmp_path / "p.png", image, mask)
    with pytest.raises(WriteError, match="exists already: give --overwrite"):
        write_preview(path, image, mask)
    write_preview(path, image, mask, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("longest", "expected"),
    [(12, 10), (10, 10), (9.99, 5), (0.3, 0.2), (0.1, 0.1), (1999, 1000), (0.0051, 0.005), (5, 5)],
)
def test_round_lengths(longest: float, expected: float) -> None:
    assert round_length(longest) == pytest.approx(expected)
