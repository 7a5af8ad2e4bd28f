"""Voxel sizes and channel names in the metadata of OME-TIFF, ImageJ and LSM files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from fastseg.io.units import known_spacing, micrometres_per
from fastseg.types import Spacing

CREATOR = "fastseg"
"""Start of the Creator attribute of OME-XML written here, where a Z axis of length 1 is meant."""


@dataclass(frozen=True)
class OmeImage:
    """What one Image element of OME-XML says."""

    name: str
    spacing: Spacing | None
    channel_names: tuple[str, ...]
    one_plane: bool
    """A Z axis of length 1 that is a stack of one plane. Every OME image has a Z axis, 2-D ones too; it
    counts where the distance of planes is given or where fastseg wrote the file."""


def ome_images(xml: str) -> list[OmeImage]:
    """The images that OME-XML declares, in order.

    Raises
    ------
    xml.etree.ElementTree.ParseError
        When the text is not XML.
    """
    root = ElementTree.fromstring(xml)
    ours = root.get("Creator", "").startswith(CREATOR)
    images = []
    for element in root:
        if _tag(element) != "Image":
            continue
        pixels = next((child for child in element if _tag(child) == "Pixels"), None)
        if pixels is None:
            continue
        lengths = [_physical_size(pixels, axis) for axis in "ZYX"]
        names = tuple(child.get("Name", "") for child in pixels if _tag(child) == "Channel")
        one_plane = pixels.get("SizeZ") == "1" and (ours or lengths[0] is not None)
        images.append(
            OmeImage(
                element.get("Name") or element.get("ID") or "",
                known_spacing(lengths),
                names if any(names) else (),
                one_plane,
            )
        )
    return images


def imagej_spacing(metadata: Mapping[str, Any], tags: Mapping[str, Any]) -> Spacing | None:
    """Voxel size of an ImageJ stack, when its unit is a length and the distance of its planes is given.

    Parameters
    ----------
    metadata : mapping
        ImageJ's own fields: ``unit``, ``spacing``.
    tags : mapping
        TIFF tags of the first page: ``XResolution`` and ``YResolution`` are pixels per unit, as fractions.
    """
    scale = micrometres_per(str(metadata.get("unit", "")))
    if scale is None:
        return None
    try:
        per_pixel = [tags[name][1] / tags[name][0] * scale for name in ("YResolution", "XResolution")]
        return known_spacing([float(metadata["spacing"]) * scale, *per_pixel])
    except (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError):
        return None


def lsm_spacing(metadata: Mapping[str, Any]) -> Spacing | None:
    """Voxel size of a Zeiss LSM file, whose fields are in metres."""
    return known_spacing([_metres(metadata.get(f"VoxelSize{axis}")) for axis in "ZYX"])


def _metres(value: Any) -> float | None:
    return None if not isinstance(value, (int, float)) else float(value) * 1e6


def _physical_size(pixels: ElementTree.Element, axis: str) -> float | None:
    """Micrometres, or None when missing or not a length; the default unit is the schema's, a micrometre."""
    text = pixels.get(f"PhysicalSize{axis}")
    scale = micrometres_per(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    if text is None or scale is None:
        return None
    try:
        return float(text) * scale
    except ValueError:
        return None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
