"""What the page needs of one image, as files of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.curation.reading import check_same_shape, read_raw, read_segmentation
from fastseg.curation.review.pictures import (
    grey_views,
    mask_views,
    reduction_for,
    run_lengths,
    strip_of,
    thumbnail,
)
from fastseg.curation.review.planes import views_of


@dataclass(frozen=True)
class ItemSource:
    """An image of the page and where its files go.

    Attributes
    ----------
    index : int
        Place in the page, from 0; names the files.
    raw : Path
    segmentations : tuple of Path
        One or two.
    folder : Path
        Where the files are written.
    channel, scene, time : int or str, optional
        Of the raw image, where its file holds several.
    axes : str, optional
        Of the raw image.
    threshold : float, optional
        Above which a voxel is foreground, for segmentations that hold probabilities.
    """

    index: int
    raw: Path
    segmentations: tuple[Path, ...]
    folder: Path
    channel: int | str | None = None
    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    threshold: float | None = None

    @property
    def stem(self) -> str:
        """Start of the names of the item's files; the page makes the same (``loader.js``)."""
        return f"{self.index + 1:05d}"


@dataclass(frozen=True)
class ItemFiles:
    """The files made of an image.

    Attributes
    ----------
    data : str
        Name of the script with masks and the places of the views.
    picture, thumbnail : str
        Names of the pictures.
    shape : tuple of int
        Of the stack.
    """

    data: str
    picture: str
    thumbnail: str
    shape: tuple[int, int, int]


def make_item(source: ItemSource) -> ItemFiles:
    """Read an image with its segmentations and write what the page shows of it.

    Raises
    ------
    ReadError, InputError
        When a file cannot be read, or the segmentations do not fit the image.
    """
    raw = read_raw(
        source.raw, channel=source.channel, scene=source.scene, time=source.time, axes=source.axes
    ).volume()
    masks = []
    for path in source.segmentations:
        mask = read_segmentation(path, source.threshold).mask
        check_same_shape(path, mask.shape, source.raw, raw.shape)
        masks.append(mask)
    return write_item(source, raw, masks)


def write_item(source: ItemSource, raw: np.ndarray, masks: list[np.ndarray]) -> ItemFiles:
    """Write what the page shows of an image.

    Parameters
    ----------
    source : ItemSource
    raw : ndarray (Z, Y, X)
    masks : list of ndarray of bool, same shape
        The first decides on the middle plane.
    """
    depth, height, width = raw.shape
    views = views_of(masks[0])
    grey = grey_views(raw, views)
    strip = strip_of(grey)
    drawn = [mask_views(mask, views, reduction_for(height, width)) for mask in masks]
    picture = f"{source.stem}.{'jpg' if strip.picture.kind == 'jpeg' else 'png'}"
    (source.folder / picture).write_bytes(strip.picture.data)
    small = f"{source.stem}t.jpg"
    (source.folder / small).write_bytes(thumbnail(grey[0], np.asarray(masks[0].any(axis=0))).data)
    data: dict[str, Any] = {
        "shape": [depth, height, width],
        "width": strip.size[0],
        "height": strip.size[1],
        "reduction": strip.reduction,
        "picture": f"images/{picture}",
        "views": [
            {
                "name": view.name,
                "plane": view.plane,
                "left": left,
                "top": top,
                "masks": [run_lengths(planes[i]) for planes in drawn],
            }
            for i, (view, (left, top)) in enumerate(zip(views, strip.corners, strict=True))
        ],
    }
    script = f"{source.stem}.js"
    (source.folder / script).write_text(call_of(source.index, data), encoding="utf-8")
    return ItemFiles(script, picture, small, (depth, height, width))


def call_of(index: int, data: dict[str, Any]) -> str:
    """A script that hands the data of an image to the page: pages on disk may load scripts, but no other files."""
    return f"fastsegReview.receive({index},{json.dumps(data, separators=(',', ':'))});\n"


def data_of(script: str) -> dict[str, Any]:
    """The data that :func:`call_of` put into a script."""
    found: dict[str, Any] = json.loads(script[script.index(",") + 1 : script.rindex(")")])
    return found
