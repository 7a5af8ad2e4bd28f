"""The images of a data set: a folder as curation writes it, or a CSV manifest."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastseg.errors import Problems, SourceError
from fastseg.io import image_stem

TRUTH_SUFFIX = "_GT.ome.tif"
COST_SUFFIX = "_CM.ome.tif"
IMAGE_SUFFIX = ".ome.tif"

_CURATED = re.compile(r"img_\d+\.ome\.tif")
_REQUIRED = ("image", "truth")
_COLUMNS = (*_REQUIRED, "cost", "name", "group")


@dataclass(frozen=True)
class TrainingItem:
    """One image with its ground truth.

    Attributes
    ----------
    name : str
        Unique in its data set.
    image : Path
        Normalised as it will be for prediction; one channel or several.
    truth : Path
        Class of every voxel.
    cost : Path or None
        Weight of every voxel in the loss, 0 to leave it out; None for 1 everywhere.
    group : str
        Images of one group, such as a dish, stay together when a share of the images is left out; empty for none.
    """

    name: str
    image: Path
    truth: Path
    cost: Path | None = None
    group: str = ""


def find_items(data: str | os.PathLike[str]) -> list[TrainingItem]:
    """The images of a data set.

    Parameters
    ----------
    data : path-like
        A folder with three files an image, ``NAME.ome.tif``, ``NAME_GT.ome.tif`` (truth) and ``NAME_CM.ome.tif``
        (cost); or a CSV file with columns ``image``, ``truth`` and, where wanted, ``cost``, ``name`` and ``group``,
        whose paths are relative to the file.

    Returns
    -------
    list of TrainingItem
        Of a folder sorted by the text of the names, of a CSV file in its order.

    Raises
    ------
    SourceError
        If there is no such folder or file, or no image in it.
    Problems
        Everything else that is wrong: files without their partners, rows without paths, names given twice.
    """
    path = Path(data)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise SourceError(
            f"training data {path} do not exist: give a folder of NAME.ome.tif, NAME_GT.ome.tif and "
            "NAME_CM.ome.tif, or a CSV file with columns image and truth"
        )
    return _manifest(path)


def _folder(folder: Path) -> list[TrainingItem]:
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror or error}") from None
    bases = sorted(n.removesuffix(TRUTH_SUFFIX) for n in names if n.endswith(TRUTH_SUFFIX))
    if not bases:
        raise SourceError(f"{folder} holds no training data: there is no file NAME{TRUTH_SUFFIX} in it")
    problems = []
    for base in bases:
        for suffix, what in ((IMAGE_SUFFIX, "image"), (COST_SUFFIX, "cost map")):
            if base + suffix not in names:
                problems.append(f"{base}{TRUTH_SUFFIX} has no {what}: {base}{suffix} is missing")
    known = set(bases)
    problems += [
        f"{name} has no ground truth: {name.removesuffix(IMAGE_SUFFIX)}{TRUTH_SUFFIX} is missing"
        for name in sorted(names)
        if _CURATED.fullmatch(name) and name.removesuffix(IMAGE_SUFFIX) not in known
    ]
    if problems:
        raise Problems(str(folder), problems)
    return [
        TrainingItem(b, folder / (b + IMAGE_SUFFIX), folder / (b + TRUTH_SUFFIX), folder / (b + COST_SUFFIX))
        for b in bases
    ]


def _manifest(path: Path) -> list[TrainingItem]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip().lower() for cell in next(reader, [])]
            rows = [(reader.line_num, [c.strip() for c in row]) for row in reader if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{path} cannot be read as CSV: {getattr(error, 'strerror', None) or error}"
        ) from None
    problems = _header_problems(header)
    if problems:
        raise Problems(str(path), problems)
    if not rows:
        raise SourceError(f"{path} lists no images: it has a header and no rows")
    items = []
    for line, row in rows:
        if len(row) != len(header):
            problems.append(f"line {line} has {len(row)} cells; the header has {len(header)}")
            continue
        cells = dict(zip(header, row, strict=True))
        found = _row_problems(path.parent, cells)
        problems += [f"line {line}: {p}" for p in found]
        if not found:
            items.append(_item(path.parent, cells))
    twice = [name for name, count in Counter(item.name for item in items).items() if count > 1]
    problems += [f"the name '{name}' is given twice: tell them apart by a column 'name'" for name in twice]
    if problems:
        raise Problems(str(path), problems)
    return items


def _header_problems(header: list[str]) -> list[str]:
    problems = [f"column '{name}' is missing" for name in _REQUIRED if name not in header]
    problems += [
        f"column '{name}' is unknown: use {', '.join(_COLUMNS)}" for name in header if name not in _COLUMNS
    ]
    problems += [f"column '{name}' is there twice" for name in _COLUMNS if header.count(name) > 1]
    return problems


def _row_problems(folder: Path, cells: Mapping[str, str]) -> list[str]:
    problems = [f"the cell '{name}' is empty" for name in _REQUIRED if not cells[name]]
    for column in ("image", "truth", "cost"):
        text = cells.get(column, "")
        if text and not (folder / text).exists():
            problems.append(f"{column} {folder / text} does not exist")
    return problems


def _item(folder: Path, cells: Mapping[str, str]) -> TrainingItem:
    cost = cells.get("cost", "")
    return TrainingItem(
        name=cells.get("name", "") or image_stem(cells["image"]),
        image=folder / cells["image"],
        truth=folder / cells["truth"],
        cost=folder / cost if cost else None,
        group=cells.get("group", ""),
    )


def load_item(item: TrainingItem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image with its truth and cost, whole.

    Returns
    -------
    image : array (C, Z, Y, X), float32
    truth : array (Z, Y, X), uint8 or int32
    cost : array (Z, Y, X), float32
        Ones where the item has no cost map.

    Raises
    ------
    ReadError
        When a file cannot be read.
    InputError
        When files do not fit together.
    """
    from fastseg.unet.training.stacks import open_item

    stacks = open_item(item)
    planes = range(stacks.shape[0])
    cost = (
        np.ones(stacks.shape, np.float32) if stacks.cost is None else stacks.cost.planes(planes, np.float32)
    )
    return stacks.image.planes(planes, np.float32), stacks.truth_planes(planes), cost
