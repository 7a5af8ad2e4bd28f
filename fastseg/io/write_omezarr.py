"""Writing an array as OME-Zarr in one process: a multiscale pyramid, with a segmentation also as a label image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fastseg.io.content import Content
from fastseg.io.lazy import Sliceable
from fastseg.io.omezarr_layout import boxes
from fastseg.io.omezarr_store import OmeZarrStore, new_ome_zarr
from fastseg.types import Box, Spacing


def write_ome_zarr(
    path: Path,
    array: Sliceable,
    content: Content,
    *,
    spacing: Spacing | None,
    overwrite: bool,
    version: str = "0.5",
) -> Path:
    """Write one stack as a multiscale image, with a label image beside it where `content` has one.

    Parameters
    ----------
    path : Path
        The folder; it appears only when complete.
    array : array-like
        (Z, Y, X), read once and a row of chunks at a time.
    content : Content
        What the values become, and what is stored of them.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres. Without it the axes have no unit and the scale is 1.
    overwrite : bool
        Whether an existing folder is replaced.
    version : {"0.5", "0.4"}
        Of OME-NGFF: 0.5 is Zarr v3, 0.4 is Zarr v2.

    Raises
    ------
    UsageError
        When the version is unknown.
    WriteError
        When zarr is too old, or the folder exists already or cannot be written.
    """
    with new_ome_zarr(
        path, array.shape, content, spacing=spacing, overwrite=overwrite, version=version
    ) as store:
        for box in _rows(store):
            store.write(box, np.asarray(array[box.slices]))
        store.complete()
    return path


def _rows(store: OmeZarrStore) -> Iterator[Box]:
    """Rows of whole chunks along x, of no more than 2**24 voxels: each chunk is written once."""
    z, y, x = store.unit
    return boxes(store.shape, (z, y, x * max(1, (1 << 24) // (z * y * x))), most=0)
