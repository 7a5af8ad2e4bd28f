"""Which segmentation and which mask belong to which raw image, by their names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastseg.errors import Problems, UsageError
from fastseg.io.discover import find_images
from fastseg.io.naming import OUTPUT_MARK, TIFF_SUFFIXES, ZARR_SUFFIXES, image_stem
from fastseg.io.reading import is_zarr

_SUFFIXES = tuple(s for s in (*TIFF_SUFFIXES, *ZARR_SUFFIXES) if s not in (".lsm", ".stk"))

MASK_MARKS = {"excluding": ("_excluding_mask", "_mask"), "merging": ("_merging_mask", "_mask")}
"""What the name of a mask carries after that of its image; the first that is found counts."""


@dataclass(frozen=True)
class Pair:
    """A raw image and what was segmented of it.

    Attributes
    ----------
    raw : Path
    segmentations : tuple of Path
        One for each folder of segmentations.
    """

    raw: Path
    segmentations: tuple[Path, ...]


@dataclass(frozen=True)
class Matches:
    """Raw images with their segmentations, and those that miss one.

    Attributes
    ----------
    pairs : tuple of Pair
        In the order of the raw images.
    missing : tuple of str
        One sentence for every segmentation that is not there.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()


def find_pairs(
    raw: str | os.PathLike[str],
    segs: Sequence[str | os.PathLike[str]],
    data_type: str | None = None,
    *,
    mark: str = OUTPUT_MARK,
    scene: str | None = None,
    skip_missing: bool = False,
) -> list[Pair]:
    """Raw images and their segmentations.

    Parameters
    ----------
    raw : path-like
        A folder of images, or one image.
    segs : sequence of path-like
        Folders of segmentations, each of which holds one for every raw image. For one raw image also its
        segmentations themselves.
    data_type : str, optional
        Ending of the raw images' names, such as ``.tiff``; a leading dot is added. All images of the folder by default.
    mark : str
        What a segmentation's name carries after that of its image.
    scene : str, optional
        Name of the scene of the raw images that was segmented: it is part of the segmentations' names.
    skip_missing : bool
        Leave out raw images without a segmentation.

    Returns
    -------
    list of Pair
        Sorted by the names of the raw images.

    Raises
    ------
    Problems
        If segmentations are missing, a name has several matches, or a segmentation matches several raw images.
    UsageError
        If there is no raw image, or a folder does not exist.
    """
    found = match_all(raw, segs, data_type, mark=mark, scene=scene)
    if found.missing and not skip_missing:
        raise missing_segmentations(raw, found.missing)
    if not found.pairs:
        raise UsageError(f"no image in {raw} has a segmentation in {' and '.join(map(str, segs))}")
    return list(found.pairs)


def missing_segmentations(raw: str | os.PathLike[str], missing: Sequence[str]) -> Problems:
    """The error about segmentations that are not there."""
    hint = "leave such images out with --skip-missing"
    return Problems(str(raw), [*missing[:-1], f"{missing[-1]} ({hint})"])


def match_all(
    raw: str | os.PathLike[str],
    segs: Sequence[str | os.PathLike[str]],
    data_type: str | None = None,
    *,
    mark: str = OUTPUT_MARK,
    scene: str | None = None,
) -> Matches:
    """As `find_pairs`, with what is missing told instead of raised."""
    raws = find_raws(raw, data_type)
    given = [Path(seg) for seg in segs]
    for place in given:
        if not place.exists():
            raise UsageError(f"{place} does not exist: give the folder of the segmentations")
    if len(raws) == 1 and not any(_is_folder(place) for place in given):
        return Matches((Pair(raws[0], tuple(given)),))
    problems: list[str] = []
    missing: list[str] = []
    pairs: list[Pair] = []
    owners: dict[Path, Path] = {}
    for image in raws:
        names = stems_of(image, data_type, scene)
        found = [_one(place, image, names, mark, missing, problems) for place in given]
        there = [path for path in found if path is not None]
        problems += [
            f"{path} would be the segmentation of both {owners[path]} and {image}"
            for path in there
            if owners.setdefault(path, image) != image
        ]
        if len(there) == len(given):
            pairs.append(Pair(image, tuple(there)))
    if problems:
        raise Problems(str(raw), problems)
    return Matches(tuple(pairs), tuple(missing))


