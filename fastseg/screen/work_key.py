"""A name for the work on one image, under which an interrupted run finds its intermediate volumes again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from fastseg.io import Image
from fastseg.screen.run_request import RunRequest
from fastseg.version import __version__


def work_key(request: RunRequest, image: Image, *facts: Any) -> str:
    """The same for the same image and facts. Tiles, memory and workers may differ.

    Parameters
    ----------
    request : RunRequest
    image : Image
    *facts
        What else decides the result, such as parameters; compared by their ``repr``.
    """
    path = Path(os.path.realpath(image.source))
    every = (
        __version__,
        *facts,
        str(path),
        (request.scene, request.time, request.axes),
        image.shape,
        [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in _marks(path)],
    )
    return hashlib.sha256(repr(every).encode()).hexdigest()[:16]


def _marks(path: Path) -> list[Path]:
    """Files whose size and time tell whether an image is still the same: itself, or what lies on top in a folder."""
    return sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
