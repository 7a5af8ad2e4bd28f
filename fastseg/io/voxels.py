"""Preparing voxels for a writer: shapes checked, values converted without ever wrapping."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.errors import InputError, UsageError, WriteError
from fastseg.io.content import Values, mask_values
from fastseg.io.lazy import Sliceable

_SLAB = 16
"""Planes read at a time where the array has no chunks."""

_BUDGET = 1 << 27
"""Bytes of a band."""


@dataclass(frozen=True, eq=False)
class Voxels:
    """A (Z, Y, X) array with the conversion that its values go through on the way to a file.

    Attributes
    ----------
    array : array-like
        Anything with a shape, a dtype and slicing; read in parts.
    values : Values
        The conversion.
    """

    array: Sliceable
    values: Values

    @property
    def dtype(self) -> np.dtype:
        """Of the converted values."""
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = (int(n) for n in self.array.shape)
        return z, y, x

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.values(np.asarray(self.array[key]))


def mask_voxels(mask: Any, foreground: int | float, dtype: Any) -> Voxels:
    """A mask, everything but 0 being foreground, with its values as `dtype`.

    Raises
    ------
    InputError
        When the mask is not 3-D.
    UsageError
        When `foreground` is 0 or does not fit `dtype`.
    """
    return Voxels(_stack(mask), mask_values(foreground, dtype))


def label_voxels(labels: Any, dtype: Any, allowed: tuple[str, ...] | None) -> Voxels:
    """Labels in `dtype` or, where that is too narrow for the greatest label, the next type that holds it.

    Parameters
    ----------
    labels : array-like of int
        (Z, Y, X).
    dtype : data-type or None
        None keeps the labels' own.
    allowed : tuple of str or None
        Types that the file format knows; None for all.

    Raises
    ------
    InputError
        When the labels are not 3-D integers.
    WriteError
        When no allowed type holds them.
    """
    array = _stack(labels)
    own = np.dtype(array.dtype)
    if own.kind == "b":
        return Voxels(array, Values(np.dtype(np.uint8)))
    if own.kind not in "ui":
        raise InputError(f"labels have dtype {own}: integers are needed.")
    wanted = own if dtype is None else np.dtype(dtype)
    if wanted.kind not in "ui":
        raise UsageError(f"label dtype {wanted} is not an integer type.")
    target = _holding(array, wanted, allowed)
    return Voxels(array, Values(target))


def image_voxels(image: Any, allowed: tuple[str, ...] | None) -> Voxels:
    """An image in its own dtype; booleans become 0 and 255, and types that the format lacks the next that
    holds the values.

    Raises
    ------
    InputError
        When the image is not 3-D or no array of numbers.
    WriteError
        When no allowed type holds its values.
    """
    array = _stack(image)
    own = np.dtype(array.dtype).newbyteorder("=")
    if own.kind == "b":
        return mask_voxels(array, 255, np.uint8)
    if own.kind in "ui":
        return Voxels(array, Values(_holding(array, own, allowed)))
    if own.kind != "f":
        raise InputError(f"images of dtype {own} cannot be written: integers, floats or booleans are needed.")
    if allowed is not None and own.name not in allowed:
        wider = np.dtype(np.float32 if own.itemsize < 4 else np.float64)
        if own.itemsize > wider.itemsize:
            raise InputError(f"images of dtype {own} cannot be written: use float64 or narrower.")
        own = wider
    return Voxels(array, Values(own))


def _stack(array: Any) -> Sliceable:
    if not (hasattr(array, "shape") and hasattr(array, "dtype")):
        array = np.asarray(array)
    if len(array.shape) != 3 or 0 in array.shape:
        raise InputError(
            f"a stack of shape {tuple(array.shape)} cannot be written: Z, Y and X of at least one voxel are "
            "needed."
        )
    return array


def _holding(array: Sliceable, wanted: np.dtype, allowed: tuple[str, ...] | None) -> np.dtype:
    """`wanted`, or the smallest allowed integer type that holds every value of `array`."""
    wanted, own = wanted.newbyteorder("="), np.dtype(array.dtype)
    usable = allowed is None or wanted.name in allowed
    if usable and np.can_cast(own, wanted):
        return wanted
    low, high = 0, 0
    for planes, parts in bands(array):
        for rows in parts:
            part = np.asarray(array[planes, rows])
            low, high = min(low, int(part.min())), max(high, int(part.max()))

    def holds(dtype: np.dtype) -> bool:
        return np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max

    if usable and holds(wanted):
        return wanted
    names = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
    choices = [np.dtype(n) for n in names if allowed is None or n in allowed]
    at_least = min(wanted.itemsize, max(c.itemsize for c in choices))
    for dtype in choices:
        if dtype.itemsize >= at_least and holds(dtype):
            return dtype
    raise WriteError(
        f"values from {low} to {high} fit no integer type of this format: write them as OME-Zarr (.zarr) "
        "instead."
    )


def bands(array: Sliceable, rows: int = 1, itemsize: int = 0) -> Iterator[tuple[slice, list[slice]]]:
    """Slabs of planes that cover `array`, in order, and bands of rows that cover each of them.

    A slab is as deep as a chunk, so that no chunk of a Zarr array is decoded once a plane. It has one band where
    that fits 128 MiB; otherwise bands are as high as fits, of whole chunks where these are not too large.

    Parameters
    ----------
    array : array-like
        (Z, Y, X), maybe with ``chunks``.
    rows : int
        Bands are multiples of it, but for the last.
    itemsize : int
        Bytes of a voxel after conversion, where that takes more than before.

    Yields
    ------
    slice
        Of planes.
    list of slice
        Of rows.
    """
    depth, height, width = (int(n) for n in array.shape)
    chunks = getattr(array, "chunks", None)
    known = isinstance(chunks, tuple) and len(chunks) == 3 and all(isinstance(c, int) for c in chunks)
    deep, high = (int(chunks[0]), int(chunks[1])) if known and chunks else (_SLAB, 1)
    fit = max(1, _BUDGET // (width * max(itemsize, np.dtype(array.dtype).itemsize)))  # rows of voxels
    deep = max(1, min(deep, fit // min(rows, height)))
    unit = -(-high // rows) * rows
    if unit > fit // deep:
        unit = rows
    step = max(unit, fit // deep // unit * unit)
    for start in range(0, depth, deep):
        slab = slice(start, min(start + deep, depth))
        yield slab, [slice(y, min(y + step, height)) for y in range(0, height, step)]
