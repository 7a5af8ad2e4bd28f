"""Names of images and of the files made from them."""

from __future__ import annotations

import re
from pathlib import Path, PurePath

OUTPUT_MARK = "_struct_segmentation"
"""What every segmentation's file name carries after the stem of its image."""

STEP_SUFFIX = ".tiff"
"""Of the results of steps and of the masks of a sweep."""

TIFF_SUFFIXES = (
    ".ome.tiff",
    ".ome.tif",
    ".ome.tf2",
    ".ome.tf8",
    ".ome.btf",
    ".tiff",
    ".tif",
    ".btf",
    ".tf8",
    ".lsm",
    ".stk",
)
ZARR_SUFFIXES = (".ome.zarr", ".zarr", ".zarr3")
BIOIO_SUFFIXES = (
    *(".czi", ".nd2", ".lif", ".oif", ".oib", ".oir", ".vsi", ".ims"),
    *(".ics", ".ids", ".dv", ".r3d", ".sldy", ".sld", ".zvi"),
)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".ppm", ".pgm", ".svg", ".pdf")

_IMAGE_SUFFIXES = TIFF_SUFFIXES + ZARR_SUFFIXES + BIOIO_SUFFIXES


def image_stem(source: str | PurePath, scene: str | None = None) -> str:
    """The name of an image without its folder and suffix, unique among the images of one file.

    ``cells.ome.tif`` gives ``cells``; ``plate.zarr/B/02/0``, as a path or as a scene, gives ``plate_B_02_0``.
    """
    path = PurePath(source)
    parts = list(path.parts) or [str(source)]
    start = len(parts) - 1
    for i, part in enumerate(parts[:-1]):
        if part.lower().endswith(ZARR_SUFFIXES):
            start = i
            break
    inner = [*parts[start + 1 :], *([] if scene is None else [scene])]
    safe = (re.sub(r"[^\w.+=@ -]+", "_", piece).strip("_ ") for piece in inner)
    return "_".join([_without_suffix(parts[start]), *(piece for piece in safe if piece)])


def _without_suffix(name: str) -> str:
    lower = name.lower()
    for suffix in sorted(_IMAGE_SUFFIXES, key=len, reverse=True):
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return PurePath(name).stem


def output_path(directory: str | Path, stem: str, format: str = "tiff") -> Path:
    """Where the segmentation of an image goes: ``<directory>/<stem>_struct_segmentation.<format>``."""
    return Path(directory) / f"{stem}{OUTPUT_MARK}.{format}"


def step_path(directory: str | Path, stem: str, name: str) -> Path:
    """Where the result of a step goes: ``<directory>/<stem>_<name>.tiff``."""
    return Path(directory) / f"{stem}_{name}{STEP_SUFFIX}"


def possible_sources(stem: str) -> list[str]:
    """Stems of the images whose results may have this stem: what comes before each of its underscores."""
    return [stem[:i] for i, letter in enumerate(stem) if letter == "_" and i]
