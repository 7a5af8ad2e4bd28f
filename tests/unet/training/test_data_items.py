"""Data sets: folders of curation, manifests, axes of old and new files, and how images are left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastseg.errors import InputError, Problems, ReadError, SourceError, UsageError
from fastseg.unet.training.items import TrainingItem, find_items, load_item
from fastseg.unet.training.split import split_items
from fastseg.unet.training.stacks import image_letters, open_item
from tests.unet.training.made import data_set, item, store, volumes

# folders and manifests ----------------------------------------------------------------------------------------------


def test_a_folder_is_sorted_by_the_text_of_names(tmp_path: Path) -> None:
    image, truth, cost = volumes((2, 4, 5), 0)
    for name in ("img_1000", "img_010", "img_002"):
        item(tmp_path, name, image[0], truth, cost)
    store(tmp_path / "notes.ome.tif", truth)  # neither an image of curation nor a ground truth
    found = find_items(tmp_path)
    assert [one.name for one in found] == ["img_002", "img_010", "img_1000"]
    assert found[0] == TrainingItem(
        "img_002",
        tmp_path / "img_002.ome.tif",
        tmp_path / "img_002_GT.ome.tif",
        tmp_path / "img_002_CM.ome.tif",
    )


def test_missing_partners_are_listed_together(tmp_path: Path) -> None:
    data_set(tmp_path, [(2, 4, 5)] * 3)
    (tmp_path / "img_001.ome.tif").unlink()
    (tmp_path / "img_002_CM.ome.tif").unlink()
    (tmp_path / "img_003_GT.ome.tif").unlink()
    with pytest.raises(Problems) as caught:
        find_items(tmp_path)
    assert caught.value.problems == (
        "img_001_GT.ome.tif has no image: img_001.ome.tif is missing",
        "img_002_GT.ome.tif has no cost map: img_002_CM.ome.tif is missing",
        "img_003.ome.tif has no ground truth: img_003_GT.ome.tif is missing",
    )


@pytest.mark.parametrize("where", ["nowhere", "."])
def test_no_data(tmp_path: Path, where: str) -> None:
    with pytest.raises(SourceError, match="training data") as caught:
        find_items(tmp_path / where)
    assert caught.value.exit_code == 2


def test_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data_set(tmp_path / "data", [(2, 4, 5)] * 2)
    sheet = tmp_path / "train.csv"
    sheet.write_text(
        "\ufeffImage, truth,cost,name,group\n"
        "data/img_001.ome.tif,data/img_001_GT.ome.tif,data/img_001_CM.ome.tif,first,dish 1\n"
        "\n"
        f"{tmp_path}/data/img_002.ome.tif,data/img_002_GT.ome.tif,,,\n",
        encoding="utf-8",
    )
    one, two = find_items(sheet)
    assert (one.name, one.group, one.cost) == ("first", "dish 1", tmp_path / "data/img_001_CM.ome.tif")
    assert (two.name, two.group, two.cost) == ("img_002", "", None)
    assert load_item(two)[2].min() == 1


def test_everything_wrong_with_a_manifest_is_listed(tmp_path: Path) -> None:
    data_set(tmp_path, [(2, 4, 5)])
    sheet = tmp_path / "train.csv"
    sheet.write_text(
        "image,truth\n"
        "img_001.ome.tif,img_001_GT.ome.tif\n"
        "img_001.ome.tif,img_001_GT.ome.tif\n"
        "gone.tif,\n"
        "img_001.ome.tif\n"
    )
    with pytest.raises(Problems) as caught:
        find_items(sheet)
    assert caught.value.problems == (
        "line 4: the cell 'truth' is empty",
        f"line 4: image {tmp_path}/gone.tif does not exist",
        "line 5 has 1 cells; the header has 2",
        "the name 'img_001' is given twice: tell them apart by a column 'name'",
    )


@pytest.mark.parametrize(
    ("header", "problems"),
    [
        ("image,cost", ["column 'truth' is missing"]),
        (
            "image,truth,mask,image",
            [
                "column 'mask' is unknown: use image, truth, cost, name, group",
                "column 'image' is there twice",
            ],
        ),
    ],
)
def test_columns(tmp_path: Path, header: str, problems: list[str]) -> None:
    sheet = tmp_path / "train.csv"
    sheet.write_text(header + "\na,b,c,d\n")
    with pytest.raises(Problems) as caught:
        find_items(sheet)
    assert list(caught.value.problems) == problems


@pytest.mark.parametrize("content", [b"image,truth\n", b"image,truth\n\xff\xfe,a\n", b'image,truth\n"a,b\n'])
def test_manifests_that_cannot_be_used(tmp_path: Path, content: bytes) -> None:
    sheet = tmp_path / "train.csv"
    sheet.write_bytes(content)
    with pytest.raises(SourceError, match=r"train\.csv"):
        find_items(sheet)


# axes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lead", "planes", "letters"),
    [
        ([("Z", 5)], 5, "Z"),
        ([("C", 5)], 5, "Z"),  # old files carry planes as channels
        ([("T", 5)], 5, "Z"),
        ([("C", 5)], 1, "C"),  # of one plane
        ([("Z", 5)], 1, "Z"),  # does not fit, which is for the caller to say
        ([], 1, ""),
        ([("C", 2), ("Z", 5)], 5, "CZ"),
        ([("Z", 5), ("C", 2)], 5, "ZC"),
        ([("C", 5), ("Z", 2)], 2, "CZ"),  # more channels than planes, and labels that fit
        ([("Z", 2), ("C", 5)], 5, "CZ"),  # labels that cannot be true
        ([("Q", 2), ("Q", 5)], 5, "CZ"),
        ([("Q", 5), ("Q", 2)], 5, "ZC"),
        ([("Q", 5), ("Q", 2)], 2, "CZ"),  # without labels the truth decides
        ([("Q", 5), ("Q", 2)], None, "ZC"),  # and without a truth the lengths
        ([("Q", 2), ("Q", 5)], None, "CZ"),
        ([("Q", 5), ("Q", 5)], 5, "CZ"),
        ([("C", 5), ("Z", 2)], None, "CZ"),
        ([("T", 2), ("Z", 5)], 5, None),
        ([("T", 2), ("C", 2), ("Z", 5)], 5, None),
    ],
)
def test_what_axes_are(lead: list[tuple[str, int]], planes: int | None, letters: str | None) -> None:
    assert image_letters(lead, planes) == letters


@pytest.mark.parametrize("axes", ["ZYX", "CYX", "TYX"])
def test_three_axes_are_planes_whatever_their_label(tmp_path: Path, axes: str) -> None:
    image, truth, cost = volumes((4, 6, 5), 3)
    one = item(tmp_path, "a", image[0], truth, cost)
    store(one.image, image[0], axes)
    store(one.truth, truth, axes)
    got = load_item(one)
    for array, expected in zip(got, (image, truth, cost), strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("axes", ["CZYX", "ZCYX"])
@pytest.mark.parametrize("labelled", ["CZYX", "ZCYX"])
def test_channels_in_either_order_under_either_label(tmp_path: Path, axes: str, labelled: str) -> None:
    image, truth, _ = volumes((4, 6, 5), 3, channels=2)
    one = item(tmp_path, "a", image, truth)
    store(one.image, image if axes == "CZYX" else image.swapaxes(0, 1), labelled)
    np.testing.assert_array_equal(load_item(one)[0], image)


def test_take_all_images_have_a_channel_axis_of_length_1(tmp_path: Path) -> None:
    image, truth, cost = volumes((4, 6, 5), 3)
    one = item(tmp_path, "a", image, truth, cost)
    np.testing.assert_array_equal(load_item(one)[0], image)


@pytest.mark.parametrize(
    ("axes", "shape", "message"),
    [
        ("CZYX", (2, 4, 6, 5), "is one map"),
        ("TZYX", (2, 4, 6, 5), "is one map"),
        ("ZYX", (3, 6, 5), r"image 4 x 6 x 5 and ground truth 3 x 6 x 5 differ in size"),
    ],
)
def test_truths_that_do_not_fit(tmp_path: Path, axes: str, shape: tuple[int, ...], message: str) -> None:
    image, truth, _ = volumes((4, 6, 5), 3)
    one = item(tmp_path, "a", image[0], truth)
    store(one.truth, np.zeros(shape, np.uint8), axes)
    with pytest.raises((ReadError, InputError), match=message):
        open_item(one)


def test_images_with_time(tmp_path: Path) -> None:
    image, truth, _ = volumes((4, 6, 5), 3)
    one = item(tmp_path, "a", image[0], truth)
    store(one.image, np.zeros((2, 4, 6, 5), np.float32), "TZYX")
    with pytest.raises(ReadError, match=r"axes TZYX 2 x 4 x 6 x 5: .* one time point"):
        open_item(one)


@pytest.mark.parametrize(
    ("dtype", "result"), [("uint8", "uint8"), ("bool", "uint8"), ("uint16", "int32"), ("float32", "int32")]
)
def test_truths_of_other_types(tmp_path: Path, dtype: str, result: str) -> None:
    image, truth, _ = volumes((4, 6, 5), 3)
    one = item(tmp_path, "a", image[0], truth)
    import tifffile

    tifffile.imwrite(one.truth, truth.astype(dtype), photometric="minisblack")
    got = load_item(one)[1]
    assert got.dtype == result
    np.testing.assert_array_equal(got, truth)


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan])
def test_truths_that_are_no_classes(tmp_path: Path, value: float) -> None:
    image, truth, _ = volumes((4, 6, 5), 3)
    one = item(tmp_path, "a", image[0], truth)
    bad = truth.astype(np.float32)
    bad[1, 2, 3] = value
    store(one.truth, bad)
    with pytest.raises(InputError, match="values that are no classes"):
        load_item(one)


# leaving images out -------------------------------------------------------------------------------------------------


def named(count: int, groups: str = "") -> list[TrainingItem]:
    return [
        TrainingItem(f"img_{i:03d}", Path(f"{i}.tif"), Path(), group=groups[i] if groups else "")
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("leaveout", "validation"),
    [
        (None, []),
        ([], []),
        ([0], [0]),
        ([3], [3]),
        ([1.0], [1]),  # not a share
        ([2, 0], [0, 2]),
        (["img_002"], [2]),
        (["img_003", 1], [1, 3]),
    ],
)
def test_images_left_out(leaveout: list[float | str] | None, validation: list[int]) -> None:
    items = named(4)
    split = split_items(items, leaveout)
    assert list(split.validation) == [items[i] for i in validation]
    assert list(split.training) == [one for i, one in enumerate(items) if i not in validation]


@given(st.integers(2, 60), st.integers(1, 99), st.integers(0, 3))
@example(10, 90, 0)  # (1 - 0.9) * 10 is a little less than 1
def test_a_share_is_left_out(count: int, percent: int, seed: int) -> None:
    items = named(count)
    training = count * (100 - percent) // 100
    if training == 0:
        with pytest.raises(UsageError, match="leaves no image to train with"):
            split_items(items, [percent / 100], seed=seed)
        return
    split = split_items(items, [percent / 100], seed=seed)
    assert len(split.training) == training
    assert sorted(split.training + split.validation, key=items.index) == items
    assert split == split_items(items, [percent / 100], seed=seed)


def test_the_seed_decides_which() -> None:
    found = {split_items(named(12), [0.5], seed=seed).validation for seed in range(8)}
    assert len(found) > 4


@pytest.mark.parametrize("seed", range(6))
def test_groups_stay_together(seed: int) -> None:
    items = named(10, "aaabbbccdd")
    split = split_items(items, [0.3], seed=seed)
    assert len(split.training) <= 7
    assert {i.group for i in split.training}.isdisjoint(i.group for i in split.validation)


@pytest.mark.parametrize(
    ("leaveout", "message"),
    [
        ([4], "4 is no index from 0 to 3"),
        ([-1], "-1 is no index"),
        ([0.5, 1], r"0\.5 is no index"),
        (["img_009"], "'img_009' is no image of this data set"),
        ([1, "img_001"], "'img_001' is given twice"),
        ([0, 1, 2, 3], "leaves no image to train with"),
    ],
)
def test_wrong_lists(leaveout: list[float | str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split_items(named(4), leaveout)


def twice(*groups: str) -> list[TrainingItem]:
    """Four images; the second is there a second time, under another name and another spelling of its path."""
    again = TrainingItem("again", Path("elsewhere/../1.tif"), Path("other.tif"))
    items = [*named(4), again]
    return [replace(one, group=group) for one, group in zip(items, groups or [""] * 5, strict=True)]


@pytest.mark.parametrize("seed", range(8))
def test_items_of_one_image_stay_together(seed: int) -> None:
    split = split_items(twice(), [0.4], seed=seed)
    names = {one.name for one in split.validation}
    assert ("again" in names) == ("img_001" in names)


@pytest.mark.parametrize(("leaveout", "groups"), [(["again"], ()), ([1], ()), ([0], "aabcc"), ([1, 4], ())])
def test_no_image_is_trained_and_validated_with(leaveout: list[float | str], groups: tuple) -> None:
    if leaveout in ([1, 4], [0]):
        split = split_items(twice(*groups), leaveout)
        assert [one.name for one in split.validation] == [twice()[int(i)].name for i in leaveout]
        return
    with pytest.raises(
        UsageError, match=r"1\.tif is in training \(\w+\) and validation \(\w+\): leave out both"
    ):
        split_items(twice(*groups), leaveout)


@pytest.mark.parametrize("seed", range(4))
def test_groups_that_tear_an_image_apart_are_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=r"1\.tif is in training \(\w+\) and validation \(\w+\)"):
        split_items(twice("a", "a", "a", "a", "b"), [0.2], seed=seed)
