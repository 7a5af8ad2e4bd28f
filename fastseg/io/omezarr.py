"""Opening OME-Zarr 0.4 and 0.5: images, HCS plates, wells, and collections of images.

BioIO opens neither plates nor their wells, so the metadata is read here and the arrays are opened with zarr
when a scene is chosen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from fastseg.errors import ReadError
from fastseg.io.lazy import Sliceable, reason
from fastseg.io.source import Scene, Source
from fastseg.io.units import known_spacing, micrometres_per
from fastseg.types import Spacing


def open_omezarr(path: str) -> Source:
    """Open an OME-Zarr folder, or a plate, well or image inside one.

    Scenes are the images of a collection ("0", "1") or the fields of a plate ("B/02/0"); an image has one,
    unnamed.

    Raises
    ------
    ReadError
        When its metadata are missing, broken or not OME-Zarr.
    """
    root = Path(path)
    attributes = _attributes(root, path)
    if "plate" in attributes:
        names = _plate_fields(root, path, attributes["plate"])
    elif "well" in attributes:
        names = _well_fields(path, attributes["well"])
    elif "multiscales" in attributes:
        return Source(path, "OME-Zarr", ("",), lambda index: _image(root, path, attributes))
    elif "bioformats2raw.layout" in attributes:
        names = _collection(root, path)
    else:
        raise ReadError(
            f"{path} is a Zarr group but not OME-Zarr: it has no multiscales, plate or well metadata; give "
            "the folder of the "
            "image itself."
        )
    if not names:
        raise ReadError(f"{path} is an OME-Zarr collection without any image.")

    def open_scene(index: int) -> Scene:
        folder = root / names[index]
        label = f"{path}/{names[index]}"
        found = _attributes(folder, label)
        if "multiscales" not in found:
            raise ReadError(
                f"{label} is listed in {path} but is no OME-Zarr image: it has no multiscales metadata."
            )
        return _image(folder, label, found)

    return Source(path, "OME-Zarr", tuple(names), open_scene)


def _attributes(folder: Path, label: str) -> dict[str, Any]:
    """OME metadata of a Zarr group: under "ome" in zarr.json (0.5), or plain in .zattrs (0.4)."""
    v3, v2 = folder / "zarr.json", folder / ".zattrs"
    if v3.is_file():
        node = _json(v3, label)
        if node.get("node_type") == "array":
            raise _bare_array(label)
        attributes = node.get("attributes", {})
        found = attributes.get("ome", attributes) if isinstance(attributes, dict) else None
    elif v2.is_file() and not (folder / ".zarray").is_file():
        found = _json(v2, label)
    elif (folder / ".zarray").is_file():
        raise _bare_array(label)
    elif (folder / ".zgroup").is_file():
        found = {}
    else:
        raise ReadError(
            f"{label} is no Zarr folder: it has neither zarr.json nor .zgroup, so it is damaged or "
            "incomplete."
        )
    if not isinstance(found, dict):
        raise ReadError(f"{label} has broken OME-Zarr metadata: its attributes are no mapping.")
    return found


def _bare_array(label: str) -> ReadError:
    return ReadError(
        f"{label} is a bare Zarr array without axes: give the OME-Zarr image folder that contains it."
    )


def _json(file: Path, label: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except PermissionError:
        raise ReadError(f"{file} cannot be read: permission denied, ask its owner for read access.") from None
    except (OSError, ValueError) as error:
        raise ReadError(
            f"{label} has broken Zarr metadata in {file.name} ({reason(error)}): copy or export it again."
        ) from error
    if not isinstance(content, dict):
        raise ReadError(f"{label} has broken Zarr metadata in {file.name}: it is no mapping.")
    return content


def _paths(items: Any, label: str, what: str) -> list[str]:
    try:
        paths = [item["path"].strip("/") for item in items]
    except (TypeError, KeyError, AttributeError):
        raise ReadError(f"{label} has broken {what} metadata: each entry needs a path.") from None
    if any(".." in p.split("/") for p in paths):
        raise ReadError(f"{label} has broken {what} metadata: a path leads out of the folder.")
    return paths


def _plate_fields(root: Path, label: str, plate: Any) -> list[str]:
    wells = _paths(plate.get("wells") if isinstance(plate, dict) else None, label, "plate")
    fields = []
    for well in wells:
        try:
            found = _attributes(root / well, f"{label}/{well}")
            fields += [f"{well}/{field}" for field in _well_fields(f"{label}/{well}", found.get("well"))]
        except ReadError:
            fields.append(well)  # a broken well is reported when it is opened, and the others stay readable
    return fields


def _well_fields(label: str, well: Any) -> list[str]:
    return _paths(well.get("images") if isinstance(well, dict) else None, label, "well")


def _collection(root: Path, label: str) -> list[str]:
    """Images of the bioformats2raw layout: as OME/ lists them, else the folders 0, 1, 2 and on."""
    if (root / "OME").is_dir():
        series = _attributes(root / "OME", f"{label}/OME").get("series")
        if isinstance(series, list) and all(isinstance(s, str) for s in series):
            return _paths([{"path": s} for s in series], label, "series")
    names: list[str] = []
    while (root / str(len(names))).is_dir():
        names.append(str(len(names)))
    return names


def _image(folder: Path, label: str, attributes: Mapping[str, Any]) -> Scene:
    try:
        multiscale = attributes["multiscales"][0]
        dataset = multiscale["datasets"][0]
        level = dataset["path"]
        array = _open_array(folder / level, label, level)
        axes, units = _axes(multiscale.get("axes"), len(array.shape))
        spacing = _spacing(axes, units, [dataset, multiscale])
    except ReadError:
        raise
    except Exception as error:
        raise ReadError(
            f"{label} has broken multiscales metadata ({type(error).__name__}: {reason(error)}): export it "
            "again."
        ) from error
    if len(axes) != len(array.shape):
        raise ReadError(
            f"{label} names {len(axes)} axes ({axes}) for an array of shape {tuple(array.shape)}: export it "
            "again."
        )
    notes: tuple[str, ...] = ()
    if spacing is None:
        notes = (f"no voxel size with units in {PurePath(label).name} (give it with --spacing)",)
    return Scene(
        array=array, axes=axes, spacing=spacing, channel_names=_channel_names(attributes), notes=notes
    )


def _open_array(folder: Path, label: str, level: str) -> Sliceable:
    try:
        import zarr
    except ImportError as error:
        raise ReadError(
            f"{label} needs zarr 3 or later to be read, which does not import ({reason(error)})."
        ) from error
    if int(zarr.__version__.split(".")[0]) < 3:
        raise ReadError(
            f"{label} needs zarr 3 or later to be read, and {zarr.__version__} is installed: pip install "
            "'zarr>=3' in an "
            "environment without aicsimageio."
        )
    if not any((folder / name).is_file() for name in ("zarr.json", ".zarray")):
        raise ReadError(f"{label} lists level {level!r} but has no such array: copy or export it again.")
    try:
        return zarr.open_array(str(folder), mode="r")
    except Exception as error:
        raise ReadError(
            f"{label} has broken metadata of array {level!r} ({reason(error)}): copy or export it again."
        ) from error


def _axes(axes: Any, ndim: int) -> tuple[str, list[str | None]]:
    """A letter and a unit for every axis. Versions before 0.3 name none, being TCZYX by definition."""
    if axes is None:
        if ndim != 5:
            return "Q" * ndim, [None] * ndim
        return "TCZYX", [None] * ndim
    letters = ""
    units: list[str | None] = []
    for axis in axes:
        name = axis if isinstance(axis, str) else axis["name"]
        letters += name.upper() if name.upper() in ("T", "C", "Z", "Y", "X") else "Q"
        units.append(None if isinstance(axis, str) else axis.get("unit"))
    return letters, units


def _spacing(axes: str, units: Sequence[str | None], holders: Sequence[Mapping[str, Any]]) -> Spacing | None:
    """The product of the scales of a dataset and of its multiscale, in the units of the axes."""
    scale = np.ones(len(axes))
    given = False
    for holder in holders:
        for transformation in holder.get("coordinateTransformations") or ():
            if transformation.get("type") == "scale":
                scale = scale * np.asarray(transformation["scale"], dtype=float)
                given = True
    if not given:
        return None
    lengths: list[float | None] = []
    for axis in "ZYX":
        per_unit = micrometres_per(units[axes.index(axis)]) if axis in axes else None
        lengths.append(None if per_unit is None else float(scale[axes.index(axis)]) * per_unit)
    return known_spacing(lengths)


def _channel_names(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    omero = attributes.get("omero")
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return ()
    names = tuple(str(c.get("label") or "") if isinstance(c, dict) else "" for c in channels)
    return names if any(names) else ()
