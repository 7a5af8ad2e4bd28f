"""What a reader hands over before anything is chosen: the scenes of a file, each as it is stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastseg.io.lazy import Sliceable
from fastseg.types import Spacing


@dataclass(frozen=True, eq=False)
class Scene:
    """One image of a file, nothing selected.

    Attributes
    ----------
    array : array-like
        Lazy array in the file's own axis order.
    axes : str
        The file's letter for each axis; letters outside TCZYX are unlabelled axes, S are colour samples.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres.
    channel_names : tuple of str
        One for each channel, or empty.
    one_plane : bool
        Whether a missing Z axis means a stack of one plane, rather than a 2-D image.
    samples_are_planes : bool
        Whether leading samples (SYX) are planes that a writer mislabelled, rather than colours.
    notes : tuple of str
        Remarks about what the file leaves open.
    """

    array: Sliceable
    axes: str
    spacing: Spacing | None = None
    channel_names: tuple[str, ...] = ()
    one_plane: bool = False
    samples_are_planes: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Source:
    """An opened file: the names of its scenes, and how to open one of them by index."""

    path: str
    format: str
    scene_names: tuple[str, ...]
    open_scene: Callable[[int], Scene]
