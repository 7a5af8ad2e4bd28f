"""One image, ready for a workflow: voxels, voxel size, channel names and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastseg.errors import InputError
from fastseg.io.lazy import TczyxView
from fastseg.io.naming import image_stem
from fastseg.io.units import check_spacing
from fastseg.types import AXES, Spacing


@dataclass(frozen=True, eq=False)
class Image:
    """A 5-D image.

    Attributes
    ----------
    data : numpy.ndarray or TczyxView
        (T, C, Z, Y, X); a view reads only the slices that are taken.
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres; None when any of the three is unknown.
    channel_names : tuple of str
        Names of the channels in `data`, or empty when the file has none.
    source : str
        The file the image was read from, or "array".
    notes : tuple of str
        One-line remarks for the user about what had to be assumed.
    scene : str or None
        The scene that was chosen, when the file holds several.
    """

    data: Any
    spacing: Spacing | None = None
    channel_names: tuple[str, ...] = ()
    source: str = "array"
    notes: tuple[str, ...] = field(default=())
    scene: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, C, Z, Y, X)."""
        return tuple(int(n) for n in self.data.shape)

    @property
    def dtype(self) -> np.dtype:
        """Data type of the voxels, in native byte order."""
        return np.dtype(self.data.dtype).newbyteorder("=")

    @property
    def stem(self) -> str:
        """Start of the names of files made from this image; see :func:`fastseg.io.naming.image_stem`."""
        return image_stem(self.source, self.scene)

    def volume(self) -> np.ndarray:
        """The voxels as a (Z, Y, X) array of the image's own dtype in native byte order.

        For an image made from an array in memory this may be a view of it.

        Raises
        ------
        InputError
            When the image has several time points or channels.
        ReadError
            When the file turns out to be damaged.
        """
        t, c = self.shape[:2]
        if (t, c) != (1, 1):
            raise InputError(
                f"{self.source} has {t} time points and {c} channels: a volume has one of each, so choose "
                "them first."
            )
        return np.ascontiguousarray(self.data[0, 0], dtype=self.dtype)

    @classmethod
    def from_array(
        cls,
        array: Any,
        axes: str | None = None,
        spacing: Sequence[float] | None = None,
        channel_names: Sequence[str] | None = None,
        source: str = "array",
    ) -> Image:
        """Wrap an array.

        Parameters
        ----------
        array : array-like
            ZYX, or anything that `axes` names. Lazy arrays stay lazy.
        axes : str, optional
            One letter of TCZYX for each axis of `array`, in any order; Y and X are needed, Z too unless the
            array is one plane. Without it `array` has to be 3-D.
        spacing : sequence of float, optional
            Voxel size (z, y, x) in micrometres.
        channel_names : sequence of str, optional
            One name for each channel.
        source : str
            What messages call the image.

        Raises
        ------
        InputError
            When the axes are missing or do not fit, an axis has length 0, or the dtype is not a number.
        """
        if not (hasattr(array, "shape") and hasattr(array, "dtype")):
            array = np.asarray(array)
        shape = tuple(int(n) for n in array.shape)
        if axes is None:
            if len(shape) != 3:
                hint = (
                    "fastseg segments 3-D stacks" if len(shape) == 2 else "name its axes, such as axes='CZYX'"
                )
                raise InputError(f"{source} has shape {shape}, {len(shape)}-D instead of ZYX: {hint}.")
            axes = "ZYX"
        axes = axes.upper()
        if len(axes) != len(shape) or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes) <= set(AXES):
            raise InputError(
                f"{source}: axes={axes!r} does not fit shape {shape}; it takes one letter of {AXES} for "
                "each axis, Y and X "
                "included."
            )
        if 0 in shape:
            raise InputError(f"{source} has shape {shape}: an axis of length 0 holds no voxels.")
        dtype = np.dtype(array.dtype)
        if dtype.kind not in "buif":
            raise InputError(f"{source} has dtype {dtype}: integers, floats or booleans are needed.")
        names = tuple(channel_names or ())
        channels = shape[axes.index("C")] if "C" in axes else 1
        if names and len(names) != channels:
            raise InputError(
                f"{source} has {channels} channels but {len(names)} channel names {names} were given."
            )
        data: Any = TczyxView(array, axes, label=source)
        if isinstance(array, np.ndarray):
            data = data[...]  # nothing to defer: a plain view of the array
        return cls(data, None if spacing is None else check_spacing(spacing), names, source)
