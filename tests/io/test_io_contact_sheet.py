"""Contact sheets: a panel for each result, in order, with its outline, within the size limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastseg.errors import InputError, WriteError
from fastseg.io.contact_sheet import LARGEST, Panel, write_contact_sheet
from fastseg.io.drawing import BACKGROUND, OUTLINE


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def panels_of(masks: list[np.ndarray], lines: int = 1) -> list[Panel]:
    headings = [tuple(f"m.value{j} = {i}" for j in range(lines)) for i in range(len(masks))]
    return [
        Panel(mask, heading, (f"{np.count_nonzero(mask)} voxels", "3 objects"))
        for mask, heading in zip(masks, headings, strict=True)
    ]


def grid_of(pixels: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Boxes (top, left, height, width) of the panels of a plane without contrast, which are black, in reading order.

    Nothing else on a sheet is black.
    """
    from scipy import ndimage as ndi

    inside = (pixels.max(axis=-1) == 0) | (pixels == OUTLINE).all(axis=-1)
    found = ndi.find_objects(ndi.label(inside)[0])
    return [(b[0].start, b[1].start, b[0].stop - b[0].start, b[1].stop - b[1].start) for b in found]


def test_panels_are_in_rows_and_outlined_in_place(tmp_path: Path) -> None:
    plane = np.zeros((50, 80), np.uint16)  # no contrast: every panel is black
    masks = []
    for i in range(6):
        mask = np.zeros(plane.shape, bool)
        if i != 4:
            mask[10:20, 8 * i : 8 * i + 8] = True
        masks.append(mask)
    pixels = picture(write_contact_sheet(tmp_path / "s.png", plane, panels_of(masks), columns=3))
    boxes = grid_of(pixels)
    assert len(boxes) == 6
    assert {b[2:] for b in boxes} == {(250, 400)}
    tops, lefts = sorted({b[0] for b in boxes}), sorted({b[1] for b in boxes})
    assert (len(tops), len(lefts)) == (2, 3)
    drawn = (pixels == OUTLINE).all(axis=-1)
    for i, mask in enumerate(masks):
        top, left = tops[i // 3], lefts[i % 3]
        rows, columns = np.nonzero(drawn[top : top + 250, left : left + 400])
        if not mask.any():
            assert rows.size == 0
            continue
        assert (rows.min(), rows.max() + 1) == (50, 100)
        assert (columns.min(), columns.max() + 1) == (40 * i, 40 * i + 40)
        drawn[top : top + 250, left : left + 400] = False
    assert not drawn.any()


def test_the_raw_plane_lies_under_every_outline(tmp_path: Path) -> None:
    plane = np.random.default_rng(0).normal(100, 5, (40, 60))
    masks = [np.zeros(plane.shape, bool)] * 4
    pixels = picture(write_contact_sheet(tmp_path / "s.png", plane, panels_of(masks), columns=2))
    assert not (pixels == OUTLINE).all(axis=-1).any()
    share = (pixels == BACKGROUND).all(axis=-1).mean()
    assert 0.02 < share < 0.4
    bright = (pixels > 250).all(axis=-1)
    half, middle = bright.shape[0] // 2, bright.shape[1] // 2
    corners = [
        bright[rows, columns].sum()
        for rows in (slice(half), slice(half, None))
        for columns in (slice(middle), slice(middle, None))
    ]
    assert min(corners) > 100
    assert max(corners) < 1.2 * min(corners)


@pytest.mark.parametrize(
    ("count", "columns", "shape", "least"),
    [
        (1, None, (5, 5), 400),
        (7, None, (64, 64), 400),
        (150, None, (60, 90), 300),
        (1000, 500, (40, 40), 100),
        (60, 60, (2000, 100), 400),
    ],
)
def test_sheets_stay_within_the_limit(
    tmp_path: Path, count: int, columns: int | None, shape: tuple[int, int], least: int
) -> None:
    plane = np.zeros(shape)
    path = write_contact_sheet(tmp_path / "s.png", plane, panels_of([plane] * count, 2), columns=columns)
    pixels = picture(path)
    assert max(pixels.shape) <= LARGEST
    boxes = grid_of(pixels)
    assert len(boxes) == count
    assert len({b[2:] for b in boxes}) == 1
    height, width = boxes[0][2:]
    assert least <= max(height, width) <= 640
    assert height / width == pytest.approx(shape[0] / shape[1], rel=0.05)


def test_wanted_columns_are_kept_unless_panels_become_tiny(tmp_path: Path) -> None:
    plane = np.zeros((40, 40))
    for columns, expected in ((20, 20), (100, None)):
        pixels = picture(
            write_contact_sheet(
                tmp_path / "s.png", plane, panels_of([plane] * 100), columns=columns, overwrite=True
            )
        )
        found = len({b[1] for b in grid_of(pixels)})
        assert found == expected if expected else found < 20


def test_captions_are_drawn_and_differ(tmp_path: Path) -> None:
    plane = np.zeros((50, 80))
    pixels = picture(write_contact_sheet(tmp_path / "s.png", plane, panels_of([plane] * 2), columns=2))
    (top, left, _, width), (_, other, _, _) = grid_of(pixels)
    first, second = (pixels[:top, x : x + width] for x in (left, other))
    assert (first > 150).any()
    assert (first != second).any()  # = 0 and = 1


def test_a_mask_may_be_on_another_grid(tmp_path: Path) -> None:
    plane, mask = np.zeros((50, 80)), np.zeros((25, 40), bool)
    mask[10:20, 8:16] = True
    pixels = picture(write_contact_sheet(tmp_path / "s.png", plane, panels_of([mask])))
    ((top, left, height, width),) = grid_of(pixels)
    rows, columns = np.nonzero((pixels == OUTLINE).all(axis=-1)[top : top + height, left : left + width])
    assert (rows.min(), rows.max() + 1) == (height * 10 // 25, height * 20 // 25)
    assert (columns.min(), columns.max() + 1) == (width * 8 // 40, width * 16 // 40)


def test_refusals(tmp_path: Path) -> None:
    plane = np.zeros((8, 8))
    with pytest.raises(InputError, match="at least one"):
        write_contact_sheet(tmp_path / "s.png", plane, [])
    with pytest.raises(InputError, match=r"\(Y, X\) plane"):
        write_contact_sheet(tmp_path / "s.png", np.zeros((2, 8, 8)), panels_of([plane]))
    assert list(tmp_path.iterdir()) == []
    write_contact_sheet(tmp_path / "s.png", plane, panels_of([plane]))
    with pytest.raises(WriteError, match="--overwrite"):
        write_contact_sheet(tmp_path / "s.png", plane, panels_of([plane]))
