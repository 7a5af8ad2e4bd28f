"""Outputs that are either complete or absent."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastseg.errors import WriteError
from fastseg.io.lazy import reason

_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(WriteError):
    """A part of an output found the disk full; :func:`atomic_output` reports it with what is free once the rest
    is removed."""


def prepare_directory(path: str | os.PathLike[str]) -> Path:
    """Create a directory where needed and make sure that files can be written to it.

    Raises
    ------
    WriteError
        When it cannot be created, is a file, or cannot be written to.
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory, prefix=".fastseg-"):
            pass
    except OSError as error:
        raise WriteError(f"output folder {directory} cannot be written to: {_why(error)}.") from error
    return directory


def check_absent(path: Path, overwrite: bool) -> None:
    """Refuse to replace an output that is there already, unless told to.

    Raises
    ------
    WriteError
        When `path` exists and `overwrite` is false.
    """
    if not overwrite and os.path.lexists(path):
        raise WriteError(f"{path} exists already: give --overwrite to replace it.")


@contextmanager
def atomic_output(path: str | os.PathLike[str], *, overwrite: bool, needed: int) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and vanishes when it does
    not.

    Parameters
    ----------
    path : path-like
        The output: a file or a directory, as the block makes it.
    overwrite : bool
        Whether an existing output may be replaced.
    needed : int
        Bytes the output takes at most, for the message when the disk is full.

    Raises
    ------
    WriteError
        When the output exists and may not be replaced, or the block fails with an OSError (no space, no
        permission) or with the error that :func:`write_error` made of one, maybe in another process.
    """
    final = Path(path)
    check_absent(final, overwrite)
    # Hidden, and without an image's suffix: nothing mistakes it for a result, even after a power cut.
    temporary = final.with_name(f".{final.name[:120]}.{uuid.uuid4().hex[:12]}.part")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        check_absent(final, overwrite)
        _install(temporary, final)
    except (OSError, DiskFull) as error:
        _remove(temporary)  # first, so that the free space reported is what a second attempt will find
        if isinstance(error, OSError) and not _is_full(error):
            raise write_error(final, error, needed) from error
        raise _disk_full(final, needed) from error
    finally:
        _remove(temporary)


def _install(temporary: Path, final: Path) -> None:
    """Rename; a directory in the way is moved aside first, since only files are replaced in one step."""
    if temporary.is_file():
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
    if not final.is_dir() or final.is_symlink():
        os.replace(temporary, final)
        return
    aside = temporary.with_suffix(".old")
    os.rename(final, aside)
    try:
        os.rename(temporary, final)
    except BaseException:
        os.rename(aside, final)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def write_error(path: Path, error: OSError, needed: int) -> WriteError:
    """What to raise where `error` stops a part of the output `path`, which takes `needed` bytes at most."""
    if _is_full(error):
        return DiskFull(f"{path} cannot be written: the disk is full, up to {needed:,} bytes are needed.")
    return WriteError(f"{path} cannot be written: {_why(error)}.")


def _is_full(error: OSError) -> bool:
    # numpy reports a short write without an error number, but with these words.
    return error.errno in _FULL or (error.errno is None and "requested and" in str(error))


def _disk_full(path: Path, needed: int) -> WriteError:
    free = _free_bytes(path.parent)
    there = "an unknown number of" if free is None else f"{free:,}"
    return WriteError(
        f"{path} cannot be written: the disk is full, up to {needed:,} bytes are needed and {there} bytes are "
        f"free in {path.parent}."
    )


def _free_bytes(directory: Path) -> int | None:
    for folder in (directory, *directory.parents):
        with suppress(OSError):
            return shutil.disk_usage(folder).free
    return None


def _why(error: OSError) -> str:
    known = {
        errno.EACCES: "permission denied",
        errno.EPERM: "permission denied",
        errno.EROFS: "the file system is read-only",
        errno.EEXIST: "a file of that name is in the way",
        errno.ENOTDIR: "a part of its path is a file, not a folder",
        errno.ENAMETOOLONG: "the name is too long",
    }
    code = error.errno
    return known.get(code, error.strerror or reason(error)) if code is not None else reason(error)
