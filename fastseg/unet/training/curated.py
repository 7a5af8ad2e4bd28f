"""What a training folder made by curation says of all its images."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fastseg.errors import ReadError
from fastseg.unet.normalization import Recipe, stored_recipe

MANIFEST = "manifest.json"
"""File beside the images, see `fastseg.curation.manifest`."""


def recorded_recipe(data: str | os.PathLike[str]) -> str | Recipe | None:
    """The recipe that all images of a training folder were normalised with.

    Parameters
    ----------
    data : path-like
        As of `fastseg.unet.training.items.find_items`.

    Returns
    -------
    str, Recipe or None
        None if there is no manifest, or the images do not share a recipe.

    Raises
    ------
    ReadError
        If there is a manifest that cannot be read.
    """
    path = Path(data) / MANIFEST
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("normalization")
        return None if found is None else stored_recipe(found)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ReadError(f"{path} does not say how the images were normalised ({error})") from None
