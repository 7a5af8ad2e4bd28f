"""Rules: read as they are meant, refused as a whole, and choosing what numpy would choose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage as ndi

from fastseg.curation.labelling import Scene, excluded, merged
from fastseg.curation.objects import find_objects
from fastseg.curation.points import read_points
from fastseg.curation.reading import Segmentation
from fastseg.curation.rules import (
    Condition,
    ObjectRule,
    VoxelRule,
    parse_excluding,
    parse_taking,
)
from fastseg.errors import InputError, Problems
from tests.curation.sets import SHAPE, SPACING, A, B, C, blocks, raw_stack
from tests.support import frozen

RAW = frozen(raw_stack(3))
IMAGE = frozen((RAW / 4000).astype(np.float32))
FIRST = frozen(blocks(A, C))
SECOND = frozen(blocks((slice(0, 2), slice(2, 6), slice(5, 9)), B, (slice(3, 4), slice(16, 17), slice(0, 2))))


def segmentation(mask: np.ndarray) -> Segmentation:
    return Segmentation(mask, mask, False)


def scene(raw: np.ndarray = RAW) -> Scene:
    return Scene("cell.tif", raw, IMAGE, segmentation(FIRST), segmentation(SECOND), SPACING)


def test_rules_are_read_as_they_are_meant() -> None:
    assert parse_taking("size>=200 and overlap < 0.1; replace: points:p.csv") == (
        ObjectRule((Condition("size", ">=", 200.0), Condition("overlap", "<", 0.1))),
        ObjectRule((), "p.csv", (), True),
    )
    assert parse_excluding(
        "saturated;raw>=4095 ; focus<.3; planes:0-3; planes: 2; disagreement; size<50"
    ) == (
        VoxelRule("saturated"),
        VoxelRule("raw", Condition("raw", ">=", 4095.0)),
        VoxelRule("focus", Condition("focus", "<", 0.3)),
        VoxelRule("planes", planes=(0, 3)),
        VoxelRule("planes", planes=(2, 2)),
        VoxelRule("disagreement"),
        ObjectRule((Condition("size", "<", 50.0),)),
    )
    assert parse_taking("") == parse_excluding("none") == ()


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("sise>3", ["did you mean size?"]),
        ("size", ["'size' compares nothing: write size and one of"]),
        ("size>=big", ["'big' is no number"]),
        ("size>nan", ["'nan' is no number"]),
        ("size=3", ["'size=3' compares nothing"]),
        ("points:", ["points: names no file"]),
        ("points:a and points:b", ["points: is there twice"]),
        ("saturated", ["'saturated' is unknown: known are size"]),
        ("size>1;", ["'' is unknown"]),
        ("blurry>1; sise>3 and size>x", ["'blurry>1' is unknown", "did you mean size?", "'x' is no number"]),
    ],
)
def test_bad_taking_rules(text: str, messages: list[str]) -> None:
    with pytest.raises(Problems) as caught:
        parse_taking(text)
    assert len(caught.value.problems) == len(messages)
    for found, message in zip(caught.value.problems, messages, strict=True):
        assert message in found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("planes:3-1", "names no planes"),
        ("planes:a", "names no planes"),
        ("overlap<0.1", "'overlap<0.1' is unknown"),
        ("saturate", "did you mean saturated?"),
        ("raw>=", "compares nothing: write raw and one of"),
        ("focus<", "compares nothing"),
    ],
)
def test_bad_excluding_rules(text: str, message: str) -> None:
    with pytest.raises(Problems, match=message):
        parse_excluding(text)


def objects_by_hand(condition: str) -> np.ndarray:
    """The voxels of the second segmentation's objects that fulfil a condition, one object after another."""
    labels, count = ndi.label(SECOND)
    found = np.zeros(SHAPE, bool)
    for number in range(1, count + 1):
        here = labels == number
        values = {
            "size": here.sum(),
            "volume_um3": here.sum() * np.prod(SPACING),
            "mean_intensity": IMAGE[here].astype(float).mean(),
            "max_intensity": IMAGE[here].max(),
            "mean_raw": RAW[here].astype(float).mean(),
            "max_raw": RAW[here].max(),
            "overlap": FIRST[here].mean(),
        }
        if eval(condition, {}, values):
            found |= here
    return found


@pytest.mark.parametrize(
    "condition",
    [
        "size>=32",
        "size>32",
        "volume_um3<0.2",
        "mean_intensity>0.5",
        "max_intensity<=0.9",
        "mean_raw>2000 and size<60",
        "max_raw>=3990",
        "overlap<0.1",
        "overlap>0",
    ],
)
def test_objects_are_taken_by_what_they_measure(condition: str) -> None:
    chosen = objects_by_hand(condition)
    np.testing.assert_array_equal(merged(scene(), None, parse_taking(condition)), FIRST | chosen)


def test_conditions_tell_objects_apart() -> None:
    # otherwise the test above would pass for rules that take everything or nothing
    sizes = {c: int(objects_by_hand(c).sum()) for c in ("size>=32", "size>32", "overlap<0.1", "overlap>0")}
    assert sizes == {"size>=32": 107, "size>32": 75, "overlap<0.1": 77, "overlap>0": 32}