def _one(
    folder: Path, image: Path, names: Sequence[str], mark: str, missing: list[str], problems: list[str]
) -> Path | None:
    if not _is_folder(folder):
        problems.append(f"{folder} is one segmentation, but there are several raw images: give a folder")
        return None
    found = _matches(folder, names, mark, image)
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        problems.append(f"{image} has several segmentations in {folder}: {listed}; leave one")
    elif not found:
        missing.append(f"{image} has no segmentation in {folder}: {names[0]}{mark}.tiff is expected")
    return found[0] if len(found) == 1 else None


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not is_zarr(path)


def find_raws(raw: str | os.PathLike[str], data_type: str | None = None) -> list[Path]:
    """The raw images of a folder, sorted by name; or the one image that is given.

    Parameters
    ----------
    raw : path-like
    data_type : str, optional
        Ending of their names; a leading dot is added. Without it, all images except what fastseg wrote there itself.

    Raises
    ------
    UsageError
        If there is none.
    """
    folder = Path(raw)
    if not folder.exists():
        raise UsageError(f"{folder} does not exist: give the folder of the raw images")
    if not _is_folder(folder):
        return [folder]
    if data_type is None:
        return sorted(find_images([folder]))
    ending = dotted(data_type)
    found = sorted(
        p
        for p in folder.iterdir()
        if p.name.endswith(ending) and not p.name.startswith(".") and p.name != ending
    )
    if not found:
        raise UsageError(f"{folder} holds no file whose name ends in {ending}")
    return found


def dotted(data_type: str) -> str:
    """An ending of names with its leading dot."""
    return data_type if data_type.startswith(".") else f".{data_type}"


def stems_of(raw: Path, data_type: str | None = None, scene: str | None = None) -> list[str]:
    """What the names of files made from an image may begin with, the most usual first.

    ``a.ome.tif`` may be called ``a`` (by fastseg), ``a.ome`` (by programs that know one suffix), or what is left of its
    name without `data_type`.
    """
    names = [] if scene is None else [image_stem(raw, scene)]
    names.append(image_stem(raw))
    if data_type is not None and raw.name.endswith(dotted(data_type)):
        names.append(raw.name[: -len(dotted(data_type))])
    names.append(raw.stem)
    return list(dict.fromkeys(name for name in names if name))


def _matches(folder: Path, names: Iterable[str], mark: str, image: Path) -> list[Path]:
    """Files of a folder that are called as an image with a mark, each once."""
    found: dict[str, Path] = {}
    for name in names:
        for suffix in _SUFFIXES:
            path = folder / f"{name}{mark}{suffix}"
            if path.exists() and not (image.exists() and path.samefile(image)):
                found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def find_mask(
    folder: str | os.PathLike[str],
    raw: Path,
    role: str,
    data_type: str | None = None,
    scene: str | None = None,
) -> Path | None:
    """The mask of an image in a folder of masks, if there is one.

    Parameters
    ----------
    folder : path-like
    raw : Path
    role : {"excluding", "merging"}
        ``<name>_excluding_mask.tiff`` or ``<name>_merging_mask.tiff``, or where there is none ``<name>_mask.tiff``. For
        the name also the form of the reference's curator counts: the file's name without its last five characters.
    data_type, scene
        As of `find_pairs`.

    Raises
    ------
    Problems
        If there are several.
    """
    names = list(dict.fromkeys([*stems_of(raw, data_type, scene), raw.name[:-5]]))
    for mark in MASK_MARKS[role]:
        found = _matches(Path(folder), [name for name in names if name], mark, raw)
        if len(found) > 1:
            listed = ", ".join(path.name for path in found)
            raise Problems(str(raw), [f"there are several masks in {folder}: {listed}; leave one"])
        if found:
            return found[0]
    return None
