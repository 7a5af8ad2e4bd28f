"""A folder of training images: three files an image, by number, each image whole or unseen by training.

A trainer finds images by their ``_GT`` files, which are therefore put in place last and taken away first.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fastseg.errors import UsageError, WriteError
from fastseg.io import prepare_directory, write_image, write_mask
from fastseg.io.atomic import write_error
from fastseg.types import Spacing

LOCK = ".fastseg-curation.lock"

_NAME = re.compile(r"img_(\d+)(?:_GT|_CM)?\.ome\.tiff?")
_STAGING = ".img_*.part"
_CHUNK = 1 << 20


def file_names(number: int) -> tuple[str, str, str]:
    """Names of image, cost map and ground truth, in the order in which they are put in place."""
    stem = f"img_{number:03d}"
    return f"{stem}.ome.tif", f"{stem}_CM.ome.tif", f"{stem}_GT.ome.tif"


class TrainingSet:
    """A folder of training images.

    Parameters
    ----------
    folder : path-like
        Made by `locked` if it does not exist.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to the folder, and remove what killed ones left half-written.

        Raises
        ------
        UsageError
            If another process does, or the folder cannot be written to.
        """
        try:
            prepare_directory(self.folder)
        except WriteError as error:
            raise UsageError(str(error)) from error
        with open(self.folder / LOCK, "w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"another process curates into {self.folder}: wait until it ends") from None
            except OSError:
                pass  # a file system without locks
            for left in self.folder.glob(_STAGING):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def highest(self) -> int:
        """The highest number of any file of an image, 0 if there is none."""
        if not self.folder.is_dir():
            return 0
        found = (_NAME.fullmatch(name) for name in os.listdir(self.folder))
        return max((int(match[1]) for match in found if match), default=0)

    def paths(self, number: int) -> tuple[Path, ...]:
        """The three files of an image."""
        return tuple(self.folder / name for name in file_names(number))

    def write(
        self,
        number: int,
        image: np.ndarray,
        label: np.ndarray,
        cost: np.ndarray,
        spacing: Spacing | None,
        *,
        only_missing: bool = False,
    ) -> dict[str, dict[str, object]]:
        """Write an image: all three files, or none.

        Parameters
        ----------
        number : int
        image : float32 array (Z, Y, X)
        label : bool array (Z, Y, X)
        cost : float32 array (Z, Y, X)
        spacing : tuple of float or None
            Voxel size (z, y, x) in micrometres.
        only_missing : bool
            Leave files alone that are there.

        Returns
        -------
        dict
            Bytes and SHA-256 of each file, by name.

        Raises
        ------
        WriteError
            If they cannot be written.
        """
        names = file_names(number)
        staging = self.folder / f".img_{number:03d}.{os.getpid()}.part"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            staging.mkdir()
            write_image(staging / names[0], image, spacing=spacing, name="image")
            write_image(staging / names[1], cost, spacing=spacing, name="cost")
            write_mask(staging / names[2], label, spacing=spacing, foreground=1)
            facts = {name: file_facts(staging / name) for name in names}
            wanted = [n for n in names if not (only_missing and (self.folder / n).exists())]
            if names[-1] in wanted:  # while the others change, training does not see the image
                (self.folder / names[-1]).unlink(missing_ok=True)
            for name in wanted:
                os.replace(staging / name, self.folder / name)
        except OSError as error:
            raise write_error(self.folder / names[0], error, 9 * image.size) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return facts


def file_facts(path: Path) -> dict[str, object]:
    """Bytes and SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while part := stream.read(_CHUNK):
            digest.update(part)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def missing_files(folder: Path, files: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Names of the files that are not there."""
    return [name for name in files if not (folder / name).is_file()]


def changed_files(folder: Path, files: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Names of the files that are there, but of another size than when they were written."""
    return [
        name
        for name, facts in files.items()
        if (folder / name).is_file() and (folder / name).stat().st_size != facts["bytes"]
    ]


def array_digest(array: np.ndarray, *more: object) -> str:
    """SHA-256 of an array's type, shape and voxels, and of what else is said by its text."""
    digest = hashlib.sha256(repr((array.dtype.str, array.shape, more)).encode())
    for plane in array:
        digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()