def test_replacing_removes_what_is_touched() -> None:
    touching = blocks((slice(0, 2), slice(2, 6), slice(5, 9)))
    found = merged(scene(), None, parse_taking("replace: overlap>0"))
    np.testing.assert_array_equal(found, touching | blocks(C))  # all of A is gone


def test_drawn_areas_and_objects_together() -> None:
    patch = np.zeros(SHAPE, bool)
    patch[:, 9:] = True
    expected = (FIRST & ~patch) | (SECOND & patch)
    np.testing.assert_array_equal(merged(scene(), patch, ()), expected)
    taken = merged(scene(), patch, parse_taking("overlap>0"))
    np.testing.assert_array_equal(taken, expected | objects_by_hand("overlap>0"))


def test_points_name_objects() -> None:
    (rule,) = parse_taking("points:p.csv and size>10")
    found = merged(scene(), None, [rule.with_points(((2, 12, 6), (3, 16, 0)))])
    np.testing.assert_array_equal(found, FIRST | blocks(B))  # the second one is too small
    np.testing.assert_array_equal(merged(scene(), None, [rule]), FIRST)
    with pytest.raises(InputError, match=r"point 0,0,0 \(z,y,x\) lies in no object"):
        merged(scene(), None, [rule.with_points(((0, 0, 0),))])
    with pytest.raises(InputError, match=r"point 4,0,0 .* outside the image of 4 x 18 x 20 voxels"):
        merged(scene(), None, [rule.with_points(((4, 0, 0),))])


def test_labels_are_objects_even_where_they_touch() -> None:
    values = np.zeros(SHAPE, np.int32)
    values[1, 2:4], values[1, 4:6], values[3, 0] = 70000, 3, 12
    found = find_objects(Segmentation(values, values > 0, True))
    assert found.count == 3
    np.testing.assert_array_equal(np.unique(found.labels[values == 70000]), [3])
    np.testing.assert_array_equal(found.totals(), [values.size - 100, 40, 20, 40])


def test_excluding_by_voxels_and_planes() -> None:
    raw = RAW.copy()
    raw[1, 3, 4:6] = 65535
    np.testing.assert_array_equal(excluded(scene(raw), FIRST, parse_excluding("saturated")), raw == 65535)
    np.testing.assert_array_equal(excluded(scene(), FIRST, parse_excluding("raw>3000")), RAW > 3000)
    np.testing.assert_array_equal(excluded(scene(), FIRST, parse_excluding("disagreement")), FIRST ^ SECOND)
    planes = excluded(scene(), FIRST, parse_excluding("planes:1-2"))
    np.testing.assert_array_equal(planes.any((1, 2)), [False, True, True, False])
    np.testing.assert_array_equal(planes.all((1, 2)), [False, True, True, False])
    both = excluded(scene(), FIRST, parse_excluding("raw>3000; size<10"))
    np.testing.assert_array_equal(both, (RAW > 3000) | blocks(C))


def test_planes_out_of_focus() -> None:
    raw = RAW.astype(np.float32)
    raw[0] = ndi.gaussian_filter(raw[0], 4)
    response = np.stack([ndi.gaussian_laplace(plane.astype(float), 2) for plane in raw])
    sharpness = response.var(axis=(1, 2)) / response.var(axis=(1, 2)).max()
    blurred = Scene("cell.tif", raw, IMAGE, segmentation(FIRST))
    np.testing.assert_allclose(blurred.sharpness(), sharpness, rtol=1e-5)
    assert sharpness[0] < 0.1 < sharpness[1:].min()
    np.testing.assert_array_equal(
        excluded(blurred, FIRST, parse_excluding("focus<0.1")).any((1, 2)), [True, False, False, False]
    )


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("saturated", "float32 values, which have no greatest one .* write raw>=VALUE"),
        ("planes:2-4", "has planes 0 to 3; planes:2-4 goes beyond"),
        ("disagreement", "needs a second segmentation"),
        ("volume_um3<1", "needs the voxel size: give it with --spacing"),
    ],
)
def test_what_an_image_does_not_allow(rule: str, message: str) -> None:
    poor = Scene("cell.tif", RAW.astype(np.float32), IMAGE, segmentation(FIRST))
    with pytest.raises(InputError, match="cell.tif.*" + message):
        excluded(poor, FIRST, parse_excluding(rule))


def test_points_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("image,z,y,x,note\na,1,2.4,2.5,x\nb,0,0,-0.5,\na,0,0,0,\n")
    assert read_points(path) == {"a": ((1, 2, 3), (0, 0, 0)), "b": ((0, 0, 0),)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,z,y\n", "column x is missing"),
        ("image,z,y,x\na,1,2\n", "row 1: 1,2,None are no three numbers"),
        ("image,z,y,x\na,1,2,-1\n", "row 1: 1,2,-1 are no three numbers"),
        ("image,z,y,x\n,1,2,1\n", "row 1: image is empty"),
    ],
)
def test_bad_points(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(Problems, match="(?s)p.csv.*" + message):
        read_points(path)
