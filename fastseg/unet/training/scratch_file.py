"""A file for decoded volumes that stays behind under no circumstances, in one process or shared by several.

It is mapped for reading: what is mapped is given back by the system when memory is short, and read at the speed of
memory when it is not. It is written by ordinary writes, because a full disk is then an error and not a crash.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastseg.errors import WriteError

if TYPE_CHECKING:
    from fastseg.unet.training.team import Team


class ScratchFile:
    """A file without a name, of which views are arrays.

    Parameters
    ----------
    size : int
        Bytes, above 0; they take room on the disk when they are written.
    folder : Path, optional
        The system's for temporary files by default.
    team : Team, optional
        Processes of this machine that make their file at the same time and get one and the same. It has a name until
        all of them have opened it, and no content.

    Raises
    ------
    WriteError
    """

    def __init__(self, size: int, folder: Path | None = None, team: Team | None = None) -> None:
        self.file: int | None = None
        self._folder = folder
        try:
            self.file = _nameless(folder) if team is None else self._shared(team)
            os.truncate(self.file, size)
            self._map: mmap.mmap | None = mmap.mmap(self.file, size, access=mmap.ACCESS_READ)
        except OSError as error:
            self.close()
            where = folder or tempfile.gettempdir()
            raise WriteError(
                f"no scratch file of {size / 2**30:.1f} GiB for the training images can be made in {where}: "
                f"{error.strerror or error}"
            ) from None

    def _shared(self, team: Team) -> int:
        """The file of the process that leads, opened by all; what fails in one of them is an error in each."""
        path: str | None = None
        error: OSError | None = None
        if team.leads:
            try:
                self.file, path = tempfile.mkstemp(dir=self._folder, prefix=".fastseg-")
            except OSError as found:
                error = found
        try:
            there, error = team.gather((path, error))[0]
            if error is None and not team.leads:
                try:
                    self.file = os.open(there, os.O_RDWR)
                except OSError as found:
                    error = found
            problems = [found for found in team.gather(error) if found is not None]
        finally:
            if team.leads and path is not None:
                with suppress(FileNotFoundError):
                    os.unlink(path)
        if problems:
            raise problems[0]
        assert self.file is not None
        return self.file

    def view(self, shape: Sequence[int], dtype: np.dtype, offset: int) -> np.ndarray:
        """A read-only array that begins at a byte; what is written later is seen in it."""
        assert self._map is not None
        return np.frombuffer(self._map, dtype, prod(shape), offset).reshape(shape)

    def write(self, block: np.ndarray, place: int) -> None:
        """Write an array in C order from a byte on.

        Raises
        ------
        WriteError
            When the disk is full.
        """
        assert self.file is not None
        rest: memoryview = block.reshape(-1).view(np.uint8).data
        try:
            while rest:
                written = os.pwrite(self.file, rest, place)
                rest, place = rest[written:], place + written
        except OSError as error:
            raise WriteError(
                f"the scratch file for the training images cannot be written: {error.strerror or error}"
            ) from None

    def close(self) -> None:
        """Give the room on the disk back, as soon as no array looks into it any more. May be called twice."""
        self._map = None  # unmapped with the last array that looks into it
        if self.file is not None:
            os.close(self.file)
            self.file = None


def _nameless(folder: Path | None) -> int:
    with tempfile.TemporaryFile(dir=folder, prefix=".fastseg-") as file:
        return os.dup(file.fileno())
