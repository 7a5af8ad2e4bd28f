"""The metadata of OME-Zarr images: multiscales, channels, label images, and the groups that carry them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastseg import __version__
from fastseg.errors import UsageError, WriteError
from fastseg.io.content import Content
from fastseg.io.pyramid import Factor
from fastseg.types import Spacing

VERSIONS = ("0.5", "0.4")
"""Of OME-NGFF that are written: 0.5 is Zarr v3, 0.4 is Zarr v2."""


def check_version(version: str) -> None:
    """Refuse versions that are not written.

    Raises
    ------
    UsageError
        When it is unknown.
    """
    if version not in VERSIONS:
        raise UsageError(f"OME-Zarr version {version!r} cannot be written: use one of {', '.join(VERSIONS)}.")


def require_zarr(path: Path) -> None:
    """Refuse to write `path` with a zarr that is too old.

    Raises
    ------
    WriteError
        When it is older than 3.
    """
    import zarr

    if int(zarr.__version__.split(".")[0]) < 3:
        raise WriteError(
            f"{path} needs zarr 3 or later to be written, and {zarr.__version__} is installed: write a "
            ".tiff instead, or "
            "pip install 'zarr>=3' in an environment without aicsimageio."
        )


def write_groups(
    folder: Path, content: Content, factors: Sequence[Factor], spacing: Spacing | None, version: str
) -> None:
    """Write the group of an image and, where `content` has labels, those of its label image.

    Parameters
    ----------
    folder : Path
        The arrays of the levels are ``0``, ``1`` and on in it, and in ``labels/<name>``.
    content : Content
    factors : sequence of (int, int, int)
        From each level to the next.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres. Without it the axes have no unit and the scale is 1.
    version : {"0.5", "0.4"}
    """
    multiscales = [_multiscale(content, factors, spacing, version)]
    omero = {"channels": [_channel(content.name, content.image.dtype)]}
    creator = {"name": "fastseg", "version": __version__}
    _write_group(folder, {"multiscales": multiscales, "omero": omero, "_creator": creator}, version)
    if content.labels is None:
        return
    _write_group(folder / "labels", {"labels": [content.name]}, version)
    image_label: dict[str, Any] = {"source": {"image": "../../"}}
    if version == "0.4":
        image_label["version"] = version
    labels = {"multiscales": multiscales, "image-label": image_label}
    _write_group(folder / "labels" / content.name, labels, version)


def _multiscale(
    content: Content, factors: Sequence[Factor], spacing: Spacing | None, version: str
) -> dict[str, Any]:
    scale: Spacing = spacing or (1.0, 1.0, 1.0)
    datasets: list[dict[str, Any]] = []
    total = np.ones(3, int)
    for number, factor in enumerate([(1, 1, 1), *factors]):
        total = total * factor
        lengths = [s * int(f) for s, f in zip(scale, total, strict=True)]
        transformations: list[dict[str, Any]] = [{"type": "scale", "scale": lengths}]
        if number and content.reduce != "nearest":
            # The centre of a cell is not the centre of its first voxel.
            shift = [s * (int(f) - 1) / 2 for s, f in zip(scale, total, strict=True)]
            transformations.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(number), "coordinateTransformations": transformations})
    unit = {} if spacing is None else {"unit": "micrometer"}
    multiscale: dict[str, Any] = {
        "name": content.name,
        "axes": [{"name": a, "type": "space", **unit} for a in "zyx"],
        "datasets": datasets,
    }
    if factors:
        multiscale["type"] = content.reduce
    if version == "0.4":
        multiscale["version"] = version
    return multiscale


def _channel(name: str, dtype: np.dtype) -> dict[str, Any]:
    top = float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0
    return {
        "label": name,
        "color": "FFFF00",
        "active": True,
        "window": {"min": 0.0, "max": top, "start": 0.0, "end": top},
    }


def _write_group(folder: Path, metadata: dict[str, Any], version: str) -> None:
    import zarr

    if version == "0.4":
        zarr.create_group(str(folder), zarr_format=2, attributes=metadata)
    else:
        zarr.create_group(str(folder), zarr_format=3, attributes={"ome": {"version": version, **metadata}})
