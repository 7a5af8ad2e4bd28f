"""A TCZYX window on an array of any axis order, which reads only what is asked for."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from fastseg.errors import FastsegError, ReadError
from fastseg.types import AXES


class Sliceable(Protocol):
    """What an array on disk has to offer: a shape, a dtype and basic slicing."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...

    def __getitem__(self, key: Any, /) -> Any: ...


def reason(error: BaseException, limit: int = 160) -> str:
    """The first line of `error`'s message, short enough to sit inside a sentence."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."


class TczyxView:
    """5-D TCZYX view of `source` whose slices are read when taken.

    Parameters
    ----------
    source : array-like
        Anything with ``shape``, ``dtype`` and basic slicing by integers and slices of positive step.
    axes : str
        One letter of TCZYX for each axis of `source`, in its order; letters that are missing have length 1.
    fixed : mapping of str to int
        The chosen index of axes that are selected away; they have length 1 in the view.
    label : str
        What error messages call the image.

    Notes
    -----
    Slices come back as ``numpy.ndarray`` in native byte order. Integers drop their axis and slices keep it,
    as in numpy; index arrays and ``None`` are not supported.
    """

    def __init__(
        self, source: Sliceable, axes: str, fixed: Mapping[str, int] | None = None, label: str = "array"
    ):
        self.source = source
        self.axes = axes
        self.fixed = dict(fixed or {})
        self.label = label
        self.dtype = np.dtype(source.dtype).newbyteorder("=")
        lengths = dict(zip(axes, source.shape, strict=True))
        self.shape = tuple(1 if a in self.fixed else int(lengths.get(a, 1)) for a in AXES)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __getitem__(self, key: Any) -> np.ndarray:
        ranges, local = _normalise(key, self.shape)
        if any(len(r) == 0 for r in ranges):
            return np.empty([len(r) for r in ranges], self.dtype)[local]
        wanted = dict(zip(AXES, ranges, strict=True))
        index = tuple(self.fixed[a] if a in self.fixed else _forward(wanted[a]) for a in self.axes)
        block = self._fetch(index)
        kept = [a for a in self.axes if a not in self.fixed]
        block = block.transpose([kept.index(a) for a in AXES if a in kept])
        block = block[tuple(slice(None) if a in kept else None for a in AXES)]
        flips = tuple(slice(None, None, -1) if r.step < 0 and len(r) > 1 else slice(None) for r in ranges)
        return block[flips][local]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an image on disk cannot be turned into an array without a copy")
        array = self[...]
        return array if dtype is None else array.astype(dtype, copy=False)

    def __repr__(self) -> str:
        return f"TczyxView({self.label}, shape={self.shape}, dtype={self.dtype})"

    def _fetch(self, index: tuple[int | slice, ...]) -> np.ndarray:
        try:
            return np.asarray(self.source[index]).astype(self.dtype, copy=False)
        except (FastsegError, MemoryError):
            raise
        except Exception as error:
            raise ReadError(
                f"{self.label}: reading its voxels failed ({reason(error)}); the file is damaged or "
                "incomplete, "
                "export it again."
            ) from error


class Squeezed:
    """A lazy array without some of its axes of length 1, of which only the `kept` ones are left."""

    def __init__(self, array: Sliceable, kept: Sequence[int]) -> None:
        self.array = array
        self.kept = tuple(kept)
        self.shape = tuple(int(array.shape[i]) for i in self.kept)
        self.dtype = array.dtype

    def __getitem__(self, key: tuple[int | slice, ...]) -> Any:
        full: list[int | slice] = [0] * len(self.array.shape)
        for i, item in zip(self.kept, key, strict=True):
            full[i] = item
        return self.array[tuple(full)]


def _normalise(key: Any, shape: tuple[int, ...]) -> tuple[list[range], tuple[Any, ...]]:
    """The positions wanted on each axis, and the key that drops the axes indexed by integers."""
    items = list(key) if isinstance(key, tuple) else [key]
    gaps = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(gaps) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if gaps:
        fill = [slice(None)] * (len(shape) - len(items) + 1)
        items[gaps[0] : gaps[0] + 1] = fill
    if len(items) > len(shape):
        raise IndexError(f"too many indices: the image is {len(shape)}-D, but {len(items)} were given")
    items += [slice(None)] * (len(shape) - len(items))
    ranges: list[range] = []
    local: list[Any] = []
    for axis, (item, length) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            ranges.append(range(*item.indices(length)))
            local.append(slice(None))
            continue
        try:
            position = operator.index(item)
        except TypeError:
            raise TypeError(
                f"an image is indexed by integers and slices, got {type(item).__name__}"
            ) from None
        if not -length <= position < length:
            raise IndexError(f"index {position} is out of bounds for axis {axis} with size {length}")
        position %= length
        ranges.append(range(position, position + 1))
        local.append(0)
    return ranges, tuple(local)


def _forward(wanted: range) -> slice:
    """The slice of positive step that covers `wanted`, which may run backwards."""
    first, last = (wanted[0], wanted[-1]) if wanted.step > 0 else (wanted[-1], wanted[0])
    return slice(first, last + 1, abs(wanted.step))
