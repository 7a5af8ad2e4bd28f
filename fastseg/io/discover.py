"""Finding the images among files, folders and patterns."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

from fastseg.errors import ReadError
from fastseg.io.naming import (
    BIOIO_SUFFIXES,
    OUTPUT_MARK,
    STEP_SUFFIX,
    TIFF_SUFFIXES,
    ZARR_SUFFIXES,
    image_stem,
    possible_sources,
)
from fastseg.io.reading import is_zarr
from fastseg.io.tiff_metadata import CREATOR

_FILES = TIFF_SUFFIXES + BIOIO_SUFFIXES


def find_images(inputs: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The images that files, folders and glob patterns name, in that order and each once.

    Parameters
    ----------
    inputs : sequence of path-like
        Files are taken as they are. Of a folder, the images directly inside, recognised by suffix and sorted
        naturally (``t2`` before ``t10``); Zarr folders are images. Patterns may contain ``*``, ``?``,
        ``[...]`` and ``**``. Folders and patterns leave out hidden files and what fastseg wrote there itself:
        segmentations (unless the pattern asks for them by name), and the results of steps and sweeps beside the image
        that they were made from.

    Raises
    ------
    ReadError
        When there are no inputs, one does not exist, or a folder or pattern holds no image.
    """
    if not inputs:
        raise ReadError("no input was given: name image files, folders or patterns.")
    found: dict[str, Path] = {}
    for item in inputs:
        for path in _expand(os.fspath(item)):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def natural_key(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """Sorts the numbers in names by value."""
    parts = re.split(r"([0-9]+)", str(path).casefold())
    return [(1, int(p)) if p.isdigit() and p.isascii() else (0, p) for p in parts if p], str(path)


def _expand(text: str) -> list[Path]:
    path = Path(text)
    try:
        if path.is_dir() and not is_zarr(path):
            images = _images(path.iterdir())
            if not images:
                raise ReadError(
                    f"{text} is a folder without images: expected TIFF, OME-Zarr, CZI or another "
                    "microscope's files directly "
                    "inside."
                )
            return images
        if path.exists():
            return [path]
        if not glob.has_magic(text):
            raise ReadError(f"{text} does not exist: check the path.")
        images = _images((Path(p) for p in glob.glob(text, recursive=True)), keep_outputs=OUTPUT_MARK in text)
    except PermissionError as error:
        raise ReadError(
            f"{error.filename or text} cannot be read: permission denied, ask its owner for access."
        ) from None
    if not images:
        raise ReadError(f"{text} matches no image: check the pattern.")
    return images


def _images(paths: Iterable[Path], keep_outputs: bool = False) -> list[Path]:
    found = [p for p in paths if _is_image(p) and (keep_outputs or OUTPUT_MARK not in p.name)]
    stems: dict[Path, set[str]] = {}
    for path in found:
        stems.setdefault(path.parent, set()).add(image_stem(path))
    return sorted((p for p in found if not _made_from_another(p, stems[p.parent])), key=natural_key)


def _made_from_another(path: Path, stems: set[str]) -> bool:
    """Whether fastseg made a file from one of the images beside it, whose stems are given.

    The name alone does not tell: ``cell_2`` beside ``cell`` may be an image as well. The file itself has to say that
    it was written here; with the name of its step its image is known exactly.
    """
    stem = image_stem(path)
    if path.suffix != STEP_SUFFIX or stems.isdisjoint(possible_sources(stem)):
        return False
    step = _written_step(path)
    if step is None:
        return False
    return stem.removesuffix(f"_{step}") in stems if stem.endswith(f"_{step}") else True


def _written_step(path: Path) -> str | None:
    """The name that fastseg gave the image in a TIFF file; None if another program wrote the file."""
    from tifffile import TiffFile

    try:
        with TiffFile(path) as file:
            root = ElementTree.fromstring(file.pages.first.description)
    except Exception:  # whatever is wrong with the file is said when it is read
        return None
    if not root.get("Creator", "").startswith(CREATOR):
        return None
    image = root.find("{*}Image")
    return "" if image is None else image.get("Name", "")


def _is_image(path: Path) -> bool:
    name = path.name.lower()
    if name.startswith("."):
        return False
    if path.is_dir():
        return name.endswith(ZARR_SUFFIXES)
    return name.endswith(_FILES)
