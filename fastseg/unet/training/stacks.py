"""Opening the files of a data set: which of their axes are channels and planes, and reading them by planes.

Training files come from many writers. Those of curation are labelled Z, Y, X; older ones carry their planes as
channels (a writer that took any array of three axes for C, Y, X), and some carry no labels. Labels are trusted where
they agree with the ground truth, which has a single axis besides Y and X: its planes. Where labels say nothing or
cannot be true, the truth decides, and where it cannot either, channels are taken to be fewer than planes, as the
reference does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.errors import InputError, ReadError
from fastseg.io.lazy import Squeezed, TczyxView
from fastseg.io.reading import open_source
from fastseg.io.source import Scene
from fastseg.types import Spacing
from fastseg.unet.graph import Triple
from fastseg.unet.training.items import TrainingItem

_SLAB = 1 << 26
"""Bytes that are decoded at one time, at least a plane."""

_OPENING = threading.Lock()
"""Damage is found in what tifffile logs while a file is opened: the log does not say for which of several threads."""


@dataclass(frozen=True)
class Stack:
    """A file as (C, Z, Y, X), read by planes.

    Attributes
    ----------
    path : str
    view : TczyxView
    spacing : (z, y, x) or None
        Voxel size in micrometres.
    """

    path: str
    view: TczyxView
    spacing: Spacing | None = None

    @property
    def channels(self) -> int:
        return self.view.shape[1]

    @property
    def shape(self) -> Triple:
        z, y, x = self.view.shape[2:]
        return z, y, x

    @property
    def dtype(self) -> np.dtype:
        return self.view.dtype

    def planes(self, wanted: range, dtype: Any = None) -> np.ndarray:
        """Planes (C, Z, Y, X); (Z, Y, X) of a map, which has one channel."""
        found = self.view[0, :, wanted.start : wanted.stop]
        return np.ascontiguousarray(found, dtype or self.dtype)

    def slabs(self) -> Iterator[range]:
        """Ranges of planes that cover the stack, of bounded size."""
        z, y, x = self.shape
        plane = self.channels * y * x * max(4, self.dtype.itemsize)
        step = max(1, _SLAB // plane)
        for start in range(0, z, step):
            yield range(start, min(start + step, z))


def channels_problem(image: Stack, wanted: int) -> str | None:
    """What is wrong with the number of channels of an image, as a sentence."""
    got = image.channels
    if got == wanted:
        return None
    return f"{image.path} has {got} channel{'s' if got > 1 else ''}; the network takes {wanted}"


class Map(Stack):
    """A stack of one channel."""

    def planes(self, wanted: range, dtype: Any = None) -> np.ndarray:
        return super().planes(wanted, dtype)[0]


@dataclass(frozen=True)
class ItemStacks:
    """The files of an item, of equal shapes (z, y, x)."""

    item: TrainingItem
    image: Stack
    truth: Map
    cost: Map | None

    @property
    def shape(self) -> Triple:
        return self.truth.shape

    def truth_planes(self, wanted: range) -> np.ndarray:
        """Classes (Z, Y, X), uint8 or int32.

        Raises
        ------
        InputError
            For values that are no classes: fractions, negative numbers.
        """
        found = self.truth.planes(wanted)
        if found.dtype in (np.uint8, np.bool_):
            return found.astype(np.uint8, copy=False)
        with np.errstate(invalid="ignore"):
            classes = found.astype(np.int32)
        if not np.array_equal(classes, found) or (classes.size and classes.min() < 0):
            raise InputError(
                f"{self.truth.path} holds values that are no classes: whole numbers from 0 are needed"
            )
        return classes


def open_item(item: TrainingItem) -> ItemStacks:
    """Open the files of an item, without reading voxels.

    Raises
    ------
    ReadError
        When a file cannot be read, or has axes that have no place here.
    InputError
        When the shapes differ.
    """
    truth = open_map(item.truth, "ground truth")
    image = open_image(item.image, truth.shape[0])
    cost = None if item.cost is None else open_map(item.cost, "cost map")
    for other, what in ((truth, "ground truth"), (cost, "cost map")):
        if other is not None and other.shape != image.shape:
            raise InputError(
                f"{item.name}: image {_size(image.shape)} and {what} {_size(other.shape)} differ in size "
                f"(z x y x x): {image.path}, {other.path}"
            )
    return ItemStacks(item, image, truth, cost)


def open_image(path: Any, planes: int | None = None) -> Stack:
    """Open an image.

    Parameters
    ----------
    path : path-like
    planes : int, optional
        Of its ground truth.

    Raises
    ------
    ReadError
    """
    scene, name = _open(path)
    lead = _lead(scene, name)
    letters = image_letters([(scene.axes[i], int(scene.array.shape[i])) for i in lead], planes)
    if letters is None:
        raise ReadError(
            f"{name} has axes {_spell(scene)}: an image to train with has planes and maybe channels, one time point"
        )
    return Stack(name, _view(scene, lead, letters, name), scene.spacing)


def open_map(path: Any, what: str) -> Map:
    """Open a ground truth or a cost map, which has planes only.

    Raises
    ------
    ReadError
    """
    scene, name = _open(path)
    lead = _lead(scene, name)
    if len(lead) > 1:
        raise ReadError(
            f"{name} has axes {_spell(scene)}: a {what} is one map (z, y, x), shared by all outputs of the network; "
            "train with one map a run"
        )
    return Map(name, _view(scene, lead, "Z" * len(lead), name), scene.spacing)


def image_letters(lead: list[tuple[str, int]], planes: int | None) -> str | None:
    """What the axes of an image before Y and X are.

    Parameters
    ----------
    lead : list of (str, int)
        Letter and length of those that are longer than 1, in the order of the file.
    planes : int or None
        Of the ground truth.

    Returns
    -------
    str or None
        A letter each, ``Z`` or ``C``; None if they cannot be an image.
    """
    if not lead:
        return ""
    if len(lead) == 1:
        ((letter, length),) = lead
        channels = letter == "C" and planes == 1 != length
        return "C" if channels else "Z"
    if len(lead) > 2:
        return None
    (first, a), (second, b) = lead
    if "T" in (first, second):
        return None
    if {first, second} == {"C", "Z"}:
        labelled = first + second
    else:
        labelled = "ZC" if a > b else "CZ"
    fits = {"CZ": b == planes, "ZC": a == planes}
    other = labelled[::-1]
    return other if fits[other] and not fits[labelled] else labelled


def _open(path: Any) -> tuple[Scene, str]:
    with _OPENING:
        source = open_source(path)
        count = len(source.scene_names)
        if count != 1:
            raise ReadError(f"{source.path} holds {count} images: a file of a data set holds one")
        return source.open_scene(0), source.path


def _lead(scene: Scene, name: str) -> list[int]:
    """Indices of the axes before Y and X that are longer than 1."""
    axes, shape = scene.axes, tuple(int(n) for n in scene.array.shape)
    dtype = np.dtype(scene.array.dtype)
    if dtype.kind not in "buif":
        raise ReadError(f"{name} holds voxels of type {dtype}: integers, floats or booleans are needed")
    if 0 in shape or not axes.endswith("YX"):
        raise ReadError(f"{name} has axes {_spell(scene)}: planes of Y and X are needed")
    if "S" in axes and not scene.samples_are_planes:
        raise ReadError(f"{name} is a colour (RGB) image ({_spell(scene)}): store its channels as channels")
    return [i for i in range(len(axes) - 2) if shape[i] > 1]


def _view(scene: Scene, lead: list[int], letters: str, name: str) -> TczyxView:
    count = len(scene.axes)
    kept = [*lead, count - 2, count - 1]
    return TczyxView(Squeezed(scene.array, kept), letters + "YX", label=name)


def _spell(scene: Scene) -> str:
    return f"{scene.axes} {' x '.join(str(int(n)) for n in scene.array.shape)}"


def _size(shape: Triple) -> str:
    return " x ".join(map(str, shape))
