"""Writing OME-TIFF: ZYX, deflate-compressed strips, voxel size in OME-XML."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from fastseg import __version__
from fastseg.io.atomic import atomic_output
from fastseg.io.tiff_metadata import CREATOR
from fastseg.io.voxels import Voxels, bands
from fastseg.types import Spacing

OME_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""Data types that the OME schema has, of the real ones."""

_BIG = 2**32 - 2**27
"""Uncompressed bytes from which offsets may pass 32 bits, with room for the directories of every page."""

_LEVEL = 6

_ONE_STRIP = 1 << 22
_STRIP = 1 << 20
"""Bytes of a plane up to which it is one strip, and bytes of a strip of larger planes: readers decode whole strips."""

_HELD = 1 << 26
"""Bytes of compressed strips that wait in memory for those above them; more wait on disk."""

_THREADS = 4


def write_ome_tiff(
    path: Path, voxels: Voxels, *, spacing: Spacing | None, name: str, overwrite: bool
) -> Path:
    """Write one stack.

    Parameters
    ----------
    path : Path
        The file; it appears only when complete.
    voxels : Voxels
        (Z, Y, X), each voxel read once. It takes the memory of a part of 128 MiB and of its conversion,
        however large the stack or its planes are.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres, left out when None.
    name : str
        Of the image and its one channel.
    overwrite : bool
        Whether an existing file is replaced.

    Raises
    ------
    WriteError
        When the file exists already or cannot be written.
    """
    from tifffile import TiffWriter

    metadata: dict[str, Any] = {
        "axes": "ZYX",
        "Name": name,
        "Creator": f"{CREATOR} {__version__}",
        "Channel": {"Name": name},
    }
    if spacing is not None:
        for axis, length in zip("ZYX", spacing, strict=True):
            metadata[f"PhysicalSize{axis}"] = float(length)
            metadata[f"PhysicalSize{axis}Unit"] = "µm"
    depth, height, width = voxels.shape
    rows = _rows(height, width * voxels.dtype.itemsize)
    needed = voxels.nbytes + 4096 + depth * (512 + 32 * -(-height // rows))
    with (
        atomic_output(path, overwrite=overwrite, needed=needed) as temporary,
        TiffWriter(temporary, bigtiff=needed >= _BIG, ome=True) as file,
    ):
        file.write(
            _strips(voxels, rows, temporary.parent),
            shape=voxels.shape,
            dtype=voxels.dtype,
            photometric="minisblack",
            compression="zlib",
            rowsperstrip=rows,
            metadata=metadata,
        )
    return path


def _rows(height: int, row: int) -> int:
    """Rows of a strip, for planes of `height` rows of `row` bytes."""
    if height * row <= _ONE_STRIP:
        return height
    return min(height, 1 << max(0, (_STRIP // row).bit_length() - 1))


def _strips(voxels: Voxels, rows: int, folder: Path) -> Iterator[bytes]:
    """The compressed strips of all planes, in the order of the file.

    Where a slab is read in several bands, strips of its first plane come from all of them: what is compressed
    waits until the last band is read.
    """
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for planes, parts in bands(voxels.array, rows, voxels.dtype.itemsize):
            if len(parts) == 1:
                yield from pool.map(_compressed, _cut(voxels[planes, parts[0]], rows))
                continue
            with tempfile.SpooledTemporaryFile(max_size=_HELD, dir=str(folder)) as waiting:
                places: list[list[tuple[int, int]]] = [[] for _ in range(planes.stop - planes.start)]
                for part in parts:
                    per_plane = -(-(part.stop - part.start) // rows)
                    strips = pool.map(_compressed, _cut(voxels[planes, part], rows))
                    for number, strip in enumerate(strips):
                        places[number // per_plane].append((waiting.tell(), len(strip)))
                        waiting.write(strip)
                for place in places:
                    for offset, length in place:
                        waiting.seek(offset)
                        yield waiting.read(length)


def _cut(block: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    for plane in block:
        for start in range(0, len(plane), rows):
            yield plane[start : start + rows]


def _compressed(strip: np.ndarray) -> bytes:
    from imagecodecs import deflate_encode

    data: Any = np.ascontiguousarray(strip)
    return bytes(deflate_encode(data, level=_LEVEL))
