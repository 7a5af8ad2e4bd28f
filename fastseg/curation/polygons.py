"""Areas drawn on images: polygons in GeoJSON, and the voxels inside them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from fastseg.errors import InputError, Problems, ReadError
from fastseg.io.atomic import atomic_output

Role: TypeAlias = Literal["excluding", "merging"]
Ring: TypeAlias = tuple[tuple[float, float], ...]

ROLES: tuple[Role, ...] = ("excluding", "merging")


@dataclass(frozen=True)
class Polygon:
    """An area of an image.

    Attributes
    ----------
    image : str
        Name of the raw image's file without its suffix.
    role : {"excluding", "merging"}
        Inside, the cost is 0, or the second segmentation is taken.
    rings : tuple of rings
        The border and then the holes, each as points (x, y) = (column, row), the first one not repeated. Centres of
        pixels are at whole numbers.
    planes : (int, int) or None
        First and last plane, from 0, both included; None for every plane.
    """

    image: str
    role: Role
    rings: tuple[Ring, ...]
    planes: tuple[int, int] | None = None


def rasterise(polygons: Iterable[Polygon], shape: Sequence[int]) -> np.ndarray:
    """The voxels inside polygons.

    Parameters
    ----------
    polygons : iterable of Polygon
        Their union is taken; images and roles are not looked at.
    shape : (z, y, x)

    Returns
    -------
    bool array of `shape`
        Plane by plane exactly what `skimage.draw.polygon` gives for rows and columns of the border, without what it
        gives for the holes. Parts outside the image are cut off.

    Raises
    ------
    InputError
        If a polygon lies outside the image, or names planes that the image does not have.
    """
    from skimage.draw import polygon2mask

    depth, height, width = (int(n) for n in shape)
    found = np.zeros((depth, height, width), bool)
    drawn: dict[tuple[int, int], np.ndarray] = {}
    for polygon in polygons:
        _check_inside(polygon, (depth, height, width))
        first, last = polygon.planes or (0, depth - 1)
        # polygon2mask is draw.polygon with rows first
        border, *holes = (
            polygon2mask((height, width), np.array(ring, float)[:, ::-1]) for ring in polygon.rings
        )
        for hole in holes:
            border &= ~hole
        key = (first, last)
        drawn[key] = border if key not in drawn else drawn[key] | border
    for (first, last), plane in drawn.items():
        found[first : last + 1] |= plane
    return found


def _check_inside(polygon: Polygon, shape: tuple[int, int, int]) -> None:
    depth, height, width = shape
    columns, rows = zip(*polygon.rings[0], strict=True)
    if max(columns) < 0 or max(rows) < 0 or min(columns) > width - 1 or min(rows) > height - 1:
        raise InputError(
            f"a polygon of {polygon.image} spans columns {min(columns):g} to {max(columns):g} and rows "
            f"{min(rows):g} to {max(rows):g}, outside the image of {height} rows and {width} columns"
        )
    if polygon.planes is not None and polygon.planes[1] >= depth:
        raise InputError(
            f"a polygon of {polygon.image} is for planes {polygon.planes[0]} to {polygon.planes[1]}; the image has "
            f"planes 0 to {depth - 1}"
        )


def read_polygons(path: str | os.PathLike[str]) -> tuple[Polygon, ...]:
    """Read polygons.

    Parameters
    ----------
    path : path-like
        GeoJSON: a FeatureCollection whose features have a geometry of type Polygon and the properties ``image``,
        ``role`` ("excluding" or "merging") and ``planes`` ([first, last], or null or absent for every plane).

    Raises
    ------
    ReadError
        If it cannot be read, or is not GeoJSON.
    Problems
        Everything that is wrong with its features.
    """
    file = Path(path)
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except ValueError as error:
        raise ReadError(f"{file} is not valid JSON: {error}") from None
    features = found.get("features") if isinstance(found, Mapping) else None
    if not isinstance(features, list) or found.get("type") != "FeatureCollection":
        raise ReadError(f"{file} is not GeoJSON of polygons: a FeatureCollection with features is needed")
    problems: list[str] = []
    made = [_polygon(feature, f"features[{i}]", problems) for i, feature in enumerate(features)]
    if problems:
        raise Problems(str(file), problems)
    return tuple(polygon for polygon in made if polygon is not None)


def _polygon(feature: Any, place: str, problems: list[str]) -> Polygon | None:
    before = len(problems)
    if not isinstance(feature, Mapping) or feature.get("type") != "Feature":
        problems.append(f"{place}: a Feature is needed")
        return None
    rings = _rings(feature.get("geometry"), place, problems)
    properties = feature.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    image, role, planes = (properties.get(name) for name in ("image", "role", "planes"))
    if not isinstance(image, str) or not image:
        problems.append(f"{place}.properties.image: {image!r} is no name of an image")
    if role not in ROLES:
        problems.append(f"{place}.properties.role: {role!r} is unknown ({' or '.join(ROLES)})")
    if planes is not None and not _is_range(planes):
        problems.append(
            f"{place}.properties.planes: {planes!r} is no [first, last] of planes counted from 0, nor null"
        )
    if len(problems) > before:
        return None
    return Polygon(str(image), role, rings, None if planes is None else (planes[0], planes[1]))  # type: ignore[arg-type]


def _is_range(planes: Any) -> bool:
    whole = isinstance(planes, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in planes)
    return whole and len(planes) == 2 and 0 <= planes[0] <= planes[1]


def _rings(geometry: Any, place: str, problems: list[str]) -> tuple[Ring, ...]:
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if kind != "Polygon":
        problems.append(f"{place}.geometry: type {kind!r} is not Polygon")
        return ()
    found = geometry.get("coordinates")
    if not isinstance(found, list) or not found:
        problems.append(f"{place}.geometry.coordinates: a list of rings is needed")
        return ()
    return tuple(_ring(ring, f"{place}.geometry.coordinates[{i}]", problems) for i, ring in enumerate(found))


def _ring(ring: Any, place: str, problems: list[str]) -> Ring:
    if not isinstance(ring, list) or not all(_is_point(point) for point in ring):
        problems.append(f"{place}: a list of points [x, y] is needed")
        return ()
    points = [(float(x), float(y)) for x, y in ring]
    if len(points) < 2 or points[0] != points[-1]:
        problems.append(f"{place}: the ring is not closed, its last point must be its first")
        return ()
    if len(set(points)) < 3:
        count = len(set(points))
        problems.append(
            f"{place}: a polygon of {count} point{'s' if count > 1 else ''} has no inside; give 3 or more"
        )
        return ()
    return tuple(points[:-1])


def _is_point(point: Any) -> bool:
    return (
        isinstance(point, list)
        and len(point) == 2
        and all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in point)
    )


def write_polygons(path: str | os.PathLike[str], polygons: Iterable[Polygon]) -> Path:
    """Write polygons as `read_polygons` reads them, as a whole or not at all; an existing file is replaced.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    found = {"type": "FeatureCollection", "features": [as_feature(polygon) for polygon in polygons]}
    data = (json.dumps(found, indent=1) + "\n").encode("utf-8")
    file = Path(path)
    with atomic_output(file, overwrite=True, needed=len(data)) as temporary:
        temporary.write_bytes(data)
    return file


def as_feature(polygon: Polygon) -> dict[str, Any]:
    """A polygon as a Feature of GeoJSON."""
    return {
        "type": "Feature",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[list(point) for point in (*ring, ring[0])] for ring in polygon.rings],
        },
        "properties": {
            "image": polygon.image,
            "role": polygon.role,
            "planes": None if polygon.planes is None else list(polygon.planes),
        },
    }
