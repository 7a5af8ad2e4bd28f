"""Opening TIFF, OME-TIFF, ImageJ and LSM files.

tifffile is used directly. BioIO reads these formats through tifffile as well, but reports a voxel size of 1.0
um for files that carry none, and wraps the pages in a Dask graph that the tiling here has no use for.
"""

from __future__ import annotations

import logging
import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np

from fastseg.errors import ReadError
from fastseg.io.lazy import reason
from fastseg.io.source import Scene, Source
from fastseg.io.tiff_array import TiffArray, truncated
from fastseg.io.tiff_metadata import OmeImage, imagej_spacing, lsm_spacing, ome_images
from fastseg.types import Spacing

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

# What tifffile only logs when the chain of pages, a tag's value or the declared shape does not fit the file.
_DAMAGE = re.compile(
    r"invalid page offset|invalid value offset|corrupted|failed to reshape|metadata invalid|invalid offset"
)


def open_tiff(path: str) -> Source:
    """Open a TIFF file and describe its scenes, which are its image series.

    Raises
    ------
    ReadError
        When the file is damaged, truncated or has no image.
    """
    from tifffile import TiffFile

    with _log_messages() as messages:
        try:
            with TiffFile(path) as file:
                scenes = _scenes(file, path)
                whole_chain = not (file.is_lsm or file.is_ndpi)  # these two wrap 32-bit offsets on purpose
        except ReadError:
            raise
        except Exception as error:
            raise _damaged(path, error) from error
    if any(_DAMAGE.search(message) for message in messages):
        raise ReadError(f"{path} is a damaged or truncated TIFF file: copy or export it again.")
    if whole_chain:
        check_chain(path)
    if not scenes:
        raise ReadError(f"{path} is a TIFF file without any image: export it again.")

    def open_scene(index: int) -> Scene:
        scene = scenes[index][1]
        array = scene.array
        assert isinstance(array, TiffArray)
        if 0 not in array.shape:
            with _log_messages():
                try:
                    array.check_complete()
                except ReadError:
                    raise
                except Exception as error:
                    raise _damaged(path, error) from error
        return scene

    return Source(path, "TIFF", tuple(name for name, _ in scenes), open_scene)


def _scenes(file: Any, path: str) -> list[tuple[str, Scene]]:
    images = _ome(file, path)
    series = list(file.series)
    if images and len(images) != len(series):
        images = []  # some image has no pixels here; which one belongs to which series is not said
    scenes = []
    for index, one in enumerate(series):
        level = one.levels[0]
        if len(level.shape) < 2:
            continue  # a directory without pixels
        dtype = level.dtype
        if dtype is None:
            raise ReadError(
                f"{path} stores its voxels in a way that is not supported: export it as an OME-TIFF."
            )
        array = TiffArray(path, index, tuple(level.shape), np.dtype(dtype).newbyteorder("="))
        ome = images[index] if images else None
        spacing = ome.spacing if ome else _spacing(file, one)
        notes: tuple[str, ...] = ()
        if spacing is None:
            notes = (f"no voxel size in {PurePath(path).name} (give it with --spacing)",)
        channels = level.shape[level.axes.index("C")] if "C" in level.axes else 1
        names = ome.channel_names if ome and len(ome.channel_names) == channels else ()
        scene = Scene(
            array=array,
            axes=level.axes,
            spacing=spacing,
            channel_names=names,
            one_plane=ome is not None and ome.one_plane,
            samples_are_planes=_samples_are_planes(one),
            notes=notes,
        )
        scenes.append((ome.name if ome else one.name, scene))
    return scenes


def _ome(file: Any, path: str) -> list[OmeImage]:
    if not file.is_ome or not file.ome_metadata:
        return []
    try:
        return ome_images(file.ome_metadata)
    except ElementTree.ParseError as error:
        raise ReadError(f"{path} has broken OME-XML metadata ({reason(error)}): export it again.") from error


def _spacing(file: Any, series: Any) -> Spacing | None:
    if series.kind == "imagej":
        tags = {
            name: tag.value
            for name in ("XResolution", "YResolution")
            if (tag := file.pages[0].tags.get(name))
        }
        return imagej_spacing(file.imagej_metadata or {}, tags)
    if series.kind == "lsm" and file.lsm_metadata:
        return lsm_spacing(file.lsm_metadata)
    return None


def _samples_are_planes(series: Any) -> bool:
    """Whether separate samples are planes of a stack.

    tifffile's writer used to store any array of 3 or 4 planes as separate RGB samples; such files carry its
    shape record ("shaped"). Samples that are not RGB at all are no colours either.
    """
    return series.kind == "shaped" or int(series.keyframe.photometric) in (0, 1)


def check_chain(path: str) -> None:
    """Follow the chain of page directories to its end.

    tifffile stops quietly at the last directory it can read, which makes half a file look like a smaller one.

    Raises
    ------
    ReadError
        When a directory lies outside the file, or the chain is a loop.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = struct.unpack(order + "H", head[2:4])[0] == 43
        offset = (
            struct.unpack(order + "Q", head[8:16])[0] if big else struct.unpack(order + "I", head[4:8])[0]
        )
        seen: set[int] = set()
        while offset:
            if offset in seen or offset >= size:
                raise truncated(path)
            seen.add(offset)
            offset = _next_directory(file, path, offset, order, big)


def _next_directory(file: BinaryIO, path: str, offset: int, order: str, big: bool) -> int:
    count_format, tag_size, next_format = ("Q", 20, "Q") if big else ("H", 12, "I")
    try:
        file.seek(offset)
        (count,) = struct.unpack(order + count_format, file.read(struct.calcsize(order + count_format)))
        file.seek(count * tag_size, 1)
        (following,) = struct.unpack(order + next_format, file.read(struct.calcsize(order + next_format)))
    except struct.error:
        raise truncated(path) from None
    return int(following)


def _damaged(path: str, why: BaseException) -> ReadError:
    return ReadError(f"{path} is a damaged or truncated TIFF file ({reason(why)}): copy or export it again.")


@contextmanager
def _log_messages() -> Iterator[list[str]]:
    """What tifffile logs meanwhile in this thread, instead of on standard error; others may be opening other files."""
    messages: list[str] = []
    own = threading.get_ident()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == own:
                messages.append(record.getMessage())

    logger, handler = logging.getLogger("tifffile"), Keep(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
