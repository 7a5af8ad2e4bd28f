"""What every run over images is told: which of a file's stacks, where to compute, what to write; checked as a whole."""

from __future__ import annotations

import numbers
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fastseg.errors import UsageError
from fastseg.io.reading import is_zarr

FORMATS = {"ome-tiff": "tiff", "ome-zarr": "zarr"}
"""Formats of a result and the suffixes of their files."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What requests of every kind share.

    Attributes
    ----------
    scene : int or str, optional
        By index or name; needed where a file holds several.
    time : int, optional
        Time point; needed where a file holds several.
    axes : str, optional
        Letters of TCZYX for the files' axes, where they carry none or wrong ones.
    spacing : 3 floats, optional
        Voxel size (z, y, x) in micrometres, in place of the files'.
    format : {"ome-tiff", "ome-zarr"}
        Of the results.
    preview : bool
        Write a PNG of the image and its result.
    overwrite : bool
        Replace outputs that exist.
    tile : 3 ints, optional
        Largest tile (z, y, x) in voxels. The result does not depend on it.
    memory : int, optional
        Bytes that all processes together may take. This and the following ones make the run go stage by stage with
        intermediate volumes on disk, for images larger than memory; the results are the same.
    workers : int, optional
        Worker processes on this machine.
    scheduler : str, optional
        Address of a running Dask scheduler, whose workers are used.
    gpus : str, optional
        ``all`` or numbers such as ``0,1``: one worker a GPU.
    gpu_pool : int, optional
        Bytes that each worker of `gpus` reserves on its GPU at its start, with RMM.
    scratch : str or Path, optional
        Folder for the intermediate volumes; the system's temporary folder by default.
    resume : bool
        Go on after an interruption: images whose results are there are left as they are, and one that was computed
        stage by stage goes on after its last finished stage. Excludes `overwrite`.
    """

    scene: int | str | None = None
    time: int | None = None
    axes: str | None = None
    spacing: Sequence[float] | None = None
    format: Literal["ome-tiff", "ome-zarr"] = "ome-tiff"
    preview: bool = False
    overwrite: bool = False
    tile: tuple[int, int, int] | None = None
    memory: int | None = None
    workers: int | None = None
    scheduler: str | None = None
    gpus: str | None = None
    gpu_pool: int | None = None
    scratch: str | Path | None = None
    resume: bool = False

    @property
    def out_of_core(self) -> bool:
        """Whether the run goes stage by stage with intermediate volumes on disk."""
        given = (self.memory, self.workers, self.scheduler, self.gpus, self.scratch)
        return any(item is not None for item in given)


def check_format(request: RunRequest) -> str:
    """The suffix of the results' files.

    Raises
    ------
    UsageError
        If the format is unknown.
    """
    if request.format not in FORMATS:
        raise UsageError(f"format '{request.format}' is unknown: use {' or '.join(FORMATS)}")
    return FORMATS[request.format]


def check_run(request: RunRequest) -> None:
    """Refuse options that exclude each other or are out of range.

    Raises
    ------
    UsageError
    """
    check_tile(request.tile)
    if request.resume and request.overwrite:
        raise UsageError("--resume keeps what is there and --overwrite replaces it: give one of them")
    places = {"--workers": request.workers, "--scheduler": request.scheduler, "--gpus": request.gpus}
    given = [name for name, value in places.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other: choose where the work is done")
    if request.gpu_pool is not None and request.gpus is None:
        raise UsageError("--gpu-pool is for the workers of --gpus: give both")
    if request.workers is not None and request.workers < 1:
        raise UsageError(f"{request.workers} workers were asked for: at least 1 is needed")
    if request.memory is not None and request.memory < 1:
        raise UsageError(f"a memory budget of {request.memory} bytes is not possible: give more than 0")


def check_tile(tile: Sequence[int] | None, what: str = "tile") -> None:
    """Refuse what is no size of three whole numbers.

    Raises
    ------
    UsageError
    """
    if tile is None:
        return
    whole = all(isinstance(n, numbers.Integral) and not isinstance(n, bool) and n > 0 for n in tile)
    if len(tile) != 3 or not whole:
        raise UsageError(
            f"{what} {tuple(tile)} is not a size: three whole numbers z, y, x above 0 are needed"
        )


def check_not_inside_image(output: Path) -> None:
    """Refuse a folder inside an OME-Zarr image.

    Raises
    ------
    UsageError
        With both.
    """
    real = Path(os.path.realpath(output))
    for folder in (real, *real.parents):
        if folder.exists() and is_zarr(folder):
            raise UsageError(
                f"output folder {output} lies inside the OME-Zarr image {folder}: choose a folder outside it"
            )
