"""Raw images, segmentations and masks as they come: what is read of a file, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastseg.errors import InputError, ReadError
from fastseg.io import Image, read
from fastseg.io.reading import describe
from fastseg.types import AXES, Spacing

_FOREGROUND = 0.01
"""Value above which a voxel of a segmentation is foreground, as in the reference."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A segmentation.

    Attributes
    ----------
    values : array (Z, Y, X)
        As in the file.
    mask : bool array (Z, Y, X)
    labelled : bool
        Whether the values are those of a label image: integers of more than one kind.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres.
    """

    values: np.ndarray
    mask: np.ndarray
    labelled: bool
    spacing: Spacing | None = None


def read_raw(
    path: str | os.PathLike[str],
    *,
    channel: int | str | None = None,
    scene: int | str | None = None,
    time: int | None = None,
    axes: str | None = None,
    spacing: Sequence[float] | None = None,
) -> Image:
    """Open a raw stack; its voxels are read by ``volume()``.

    Parameters
    ----------
    channel, scene, time : int or str, optional
        Needed only where a file holds several.
    axes, spacing
        In place of the file's.

    Raises
    ------
    ReadError, SelectionError, UsageError
        As of `fastseg.io.read`.
    """
    return read(path, channel=channel, scene=scene, time=time, axes=axes, spacing=spacing)


def read_segmentation(path: str | os.PathLike[str], threshold: float | None = None) -> Segmentation:
    """Read a segmentation: a mask of 0 and 1 or 0 and 255, or a label image.

    Parameters
    ----------
    path : path-like
        TIFF or OME-Zarr. Axes of length 1 are dropped; planes that are stored as channels, as by the reference, count
        as planes.
    threshold : float, optional
        Foreground is above it, in a file of floats: for probabilities.

    Raises
    ------
    ReadError
        If it cannot be read, or is no single stack.
    InputError
        For NaN, and for values that neither masks nor labels have (probabilities) without a threshold.
    """
    image = read_stack(path)
    values = image.volume()
    file = Path(path)
    if values.dtype.kind == "f":
        _check_floats(file, values, threshold)
    limit = threshold if threshold is not None and values.dtype.kind == "f" else _FOREGROUND
    mask = values if values.dtype == bool else values > limit
    labelled = values.dtype.kind in "ui" and _has_several(values)
    return Segmentation(values, mask, labelled, image.spacing)


def _check_floats(file: Path, values: np.ndarray, threshold: float | None) -> None:
    # Plane by plane: a stack of booleans more would be as large as the image.
    for plane in values:
        if not np.isfinite(plane).all():
            raise InputError(f"{file} holds NaN or infinite values: a segmentation holds 0 and 1, or labels")
        odd = plane != np.rint(plane)
        if threshold is None and odd.any():
            value = plane[odd][0]
            what = "probabilities" if 0 < value < 1 else "neither a mask nor labels"
            raise InputError(
                f"{file} holds values such as {value:.4g}, {what}: say with --threshold above which value a voxel is "
                "foreground"
            )


def _has_several(values: np.ndarray) -> bool:
    first = 0
    for plane in values:
        inside = plane[plane > 0]
        if inside.size:
            first = first or int(inside[0])
            if (inside != first).any():
                return True
    return False


def read_stack(path: str | os.PathLike[str]) -> Image:
    """Open a stack that has no channels: a segmentation or a mask.

    Axes of length 1 are dropped, and what is left is taken as ZYX or as YX, one plane. A Z axis that is stored as
    channels, as the reference writes it, counts as Z.

    Raises
    ------
    ReadError
        If there is more than one scene, or more axes than three are longer than 1, or they are labelled otherwise.
    """
    found = describe(path)
    if len(found.scenes) > 1:
        raise ReadError(f"{path} holds {len(found.scenes)} scenes: a segmentation or mask is one stack")
    return read(path, axes=_as_stack(found.scenes[0].axes, found.scenes[0].shape))


def _as_stack(axes: str, shape: Sequence[int]) -> str | None:
    """Letters for a file's axes that make a stack of it; None where its own do, or nothing does."""
    if not set(axes) <= set(AXES):
        return None
    long = [letter for letter, n in zip(axes, shape, strict=True) if n > 1 and letter not in "YX"]
    if long == ["C"]:
        return axes.translate(str.maketrans("CZ", "ZC"))
    if long or "Z" in axes:
        return None
    single = next((letter for letter in axes if letter not in "YX"), None)
    return f"Z{axes}" if single is None else axes.replace(single, "Z")


def check_same_shape(
    what: str | os.PathLike[str], shape: Sequence[int], raw: str | os.PathLike[str], expected: Sequence[int]
) -> None:
    """Refuse a segmentation or mask that is not of its image's shape.

    Raises
    ------
    InputError
    """
    if tuple(shape) != tuple(expected):
        raise InputError(
            f"{what} has {_spell(shape)} planes, rows and columns; its image {raw} has {_spell(expected)}"
        )


def _spell(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
