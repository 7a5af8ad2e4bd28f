"""Reading one patch: of the image only the box that its pixels come from, of truth and cost the nearest voxels.

Truth and cost are taken here, on the CPU: choosing voxels is little work, and they are then the same on every device.
The image is interpolated on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np

from fastseg.types import Box
from fastseg.unet.extension import read_extended
from fastseg.unet.graph import Triple
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.geometry import Nearest, Turn, middle, turned_offsets
from fastseg.unet.training.volumes import Volumes

_REACH = {"bicubic": (1, 2), "linear": (0, 1)}
"""Voxels before and after the one at or before a place that interpolation looks at."""


@dataclass(frozen=True)
class Placement:
    """Where a patch lies.

    Attributes
    ----------
    item : int
    plane : int
        First plane of its truth, counted in the image, whether or not Z is mirrored.
    centre : (y, x)
        Of the patch, in the image, in pixels.
    turn : Turn
    """

    item: int
    plane: int
    centre: tuple[float, float]
    turn: Turn


@dataclass(frozen=True)
class PatchShape:
    """Sizes of patches, and how the image is read.

    Attributes
    ----------
    size_in, size_out : (z, y, x)
    extension : {"mirror", "zeros"}
    """

    size_in: Triple
    size_out: Triple
    extension: str

    @property
    def margin(self) -> Triple:
        z, y, x = ((a - b) // 2 for a, b in zip(self.size_in, self.size_out, strict=True))
        return z, y, x


@dataclass(frozen=True)
class RawPatch:
    """What is read of a patch.

    Attributes
    ----------
    image : array (C, Z, y, x), float32
        The box of the image that holds all that is looked at; Z already as in the patch.
    places : array (2, Y, X), float64
        Of the pixels of the patch, in that box.
    truth : array (Z', Y', X'), uint8 or int32
    cost : array (Z', Y', X'), float32
    """

    image: np.ndarray
    places: np.ndarray
    truth: np.ndarray
    cost: np.ndarray


def offsets_of(turn: Turn, shape: PatchShape, bent: np.ndarray | None = None) -> np.ndarray:
    """Offsets (2, Y, X) of the pixels of the image patch from its centre."""
    offsets = turned_offsets(turn, shape.size_in[1:])
    return offsets if bent is None else offsets + bent


def read_patch(
    volumes: Volumes,
    placement: Placement,
    offsets: np.ndarray,
    shape: PatchShape,
    settings: AugmentationSettings,
) -> RawPatch:
    """Read a patch whose pixels lie at `offsets` from its centre."""
    places = np.array(placement.centre)[:, None, None] + offsets
    reach = (
        (0, 0) if whole_voxels(places) else _REACH["bicubic" if settings.quantise else settings.interpolation]
    )
    low = [floor(axis.min()) - reach[0] for axis in places]
    high = [floor(axis.max()) + reach[1] + 1 for axis in places]
    first, margin = placement.plane, shape.margin[0]
    box = Box((first - margin, *low), (first - margin + shape.size_in[0], *high))
    image = _read(volumes.image, box, shape.extension)
    planes = range(first, first + shape.size_out[0])
    nearest = Nearest.to(middle(places, shape.size_out[1:]), volumes.shape[1:])
    truth = nearest.take(volumes.truth, planes)
    cost = take_cost(volumes, nearest, planes, settings.quantise)
    if placement.turn.flip[0]:
        image, truth, cost = image[:, ::-1].copy(), truth[::-1].copy(), cost[::-1].copy()
    return RawPatch(image, places - np.array(low, float)[:, None, None], truth, cost)


def whole_voxels(places: np.ndarray) -> bool:
    """Whether all places are those of voxels, so that nothing has to be interpolated."""
    return bool((places == np.rint(places)).all())


def take_cost(volumes: Volumes, nearest: Nearest, planes: range, quantise: bool) -> np.ndarray:
    """The cost of the voxels nearest to the pixels of a patch; 0 outside the image.

    With `quantise` as the reference rounds it: down to 255 steps of the largest cost in the volume, or of 1 if that is
    less.
    """
    if volumes.cost is None:
        return np.broadcast_to(nearest.inside, (len(planes), *nearest.inside.shape)).astype(np.float32)
    cost = nearest.take(volumes.cost, planes)
    if not quantise:
        return cost
    scale = max(1.0, volumes.largest_cost)
    steps = np.floor(cost.astype(np.float64) * 255 / scale)
    return (steps * scale / 255).astype(np.float32)


def _read(image: np.ndarray, box: Box, extension: str) -> np.ndarray:
    """A box (C, z, y, x) of an image, which may reach out of it; float32."""
    shape = image.shape[1:]
    if extension == "mirror":
        return read_extended(list(image), Box.whole(shape), shape, shape, box)
    out = np.zeros((len(image), *box.shape), np.float32)
    inside = box.intersect(Box.whole(shape))
    if inside.size:
        out[(slice(None), *inside.within(box))] = image[(slice(None), *inside.slices)]
    return out
