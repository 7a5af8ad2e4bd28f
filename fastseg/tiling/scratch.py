"""The folder of a run's intermediate volumes: made, locked, found again after a crash, and removed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from fastseg.arrays import Namespace
from fastseg.errors import UsageError, WriteError
from fastseg.tiling.chunked import ScratchVolume, chunks_of
from fastseg.tiling.journal import Journal
from fastseg.tiling.shelf import FolderShelf, Shelf
from fastseg.tiling.volume import Volume

_PREFIX = "fastseg-scratch-"
_LOCK = "lock"


class Scratch:
    """Volumes in a folder of their own below `parent`, removed at the end of a ``with`` block.

    Parameters
    ----------
    parent : path, optional
        The system's temporary folder by default.
    key : str
        Letters and digits that tell this work from any other; needed to go on with it later.
    resume : bool
        Take over the folder that an earlier run with the same key has left, if there is one; and leave the folder in
        place when the block ends with an exception. Otherwise it is removed then, too.

    Attributes
    ----------
    folder : Path
    journal : Journal

    Raises
    ------
    WriteError
        If the folder cannot be made.
    UsageError
        If the installed zarr is too old.

    Notes
    -----
    A folder in use is locked, so two runs of the same work do not share one. Only folders that this user owns and
    nobody else may write to are taken over.
    """

    def __init__(self, parent: str | Path | None = None, key: str = "", resume: bool = False) -> None:
        found = version("zarr")
        if int(found.partition(".")[0]) < 3:
            raise UsageError(
                f"scratch volumes need zarr 3 or later, {found} is installed: pip install 'zarr>=3'"
            )
        self._keep = resume
        self._lock: int | None = None
        place = Path(tempfile.gettempdir() if parent is None else parent)
        try:
            place.mkdir(parents=True, exist_ok=True)
            if not (resume and self._take_over(place, key)):
                self.folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{key}-" if key else _PREFIX, dir=place))
                self._lock = _locked(self.folder)
        except OSError as error:
            raise WriteError(f"scratch folder {place} cannot be used: {error.strerror}") from None
        self.journal = Journal(self.folder)
        self.remove_unfinished()
        self._number = 1 + max((int(p.stem) for p in self.folder.iterdir() if p.stem.isdigit()), default=-1)

    def _take_over(self, place: Path, key: str) -> bool:
        """Choose, among folders of this work that nobody uses, the one that has come furthest."""
        best = 0
        for folder in sorted(place.glob(f"{_PREFIX}{key}-*")):
            if not _is_private(folder) or (lock := _locked(folder)) is None:
                continue
            stages = Journal(folder).read().stages
            if stages > best:
                if self._lock is not None:
                    os.close(self._lock)
                best, self.folder, self._lock = stages, folder, lock
            else:
                os.close(lock)
        return best > 0

    def _path(self, suffix: str) -> Path:
        path = self.folder / f"{self._number}.{suffix}"
        self._number += 1
        return path

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        return ScratchVolume(str(self._path("zarr")), tuple(shape), chunks_of(tile, shape))

    def shelf(self) -> Shelf:
        return FolderShelf(self._path("shelf"))

    def release(self, item: Volume | Shelf) -> None:
        if isinstance(item, ScratchVolume):
            shutil.rmtree(item.path, ignore_errors=True)
        elif isinstance(item, FolderShelf):
            shutil.rmtree(item.folder, ignore_errors=True)

    def remove_unfinished(self) -> None:
        """Remove what a stage has left that ended with an error, when nobody writes to it any more."""
        _remove_unfinished(self.folder, self.journal.read().known.values())

    def close(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._keep:
            self._unlock()
        else:
            self.close()


def _remove_unfinished(folder: Path, finished: Iterable[Any]) -> None:
    """Remove what an interrupted stage has left."""
    kept = {Path(item.path).name for item in finished if isinstance(item, ScratchVolume)}
    for path in folder.iterdir():
        if path.is_dir() and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _is_private(folder: Path) -> bool:
    status = folder.lstat()
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and status.st_uid == os.getuid()
        and not status.st_mode & 0o022
    )


def _locked(folder: Path) -> int | None:
    """Lock a folder for this process, and give the open file that holds the lock; None if another one holds it."""
    import fcntl

    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    except OSError:
        return file  # a file system without locks: better to work than to refuse
    return file
