"""Writing results: masks, labels and images, as OME-TIFF or OME-Zarr by the suffix of the path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastseg.errors import UsageError
from fastseg.io.content import image_content, labels_content, mask_content
from fastseg.io.units import check_spacing
from fastseg.io.voxels import Voxels, image_voxels, label_voxels, mask_voxels
from fastseg.io.write_omezarr import write_ome_zarr
from fastseg.io.write_tiff import OME_TYPES, write_ome_tiff


def write_mask(
    path: str | os.PathLike[str],
    mask: Any,
    *,
    spacing: Sequence[float] | None = None,
    foreground: int | float = 255,
    dtype: Any = np.uint8,
    overwrite: bool = False,
    version: str = "0.5",
) -> Path:
    """Write a binary segmentation.

    Parameters
    ----------
    path : path-like
        ``.tiff``, ``.tif`` (OME-TIFF) or ``.zarr`` (OME-Zarr); :func:`fastseg.io.output_path` names it after
        the image.
    mask : array-like
        (Z, Y, X); everything but 0 is foreground. Lazy arrays are read a part at a time.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in micrometres.
    foreground : int or float
        Value of the foreground; the background is 0.
    dtype : data-type
        Of the file's voxels.
    overwrite : bool
        Whether an existing output is replaced.
    version : {"0.5", "0.4"}
        Of OME-Zarr. It stores the mask twice: as an image, and with label 1 under ``labels/segmentation``.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        When the mask is not 3-D.
    UsageError
        When the suffix, foreground, dtype, spacing or version are not allowed.
    WriteError
        When the output exists already or cannot be written; nothing is left behind then.
    """
    file, form = _target(path)
    size = None if spacing is None else check_spacing(spacing)
    voxels = mask_voxels(mask, foreground, dtype)
    if form == "tiff":
        _check_ome_type(voxels)
        return write_ome_tiff(file, voxels, spacing=size, name="segmentation", overwrite=overwrite)
    content = mask_content(voxels.values)
    return write_ome_zarr(file, voxels.array, content, spacing=size, overwrite=overwrite, version=version)


def write_labels(
    path: str | os.PathLike[str],
    labels: Any,
    *,
    spacing: Sequence[float] | None = None,
    dtype: Any = None,
    overwrite: bool = False,
    version: str = "0.5",
) -> Path:
    """Write a label image; like :func:`write_mask`, with one value for each object.

    Parameters
    ----------
    labels : array-like of int
        (Z, Y, X), 0 is background.
    dtype : data-type, optional
        Integer type of the file's voxels, by default the labels' own. Widened where it does not hold the
        greatest label. OME-TIFF has no 64-bit integers: such labels are stored in the narrowest type of 32
        bits that holds them.

    Raises
    ------
    InputError
        When the labels are not 3-D integers.
    UsageError
        When the suffix, dtype, spacing or version are not allowed.
    WriteError
        When the output exists already or cannot be written, or the labels exceed 32 bits in OME-TIFF.
    """
    file, form = _target(path)
    size = None if spacing is None else check_spacing(spacing)
    voxels = label_voxels(labels, dtype, OME_TYPES if form == "tiff" else None)
    if form == "tiff":
        return write_ome_tiff(file, voxels, spacing=size, name="segmentation", overwrite=overwrite)
    content = labels_content(voxels.values)
    return write_ome_zarr(file, voxels.array, content, spacing=size, overwrite=overwrite, version=version)


def write_image(
    path: str | os.PathLike[str],
    image: Any,
    *,
    spacing: Sequence[float] | None = None,
    name: str = "image",
    overwrite: bool = False,
    version: str = "0.5",
) -> Path:
    """Write a stack of any real dtype, such as an intermediate step.

    Parameters
    ----------
    path : path-like
        ``.tiff``, ``.tif`` (OME-TIFF) or ``.zarr`` (OME-Zarr).
    image : array-like
        (Z, Y, X). Booleans are stored as 0 and 255; 16-bit floats, which OME-TIFF lacks, as 32-bit ones.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in micrometres.
    name : str
        Of the image and its channel.
    overwrite : bool
        Whether an existing output is replaced.
    version : {"0.5", "0.4"}
        Of OME-Zarr.

    Raises
    ------
    InputError
        When the image is not 3-D or no array of real numbers.
    UsageError
        When the suffix, spacing or version are not allowed.
    WriteError
        When the output exists already or cannot be written; nothing is left behind then.
    """
    file, form = _target(path)
    size = None if spacing is None else check_spacing(spacing)
    voxels = image_voxels(image, OME_TYPES if form == "tiff" else None)
    if form == "tiff":
        return write_ome_tiff(file, voxels, spacing=size, name=name, overwrite=overwrite)
    content = image_content(voxels.values, name)
    return write_ome_zarr(file, voxels.array, content, spacing=size, overwrite=overwrite, version=version)


def _target(path: str | os.PathLike[str]) -> tuple[Path, str]:
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix in (".tiff", ".tif"):
        return file, "tiff"
    if suffix == ".zarr":
        return file, "zarr"
    raise UsageError(f"{file} names no format to write: use a name that ends in .tiff, .tif or .zarr.")


def _check_ome_type(voxels: Voxels) -> None:
    if voxels.dtype.name not in OME_TYPES:
        raise UsageError(
            f"dtype {voxels.dtype} is not one that OME-TIFF has: use one of {', '.join(OME_TYPES)}."
        )
