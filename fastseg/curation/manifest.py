"""What a training folder says about its images: where each came from, and how it was made (``manifest.json``)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fastseg import __version__
from fastseg.errors import ReadError
from fastseg.io.atomic import atomic_output
from fastseg.unet.training.curated import MANIFEST

FORMAT_VERSION = 1

State: TypeAlias = Literal["planned", "done", "failed"]


@dataclass(frozen=True)
class Source:
    """A file that an image was made from.

    Attributes
    ----------
    role : str
        raw, segmentation, second_segmentation, merging_mask, excluding_mask, compared_segmentation.
    path : str
        Absolute.
    relative : str
        From the training folder, so that a project which is moved as a whole is recognised.
    stamp : list
        Bytes, time of change, number of files: equal stamps are taken for an unchanged file.
    sha256 : str
        Of the voxels that were read of it.
    """

    role: str
    path: str
    relative: str
    stamp: list[int] = field(default_factory=list)
    sha256: str = ""


@dataclass(frozen=True)
class Record:
    """An image of a training folder.

    Attributes
    ----------
    number : int
    state : {"planned", "done", "failed"}
        Planned: a run was about to make it, and may have been killed.
    sources : tuple of Source
        The raw file first.
    settings : dict
        Everything else that decides the result: mode, channel, recipe, rules, polygons, polarity.
    decision : dict
        What the decisions file says of the image.
    files : dict
        Bytes and SHA-256 of the three files.
    facts : dict
        Shape, voxel size, foreground and excluded voxels.
    written : str
        When and by which version.
    """

    number: int
    state: State = "planned"
    sources: tuple[Source, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    decision: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    written: str = ""

    @property
    def raw(self) -> Source:
        return self.sources[0]


def read_manifest(folder: Path) -> dict[int, Record]:
    """The images of a training folder by number; none where there is no manifest.

    Raises
    ------
    ReadError
        If it is damaged or of a newer version.
    """
    file = folder / MANIFEST
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    version = found.get("format_version") if isinstance(found, Mapping) else None
    if version != FORMAT_VERSION:
        raise ReadError(
            f"{file} has format_version {version!r}; this fastseg ({__version__}) reads {FORMAT_VERSION}"
        )
    try:
        records = [
            Record(**{**entry, "sources": tuple(Source(**source) for source in entry["sources"])})
            for entry in found["images"]
        ]
    except (KeyError, TypeError) as error:
        raise ReadError(f"{file} is damaged: {error}") from None
    return {record.number: record for record in records}


def write_manifest(folder: Path, records: Iterable[Record]) -> None:
    """Replace the manifest as a whole.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    images = [asdict(record) for record in sorted(records, key=lambda record: record.number)]
    found = {
        "format_version": FORMAT_VERSION,
        "fastseg_version": __version__,
        "normalization": common_recipe(images),
        "images": images,
    }
    data = (json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode("utf-8")
    with atomic_output(folder / MANIFEST, overwrite=True, needed=len(data)) as temporary:
        temporary.write_bytes(data)


def common_recipe(images: Iterable[Mapping[str, Any]]) -> Any:
    """The recipe of all images that are done, None if they do not share one."""
    recipes = [image["settings"].get("normalization") for image in images if image["state"] == "done"]
    return recipes[0] if recipes and all(recipe == recipes[0] for recipe in recipes) else None


def source_of(role: str, path: Path, folder: Path) -> Source:
    """A file as the manifest of a training folder names it, with its stamp."""
    absolute = os.path.abspath(path)
    return Source(role, absolute, os.path.relpath(absolute, folder), stamp_of(Path(absolute)))


def stamp_of(path: Path) -> list[int]:
    """Bytes, latest change and number of files of a file or folder; empty if it is not there."""
    try:
        files = [path] if not path.is_dir() else [Path(r) / n for r, _, names in os.walk(path) for n in names]
        found = [file.stat() for file in files]
    except OSError:
        return []
    if not found:
        return []
    return [sum(s.st_size for s in found), max(s.st_mtime_ns for s in found), len(found)]


def same_file(known: Source, now: Source) -> bool:
    """Whether two mentions of a file lead to the same one, even if the project was moved as a whole."""
    return known.path == now.path or known.relative == now.relative


def moved(record: Record, sources: tuple[Source, ...]) -> Record:
    """A record with the places where its files are now; what was read of them stays."""
    return replace(
        record,
        sources=tuple(
            replace(now, sha256=known.sha256) for known, now in zip(record.sources, sources, strict=True)
        ),
    )
