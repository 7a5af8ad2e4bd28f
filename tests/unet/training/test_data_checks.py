"""What is wrong with data is said before training, all of it, and what is only odd is a warning."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg.errors import Problems
from fastseg.unet.training.checks import check_items
from fastseg.unet.training.items import TrainingItem
from tests.unet.training.made import data_set, item, store, volumes

SHAPE = (4, 8, 9)
SIZES: dict[str, Any] = {"channels": 1, "classes": (2, 3), "size_in": (6, 12, 12), "size_out": (4, 8, 8)}


@pytest.fixture
def items(tmp_path: Path) -> list[TrainingItem]:
    return data_set(tmp_path, [SHAPE] * 3)


def errors(items: list[TrainingItem], **changes: Any) -> list[str]:
    with pytest.raises(Problems) as caught:
        check_items(items, **{**SIZES, **changes})
    return list(caught.value.problems)


def test_good_data(items: list[TrainingItem], monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_items(items, **SIZES) == ()
    monkeypatch.setattr("fastseg.unet.training.stacks._SLAB", 1)  # a plane at a time
    assert check_items(items, **SIZES) == ()


def test_every_problem_of_every_image_is_listed(tmp_path: Path, items: list[TrainingItem]) -> None:
    image, truth, cost = volumes(SHAPE, 1)
    image[0, 3, 2, 1], truth[2, 7, 0], cost[3, 1, 1] = np.nan, 2, -0.5
    items[0] = item(tmp_path, "img_001", image[0], truth, cost)
    store(items[1].cost or Path(), np.zeros(SHAPE, np.float32))
    items[2].image.write_bytes(items[2].image.read_bytes()[:-300])
    small = item(
        tmp_path, "img_004", *(a[..., :3, :7, :] for a in (image[0] * 0, truth * 0, cost * 0 + np.inf))
    )
    found = errors([*items, small])
    for one, part in zip(
        found,
        [
            "img_001: .*img_001.ome.tif holds voxels that are not finite",
            "img_001: .*img_001_GT.ome.tif holds class 2; the network has classes 0 to 1$",
            r"img_001: .*img_001_CM.ome.tif holds costs down to -0\.5: they have to be 0 or above",
            "img_002: .*img_002_CM.ome.tif is 0 everywhere: no voxel of this image counts",
            "img_003: .*img_003.ome.tif is .*truncated",
            r"img_004: the image is smaller than the output of a patch \(3 along z instead of 4, 7 along y",
            "img_004: .*costs that are not finite",
        ],
        strict=True,
    ):
        assert re.match(part, one), one


def test_masks_of_255(items: list[TrainingItem]) -> None:
    store(items[0].truth, np.full(SHAPE, 255, np.uint8))
    (found,) = errors(items)
    assert found.endswith("masks of 0 and 255 have to become 0 and 1")


def test_channels(items: list[TrainingItem]) -> None:
    found = errors(items, channels=2)
    assert [e.rsplit("/", 1)[-1] for e in found] == [
        f"img_00{i}.ome.tif has 1 channel; the network takes 2" for i in (1, 2, 3)
    ]


def test_warnings(tmp_path: Path, items: list[TrainingItem]) -> None:
    image, _, cost = volumes(SHAPE, 1)
    store(items[0].image, image[0] * 4095)
    store(items[1].truth, (cost == 0).astype(np.uint8))  # foreground, all of it excluded
    store(items[2].image, np.full(SHAPE, 0.25, np.float32))
    outside, empty, constant = check_items(items, **SIZES)
    assert "img_001.ome.tif has values from" in outside
    assert outside.endswith("normalised images lie in [0, 1]")
    assert empty.endswith("img_002_GT.ome.tif has no voxel of a class above 0 that counts")
    assert constant.endswith("img_003.ome.tif is constant (0.25)")
    (found,) = errors(items, quantise=True)  # values outside would wrap
    assert "img_001.ome.tif has values from" in found


def test_nothing_to_learn(items: list[TrainingItem]) -> None:
    for one in items:
        store(one.truth, np.zeros(SHAPE, np.uint8))
    (found,) = errors(items)
    assert (
        found
        == "no image to train with has a voxel of a class above 0 that counts: there is nothing to learn"
    )
    assert errors([]) == ["there are no images"]


def test_what_only_held_back_images_show_cannot_be_learnt(items: list[TrainingItem]) -> None:
    for one in items[:2]:
        store(one.truth, np.zeros(SHAPE, np.uint8))
    assert len(check_items(items, **SIZES)) == 2  # of the empty ones
    (found,) = errors(items, trained=2)
    assert "there is nothing to learn" in found


@pytest.mark.parametrize(("trained", "missing"), [(1, "classes 2, 3"), (2, "class 3"), (3, None)])
def test_a_class_without_a_voxel_is_a_warning(
    items: list[TrainingItem], trained: int, missing: str | None
) -> None:
    for class_, one in enumerate(items, start=1):
        truth = np.ones(SHAPE, np.uint8)
        truth[1, 7, 3] = class_
        truth[1, 0, 3] = 3  # where the cost is 0
        store(one.truth, truth)
    found = check_items(items, **{**SIZES, "classes": (4,)}, trained=trained)
    assert [text.partition(" that counts")[0] for text in found] == (
        [f"no image to train with has a voxel of {missing}"] if missing else []
    )
