"""Writing OME-Zarr: a multiscale pyramid, with the segmentation also as a label image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastseg import __version__
from fastseg.errors import UsageError, WriteError
from fastseg.io.atomic import atomic_output
from fastseg.io.voxels import Voxels
from fastseg.types import Spacing

VERSIONS = ("0.5", "0.4")
_CHUNK = (32, 256, 256)
_SMALL = 256
"""Levels are added until y and x are no longer than this."""

Factor = tuple[int, int, int]
Reducer = Callable[[np.ndarray, Factor], np.ndarray]


def write_ome_zarr(
    path: Path,
    voxels: Voxels,
    *,
    spacing: Spacing | None,
    name: str,
    overwrite: bool,
    labels: Voxels | None = None,
    reduce: str = "nearest",
    version: str = "0.5",
) -> Path:
    """Write one stack as a multiscale image, with a label image beside it.

    Parameters
    ----------
    path : Path
        The folder; it appears only when complete.
    voxels : Voxels
        (Z, Y, X) of the image, read a block at a time.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres. Without it the axes have no unit and the scale is 1.
    name : str
        Of the image and of its label image.
    overwrite : bool
        Whether an existing folder is replaced.
    labels : Voxels, optional
        (Z, Y, X) of a label image, stored under ``labels/<name>``.
    reduce : {"max", "nearest", "mean"}
        How a level is made from the one above. The maximum keeps thin parts of masks, nearest keeps labels.
    version : {"0.5", "0.4"}
        Of OME-NGFF: 0.5 is Zarr v3, 0.4 is Zarr v2.

    Raises
    ------
    UsageError
        When the version is unknown.
    WriteError
        When zarr is too old, or the folder exists already or cannot be written.
    """
    if version not in VERSIONS:
        raise UsageError(f"OME-Zarr version {version!r} cannot be written: use one of {', '.join(VERSIONS)}.")
    _require_zarr(path)
    needed = (voxels.nbytes + (labels.nbytes if labels else 0)) * 3 // 2 + (1 << 16)
    with atomic_output(path, overwrite=overwrite, needed=needed) as temporary:
        multiscales = _write_pyramid(temporary, voxels, spacing, name, reduce, version)
        omero = {"channels": [_channel(name, voxels.dtype)]}
        _write_group(temporary, {"multiscales": multiscales, "omero": omero, "_creator": _creator()}, version)
        if labels is not None:
            _write_group(temporary / "labels", {"labels": [name]}, version)
            folder = temporary / "labels" / name
            multiscales = _write_pyramid(folder, labels, spacing, name, reduce, version)
            image_label = {"source": {"image": "../../"}}
            if version == "0.4":
                image_label["version"] = version  # type: ignore[assignment]
            _write_group(folder, {"multiscales": multiscales, "image-label": image_label}, version)
    return path


def pyramid_factors(shape: tuple[int, int, int], spacing: Spacing | None) -> list[Factor]:
    """Factors (z, y, x) from each level to the next.

    y and x are halved until both are small. z is halved along with them only where that brings the voxels
    closer to cubes; where the spacing is unknown it is kept.
    """
    factors: list[Factor] = []
    lengths, size = shape, spacing
    while max(lengths[1:]) > _SMALL:
        factor_z = 1
        if size is not None and lengths[0] > 1 and size[0] * math.sqrt(2) <= 2 * max(size[1:]):
            factor_z = 2
        factor = (factor_z, 2 if lengths[1] > 1 else 1, 2 if lengths[2] > 1 else 1)
        factors.append(factor)
        lengths = _reduced_shape(lengths, factor)
        if size is not None:
            size = (size[0] * factor[0], size[1] * factor[1], size[2] * factor[2])
    return factors


def reduce_max(block: np.ndarray, factor: Factor) -> np.ndarray:
    """Maximum of each cell of `factor` voxels; cells at the far border may be smaller."""
    for axis, f in enumerate(factor):
        if f > 1:
            block = np.maximum.reduceat(block, np.arange(0, block.shape[axis], f), axis=axis)
    return block


def reduce_nearest(block: np.ndarray, factor: Factor) -> np.ndarray:
    """First voxel of each cell."""
    return block[tuple(slice(None, None, f) for f in factor)]


def reduce_mean(block: np.ndarray, factor: Factor) -> np.ndarray:
    """Mean of each cell, rounded for integers; cells at the far border may be smaller."""
    total = block.astype(np.float64)
    for axis, f in enumerate(factor):
        if f > 1:
            starts = np.arange(0, total.shape[axis], f)
            counts = np.diff(np.append(starts, total.shape[axis]))
            total = np.add.reduceat(total, starts, axis=axis)
            total /= counts.reshape([-1 if a == axis else 1 for a in range(3)])
    return (np.rint(total) if block.dtype.kind in "ui" else total).astype(block.dtype)


_REDUCERS: dict[str, Reducer] = {"max": reduce_max, "nearest": reduce_nearest, "mean": reduce_mean}


def _write_pyramid(
    folder: Path, voxels: Voxels, spacing: Spacing | None, name: str, reduce: str, version: str
) -> list[dict[str, Any]]:
    """Write all levels and return the multiscales metadata that describe them."""
    reducer = _REDUCERS[reduce]
    scale: Spacing = spacing or (1.0, 1.0, 1.0)
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": list(scale)}]}]
    level = _create(folder / "0", voxels.shape, voxels.dtype, version)
    for box in _boxes(voxels.shape, level.chunks):
        level[box] = voxels[box]
    total = np.ones(3, int)
    for number, factor in enumerate(pyramid_factors(voxels.shape, spacing), start=1):
        finer, shape = level, _reduced_shape(level.shape, factor)
        level = _create(folder / str(number), shape, voxels.dtype, version)
        for box in _boxes(shape, level.chunks):
            source = tuple(slice(s.start * f, s.stop * f) for s, f in zip(box, factor, strict=True))
            level[box] = reducer(np.asarray(finer[source]), factor)
        total = total * factor
        transformations: list[dict[str, Any]] = [
            {"type": "scale", "scale": [s * int(f) for s, f in zip(scale, total)]}
        ]
        if reduce != "nearest":
            # The centre of a cell is not the centre of its first voxel.
            shift = [s * (int(f) - 1) / 2 for s, f in zip(scale, total)]
            transformations.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(number), "coordinateTransformations": transformations})
    unit = {} if spacing is None else {"unit": "micrometer"}
    multiscale = {
        "name": name,
        "axes": [{"name": a, "type": "space", **unit} for a in "zyx"],
        "datasets": datasets,
    }
    if len(datasets) > 1:
        multiscale["type"] = reduce
    if version == "0.4":
        multiscale["version"] = version
    return [multiscale]


def _create(folder: Path, shape: tuple[int, ...], dtype: np.dtype, version: str) -> Any:
    import zarr

    chunks = tuple(min(n, c) for n, c in zip(shape, _CHUNK, strict=True))
    if version == "0.4":
        return zarr.create_array(
            str(folder),
            shape=shape,
            chunks=chunks,
            dtype=dtype,
            zarr_format=2,
            fill_value=0,
            chunk_key_encoding={"name": "v2", "separator": "/"},
        )
    return zarr.create_array(
        str(folder), shape=shape, chunks=chunks, dtype=dtype, fill_value=0, dimension_names=list("zyx")
    )


def _write_group(folder: Path, metadata: dict[str, Any], version: str) -> None:
    import zarr

    if version == "0.4":
        zarr.create_group(str(folder), zarr_format=2, attributes=metadata)
    else:
        zarr.create_group(str(folder), zarr_format=3, attributes={"ome": {"version": version, **metadata}})


def _channel(name: str, dtype: np.dtype) -> dict[str, Any]:
    top = float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0
    return {
        "label": name,
        "color": "FFFF00",
        "active": True,
        "window": {"min": 0.0, "max": top, "start": 0.0, "end": top},
    }


def _creator() -> dict[str, str]:
    return {"name": "fastseg", "version": __version__}


def _boxes(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Rows of whole chunks along x: each chunk is written once, and a row fits in memory."""
    steps = (chunks[0], chunks[1], shape[2])
    ranges = (range(0, n, step) for n, step in zip(shape, steps, strict=True))
    for corner in itertools.product(*ranges):
        yield tuple(slice(c, min(c + step, n)) for c, step, n in zip(corner, steps, shape, strict=True))


def _reduced_shape(shape: tuple[int, ...], factor: Factor) -> tuple[int, int, int]:
    z, y, x = (-(-int(n) // f) for n, f in zip(shape, factor, strict=True))
    return z, y, x


def _require_zarr(path: Path) -> None:
    import zarr

    if int(zarr.__version__.split(".")[0]) < 3:
        raise WriteError(
            f"{path} needs zarr 3 or later to be written, and {zarr.__version__} is installed: write a "
            ".tiff instead, or "
            "pip install 'zarr>=3' in an environment without aicsimageio."
        )
