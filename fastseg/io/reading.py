"""Reading one image: the reader for the file, then the scene, channel and time point asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastseg.errors import ReadError
from fastseg.io import tiff
from fastseg.io.axes import resolve_axes
from fastseg.io.image import Image
from fastseg.io.lazy import TczyxView
from fastseg.io.naming import BIOIO_SUFFIXES, PICTURE_SUFFIXES, TIFF_SUFFIXES, ZARR_SUFFIXES
from fastseg.io.select import choose
from fastseg.io.source import Source
from fastseg.io.units import check_spacing
from fastseg.types import Spacing

_PICTURE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"%PDF", b"RIFF")
_ZARR_MARKS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_KNOWN = "fastseg reads TIFF, OME-TIFF, OME-Zarr, CZI and what BioIO has plug-ins for"


@dataclass(frozen=True)
class SceneInfo:
    """One image of a file as it is stored, for listing.

    Attributes
    ----------
    index : int
        What ``--scene`` takes, besides `name`.
    name : str
    axes : str
        The file's letters; Q, I and S are axes that the file does not label as one of TCZYX.
    shape : tuple of int
    dtype : numpy.dtype
    channel_names : tuple of str
        Empty when the file has none.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres.
    """

    index: int
    name: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype
    channel_names: tuple[str, ...]
    spacing: Spacing | None


@dataclass(frozen=True)
class Description:
    """What a file holds: its path, its format and its scenes."""

    source: str
    format: str
    scenes: tuple[SceneInfo, ...]


def read(
    path: str | os.PathLike[str],
    *,
    channel: int | str | None = None,
    scene: int | str | None = None,
    time: int | None = None,
    axes: str | None = None,
    spacing: Sequence[float] | None = None,
) -> Image:
    """Read one image, lazily.

    Parameters
    ----------
    path : path-like
        A TIFF, OME-TIFF, ImageJ TIFF, OME-Zarr (also a plate, a well or a field inside one), CZI, or another
        format that an installed BioIO plug-in reads.
    channel, scene, time : int or str, optional
        Which one to take, by index or by name (exact, then without regard to case). Needed only where there
        are several.
    axes : str, optional
        Letters of TCZYX for the file's axes, where the file has none or wrong ones.
    spacing : sequence of float, optional
        Voxel size (z, y, x) in micrometres, in place of the file's.

    Returns
    -------
    Image
        With T = C = 1. Its voxels are read when sliced.

    Raises
    ------
    ReadError
        When the file cannot be read or is no 3-D stack of numbers.
    SelectionError
        When there are several scenes, channels or time points and none, or a wrong one, was chosen.
    UsageError
        When `axes` or `spacing` are not what they should be.

    Notes
    -----
    A slice of the voxels reads what the file keeps together with them: whole chunks of OME-Zarr (of a shard, its
    index and the chunks that are touched), whole strips and tiles of compressed TIFF, and of TIFF that is
    neither compressed nor scattered exactly the slice. Any layout is read correctly, but boxes of a file in
    which a column, a plane or everything is one piece decode that piece again for each box that meets it: the
    time grows by as many times as boxes meet a piece, and the memory by the size of one. Such a file is better
    copied to chunks of some 2**17 voxels first.
    """
    override = None if spacing is None else check_spacing(spacing, "--spacing")
    source = open_source(path)
    index = choose(source.path, "scene", "--scene", source.scene_names, scene)
    opened = source.open_scene(index)
    stack, notes = resolve_axes(opened, source.path, axes)
    lengths = dict(zip(stack.axes, stack.array.shape, strict=True))
    channels = int(lengths.get("C", 1))
    names = stack.channel_names if len(stack.channel_names) == channels else ()
    fixed = {
        "C": choose(source.path, "channel", "--channel", names or [""] * channels, channel),
        "T": choose(source.path, "time point", "--time", [""] * int(lengths.get("T", 1)), time),
    }
    view = TczyxView(
        stack.array, stack.axes, {a: i for a, i in fixed.items() if a in stack.axes}, source.path
    )
    return Image(
        data=view,
        spacing=override or stack.spacing,
        channel_names=names[fixed["C"] : fixed["C"] + 1],
        source=source.path,
        notes=notes + (() if override else stack.notes),
        scene=(source.scene_names[index] or str(index)) if len(source.scene_names) > 1 else None,
    )


def describe(path: str | os.PathLike[str], scene: int | str | None = None) -> Description:
    """List what a file holds, without reading voxels.

    Parameters
    ----------
    path : path-like
    scene : int or str, optional
        Describe only this one; a plate of thousands of fields takes seconds otherwise.

    Raises
    ------
    ReadError
        When the file cannot be read.
    """
    source = open_source(path)
    chosen = range(len(source.scene_names))
    if scene is not None:
        index = choose(source.path, "scene", "--scene", source.scene_names, scene)
        chosen = range(index, index + 1)
    infos = []
    for i in chosen:
        one = source.open_scene(i)
        shape = tuple(int(n) for n in one.array.shape)
        dtype = np.dtype(one.array.dtype)
        infos.append(
            SceneInfo(i, source.scene_names[i], one.axes, shape, dtype, one.channel_names, one.spacing)
        )
    return Description(source.path, source.format, tuple(infos))


def list_scenes(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Names of the scenes of a file, such as the fields of a plate ("B/02/0"), without opening each."""
    return open_source(path).scene_names


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a file with the reader for its content.

    Raises
    ------
    ReadError
        When it is missing, unreadable or of no format known here.
    """
    name = os.fspath(path)
    file = Path(name)
    lower = file.name.lower()
    try:
        if not file.exists():
            raise ReadError(f"{name} does not exist: check the path.")
        if file.is_dir():
            return _open_directory(name, file, lower)
        if not file.is_file():
            raise ReadError(f"{name} is not a regular file: give an image file or a folder of them.")
        with open(name, "rb") as stream:
            head = stream.read(16)
    except PermissionError:
        raise ReadError(f"{name} cannot be read: permission denied, ask its owner for read access.") from None
    except OSError as error:
        raise ReadError(f"{name} cannot be read: {error.strerror or error}.") from None
    if not head:
        raise ReadError(f"{name} is empty (0 bytes): copy or export it again.")
    if head.startswith(tiff.MAGIC):
        return tiff.open_tiff(name)
    if head.startswith(_PICTURE_MAGIC) or lower.endswith(PICTURE_SUFFIXES):
        raise ReadError(f"{name} is a plain picture, not a 3-D stack: {_KNOWN}.")
    if lower.endswith(TIFF_SUFFIXES):
        raise ReadError(
            f"{name} is not a TIFF file although its name says so: it is damaged or of another format."
        )
    if not lower.endswith(BIOIO_SUFFIXES) and _is_text(head):
        raise ReadError(f"{name} is not an image in a format known here: {_KNOWN}.")
    from fastseg.io.bioio_reader import open_bioio

    return open_bioio(name)


def _is_text(head: bytes) -> bool:
    """Whether a file starts like text, which no microscope's format does."""
    return all(32 <= byte < 127 or byte in b"\t\r\n" or byte >= 128 for byte in head)


def is_zarr(directory: Path) -> bool:
    """Whether a directory is a Zarr hierarchy, by its name or by what lies in it."""
    return directory.name.lower().endswith(ZARR_SUFFIXES) or any(
        (directory / m).is_file() for m in _ZARR_MARKS
    )


def _open_directory(name: str, directory: Path, lower: str) -> Source:
    if not is_zarr(directory):
        raise ReadError(f"{name} is a folder, not an image: give one of its files, or an OME-Zarr folder.")
    from fastseg.io.omezarr import open_omezarr

    return open_omezarr(name)
