"""Outputs that tasks write tile by tile, from any process: OME-Zarr with the contents of `write_mask` and its kin.

An OME-TIFF is one file whose pages follow each other, so it has one writer: `write_mask` and its kin.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.errors import UsageError
from fastseg.io.content import Content, Values, image_content, labels_content, mask_content, mask_values
from fastseg.io.omezarr_store import OmeZarrStore, new_ome_zarr
from fastseg.io.units import check_spacing


def new_mask(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    *,
    tile: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    foreground: int | float = 255,
    dtype: Any = np.uint8,
    overwrite: bool = False,
    version: str = "0.5",
) -> AbstractContextManager[OmeZarrStore]:
    """A binary segmentation to be written tile by tile; the rest is as of :func:`fastseg.io.write_mask`.

    Parameters
    ----------
    path : path-like
        ``.zarr``; it appears when the block ends well.
    shape : sequence of int
        (Z, Y, X).
    tile : sequence of int, optional
        Sides (z, y, x) of the tiles that will be written.

    Returns
    -------
    context manager
        Of the store. Tasks call ``store.write(box, block)`` for the tiles, then ``store.reduce(level, box)``
        for what ``store.pyramid()`` lists.

    Raises
    ------
    UsageError
        When the suffix, foreground, dtype, spacing or version are not allowed.
    WriteError
        When the output exists already or cannot be written; nothing is left behind then.
    """
    content = mask_content(mask_values(foreground, dtype))
    return _new(path, shape, content, tile, spacing, overwrite, version)


def new_labels(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    dtype: Any,
    *,
    tile: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    overwrite: bool = False,
    version: str = "0.5",
) -> AbstractContextManager[OmeZarrStore]:
    """A label image to be written tile by tile; like :func:`new_mask`.

    Parameters
    ----------
    dtype : data-type
        An integer type that holds the greatest label, which is not known before the last tile: a tile with a
        greater one is refused.
    """
    target = np.dtype(dtype)
    if target.kind not in "ui":
        raise UsageError(f"label dtype {target} is not an integer type.")
    content = labels_content(Values(target.newbyteorder("=")))
    return _new(path, shape, content, tile, spacing, overwrite, version)


def new_image(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    dtype: Any,
    *,
    name: str = "image",
    tile: Sequence[int] | None = None,
    spacing: Sequence[float] | None = None,
    overwrite: bool = False,
    version: str = "0.5",
) -> AbstractContextManager[OmeZarrStore]:
    """An image of any real dtype to be written tile by tile, booleans as 0 and 255; like :func:`new_mask`."""
    own = np.dtype(dtype).newbyteorder("=")
    if own.kind not in "buif":
        raise UsageError(f"images of dtype {own} cannot be written: integers, floats or booleans are needed.")
    values = mask_values(255, np.uint8) if own.kind == "b" else Values(own)
    return _new(path, shape, image_content(values, name), tile, spacing, overwrite, version)


def _new(
    path: str | os.PathLike[str],
    shape: Sequence[int],
    content: Content,
    tile: Sequence[int] | None,
    spacing: Sequence[float] | None,
    overwrite: bool,
    version: str,
) -> AbstractContextManager[OmeZarrStore]:
    file = Path(path)
    if file.suffix.lower() != ".zarr":
        raise UsageError(f"{file} cannot be written tile by tile: use a name that ends in .zarr.")
    size = None if spacing is None else check_spacing(spacing)
    return new_ome_zarr(file, shape, content, spacing=size, overwrite=overwrite, tile=tile, version=version)
