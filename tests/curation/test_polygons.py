"""Polygons: the voxels that scikit-image gives, and GeoJSON that is checked as a whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from skimage.draw import polygon as draw

from fastseg.curation.polygons import Polygon, Ring, as_feature, rasterise, read_polygons, write_polygons
from fastseg.errors import InputError, Problems, ReadError

SHAPE = (3, 11, 14)
TRIANGLE: Ring = ((1.0, 1.0), (9.5, 2.25), (4.0, 8.0))
SMALL: Ring = ((3.0, 3.0), (5.0, 3.0), (4.0, 5.0))


def drawn(ring: Ring) -> np.ndarray:
    found = np.zeros(SHAPE[1:], bool)
    columns, rows = zip(*ring, strict=True)
    found[draw(rows, columns, SHAPE[1:])] = True
    return found


def corners(width: float, height: float) -> st.SearchStrategy[tuple[float, float]]:
    quarters = st.tuples(st.integers(-8, int(4 * width) + 8), st.integers(-8, int(4 * height) + 8))
    return quarters.map(lambda point: (point[0] / 4, point[1] / 4))


RINGS = st.lists(corners(SHAPE[2], SHAPE[1]), min_size=3, max_size=7, unique=True).map(tuple)


@given(rings=st.lists(RINGS, min_size=1, max_size=3), hole=RINGS)
def test_polygons_are_those_of_scikit_image(rings: list[Ring], hole: Ring) -> None:
    for ring in rings:
        columns, rows = zip(*ring, strict=True)
        assume(max(columns) >= 0 and max(rows) >= 0 and min(columns) < SHAPE[2] and min(rows) < SHAPE[1])
        assume(min(columns) <= SHAPE[2] - 1 and min(rows) <= SHAPE[1] - 1)
    ranges = [None, (0, 1), (1, 2)]
    polygons = [Polygon("a", "excluding", (ring,), where) for ring, where in zip(rings, ranges, strict=False)]
    expected = np.zeros(SHAPE, bool)
    for polygon in polygons:
        first, last = polygon.planes or (0, SHAPE[0] - 1)
        expected[first : last + 1] |= drawn(polygon.rings[0])
    np.testing.assert_array_equal(rasterise(polygons, SHAPE), expected)
    holed = rasterise([Polygon("a", "excluding", (rings[0], hole))], SHAPE)
    np.testing.assert_array_equal(holed, np.broadcast_to(drawn(rings[0]) & ~drawn(hole), SHAPE))


def test_nothing_is_drawn_without_polygons() -> None:
    assert not rasterise([], SHAPE).any()


@pytest.mark.parametrize(
    ("ring", "planes", "message"),
    [
        (tuple((x + 20, y) for x, y in TRIANGLE), None, "outside the image of 11 rows and 14 columns"),
        (tuple((x, y - 9) for x, y in TRIANGLE), None, "rows -8 to -1, outside"),
        (TRIANGLE, (1, 3), "planes 1 to 3; the image has planes 0 to 2"),
    ],
)
def test_polygons_outside_the_image(ring: Ring, planes: tuple[int, int] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rasterise([Polygon("cell", "excluding", (ring,), planes)], SHAPE)


def test_polygons_read_back(tmp_path: Path) -> None:
    polygons = (
        Polygon("a", "excluding", (TRIANGLE, SMALL), (0, 1)),
        Polygon("b.ome", "merging", (TRIANGLE,)),
    )
    assert read_polygons(write_polygons(tmp_path / "p.geojson", polygons)) == polygons
    ring = json.loads((tmp_path / "p.geojson").read_text())["features"][0]["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1] == [1.0, 1.0]


def feature(**changes: Any) -> dict[str, Any]:
    found = as_feature(Polygon("a", "excluding", (TRIANGLE,)))
    for key, value in changes.items():
        part = found["geometry"] if key in ("type", "coordinates") else found["properties"]
        part[key] = value
    return found


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (feature(coordinates=[[[1, 1], [4, 4], [1, 1]]]), "a polygon of 2 points has no inside"),
        (feature(coordinates=[[[1, 1], [1, 1]]]), "a polygon of 1 point has no inside"),
        (feature(coordinates=[[[1, 1], [4, 4], [2, 1]]]), "the ring is not closed"),
        (feature(coordinates=[[[1, 1], [4, "4"], [1, 1]]]), r"a list of points \[x, y\] is needed"),
        (feature(coordinates=[[[1, 1], [4, float("nan")], [1, 1]]]), r"a list of points \[x, y\] is needed"),
        (feature(coordinates=[]), "a list of rings is needed"),
        (feature(type="MultiPolygon"), "type 'MultiPolygon' is not Polygon"),
        (feature(image=""), "image: '' is no name"),
        (feature(role="exclude"), r"role: 'exclude' is unknown \(excluding or merging\)"),
        (feature(planes=[2, 1]), r"planes: \[2, 1\] is no \[first, last\]"),
        (feature(planes=[0, 1.5]), r"planes: \[0, 1.5\] is no \[first, last\]"),
        ("feature", "a Feature is needed"),
        ({"type": "Feature", "geometry": None, "properties": None}, "type None is not Polygon"),
    ],
)
def test_bad_features(broken: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(), broken]}))
    with pytest.raises(Problems, match=r"(?s)p.geojson.*features\[1\].*" + message):
        read_polygons(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not valid JSON"),
        ("[]", "is not GeoJSON of polygons"),
        ('{"type": "Feature", "features": []}', "is not GeoJSON of polygons"),
        ('{"type": "FeatureCollection"}', "is not GeoJSON of polygons"),
    ],
)
def test_bad_files(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "p.geojson"
    path.write_text(text)
    with pytest.raises(ReadError, match=message):
        read_polygons(path)
    with pytest.raises(ReadError, match="No such file"):
        read_polygons(tmp_path / "none.geojson")
