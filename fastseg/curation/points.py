"""Points that name objects: a table of images and voxels."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from fastseg.errors import Problems, ReadError

Point: TypeAlias = tuple[int, int, int]

COLUMNS = ("image", "z", "y", "x")


def read_points(path: str | os.PathLike[str]) -> Mapping[str, tuple[Point, ...]]:
    """Points by image.

    Parameters
    ----------
    path : path-like
        CSV with the columns image (name of the raw file without its suffix), z, y and x: voxels counted from 0, whose
        centres are at whole numbers. Further columns are not looked at.

    Raises
    ------
    ReadError
        If it cannot be read.
    Problems
        Everything that is wrong with it, row by row.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise Problems(
            str(file), [f"column {' and '.join(missing)} is missing: {','.join(COLUMNS)} are needed"]
        )
    found: dict[str, list[Point]] = {}
    problems: list[str] = []
    for number, row in enumerate(rows, 1):
        point = [_whole(row[name]) for name in COLUMNS[1:]]
        image = (row["image"] or "").strip()
        if not image:
            problems.append(f"row {number}: image is empty")
        if None in point:
            place = ",".join(str(row[name]) for name in COLUMNS[1:])
            problems.append(f"row {number}: {place} are no three numbers from 0 on")
        else:
            z, y, x = (n for n in point if n is not None)
            found.setdefault(image, []).append((z, y, x))
    if problems:
        raise Problems(str(file), problems)
    return {image: tuple(points) for image, points in found.items()}


def _whole(text: str | None) -> int | None:
    """The voxel whose centre is nearest."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return math.floor(value + 0.5) if math.isfinite(value) and value >= -0.5 else None
