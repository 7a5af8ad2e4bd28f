"""Writing OME-TIFF: ZYX, deflate-compressed planes, voxel size in OME-XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastseg import __version__
from fastseg.io.atomic import atomic_output
from fastseg.io.tiff_metadata import CREATOR
from fastseg.io.voxels import Voxels
from fastseg.types import Spacing

OME_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""Data types that the OME schema has, of the real ones."""

_BIG = 2**32 - 2**27
"""Uncompressed bytes from which offsets may pass 32 bits, with room for the directories of every page."""

_LEVEL = 6


def write_ome_tiff(
    path: Path, voxels: Voxels, *, spacing: Spacing | None, name: str, overwrite: bool
) -> Path:
    """Write one stack.

    Parameters
    ----------
    path : Path
        The file; it appears only when complete.
    voxels : Voxels
        (Z, Y, X), read a slab at a time.
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
    needed = voxels.nbytes + 4096 + 512 * voxels.shape[0]
    with (
        atomic_output(path, overwrite=overwrite, needed=needed) as temporary,
        TiffWriter(temporary, bigtiff=needed >= _BIG, ome=True) as file,
    ):
        file.write(
            voxels.planes(),
            shape=voxels.shape,
            dtype=voxels.dtype,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": _LEVEL},
            rowsperstrip=voxels.shape[1],
            metadata=metadata,
        )
    return path
