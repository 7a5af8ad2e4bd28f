"""Compilation with a cache on disk that notices every change of the sources.

Numba's own cache looks at the file of a function, not at those of the functions it calls: after an upgrade that changed
only the arithmetic of a voxel it would go on running the old loops. Here the cache lies in a folder named after a hash
of all kernel sources, outside the installation. Folders of other states of the sources are removed in time.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from numba import config, njit

from fastseg.kernels.linking import KERNEL, PART

_NAME = re.compile(r"kernels-[0-9a-f]{16}")
_REMOVED = re.compile(r"kernels-[0-9a-f]{16}\.removed-[0-9]+")
_KEPT = 3
_IDLE = 3600
"""Seconds after its last use in which a folder is left alone: a process may be about to compile into it."""


@cache
def cache_folder():
    """The folder of compiled kernels, below $NUMBA_CACHE_DIR, or the user's cache, or the temporary folder."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode())
        digest.update(path.read_bytes())
    name = f"kernels-{digest.hexdigest()[:16]}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shared = Path(tempfile.gettempdir()) / f"fastseg-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    for base in (Path(config.CACHE_DIR) if config.CACHE_DIR else None, user / "fastseg", shared):
        if base is None:
            continue
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            with suppress(OSError):
                os.utime(folder)  # when a process began to use it
                remove_old(folder)
            return str(folder)
    return ""


def remove_old(folder):
    """Remove the folders of compiled kernels beside `folder`, but for it and the latest used ones.

    Several processes may do so at once, and others may be using what is removed: a folder disappears in one go, what a
    process has loaded stays in its memory, and Numba makes a folder that is missing anew before it writes there.

    Parameters
    ----------
    folder : Path
        The folder in use.
    """
    others, doomed = [], []
    for path in folder.parent.iterdir():
        if _REMOVED.fullmatch(path.name):  # by a process that ended before it was done
            doomed.append(path)
        elif _NAME.fullmatch(path.name) and path != folder and not path.is_symlink():
            with suppress(OSError):  # another process was faster
                others.append((path.stat().st_mtime, path))
    for used, path in sorted(others, reverse=True)[_KEPT - 1 :]:
        if time.time() - used > _IDLE:
            with suppress(OSError):
                doomed.append(path.rename(path.with_name(f"{path.name}.removed-{os.getpid()}")))
    for path in doomed:
        shutil.rmtree(path, ignore_errors=True)


def compiled(function):
    """Decorator: compile for the CPU without the interpreter lock, cached on disk where a folder can be written."""
    folder = cache_folder()
    before = config.CACHE_DIR
    config.CACHE_DIR = folder  # read when the cache of a function is set up, which is now
    try:
        return njit(
            nogil=True, cache=bool(folder), no_cfunc_wrapper=True, error_model="numpy", pipeline_class=KERNEL
        )(function)
    finally:
        config.CACHE_DIR = before


def inner(function):
    """Decorator: as `compiled`, for what only compiled functions call.

    An entry from Python takes a fifth of the time to compile, so these have none; and they are cached as a part of
    their callers, not on their own.
    """
    return njit(
        nogil=True, no_cfunc_wrapper=True, no_cpython_wrapper=True, error_model="numpy", pipeline_class=PART
    )(function)
