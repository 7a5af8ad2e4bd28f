"""Compilation with a cache on disk that notices every change of the sources.

Numba's own cache looks at the file of a function, not at those of the functions it calls: after an upgrade that changed
only the arithmetic of a voxel it would go on running the old loops. Here the cache lies in a folder named after a hash
of all kernel sources, outside the installation.
"""

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path

from numba import config, njit


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
            return str(folder)
    return ""


def compiled(parallel=False):
    """Decorator: compile for the CPU without the interpreter lock, cached on disk where a folder can be written.

    Parameters
    ----------
    parallel : bool
        Run `prange` loops on all threads.
    """

    def decorate(function):
        before = config.CACHE_DIR
        folder = cache_folder()
        config.CACHE_DIR = folder  # read when the cache of a function is set up, which is now
        try:
            return njit(parallel=parallel, nogil=True, cache=bool(folder))(function)
        finally:
            config.CACHE_DIR = before

    return decorate
