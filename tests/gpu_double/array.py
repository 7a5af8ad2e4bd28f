"""Arrays of the stand-in: NumPy's in a wrapper that behaves as CuPy's do where the two differ."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.gpu_double.memory import DEVICE, Gpu, Held


class ndarray:  # noqa: N801 (CuPy's own name)
    """An array of the device."""

    __array_priority__ = 100

    def __init__(self, raw: np.ndarray, held: Held) -> None:
        self.raw = raw
        self.held = held

    # what does not move data
    device = DEVICE
    shape = property(lambda self: self.raw.shape)
    dtype = property(lambda self: self.raw.dtype)
    ndim = property(lambda self: self.raw.ndim)
    size = property(lambda self: self.raw.size)
    nbytes = property(lambda self: self.raw.nbytes)
    itemsize = property(lambda self: self.raw.itemsize)
    strides = property(lambda self: self.raw.strides)
    flags = property(lambda self: self.raw.flags)
    T = property(lambda self: self._made(self.raw.T))

    def __len__(self) -> int:
        return len(self.raw)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def _made(self, found: Any) -> Any:
        """A result, which shares this array's memory where NumPy's does."""
        shares = (
            isinstance(found, np.ndarray) and found.base is not None and np.may_share_memory(found, self.raw)
        )
        return ndarray(found, self.held) if shares else wrapped(self.held.gpu, found)

    # to the host, on purpose or by asking for a number
    def get(self) -> np.ndarray:
        self.held.gpu.record("down", self.raw.shape, self.raw.dtype, self.raw.nbytes)
        return self.raw.copy()

    def set(self, array: np.ndarray) -> None:
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError("Shape or dtype mismatch")
        self.held.gpu.record("up", array.shape, array.dtype, array.nbytes)
        self.raw[...] = array

    def _number(self) -> np.generic:
        if self.raw.size != 1:
            raise ValueError("only an array of one element is a number")
        self.held.gpu.record("down", self.raw.shape, self.raw.dtype, self.raw.nbytes)
        return self.raw.reshape(-1)[0]

    def item(self) -> Any:
        return self._number().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __int__(self) -> int:
        return int(self._number())

    def __float__(self) -> float:
        return float(self._number())

    def __bool__(self) -> bool:
        return bool(self._number())

    def __index__(self) -> int:
        return operator.index(self._number())

    # views, copies and parts
    def __getitem__(self, key: Any) -> Any:
        found = self.raw[given(self.held.gpu, key)]
        return self._made(np.asarray(found))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.raw[given(self.held.gpu, key)] = unwrapped(value)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def reshape(self, *shape: Any) -> Any:
        return self._made(self.raw.reshape(*shape))

    def ravel(self) -> Any:
        return self._made(self.raw.ravel())

    def squeeze(self, axis: Any = None) -> Any:
        return self._made(self.raw.squeeze(axis))

    def view(self, dtype: Any) -> Any:
        return self._made(self.raw.view(dtype))

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        return (
            self if not copy and self.raw.dtype == dtype else wrapped(self.held.gpu, self.raw.astype(dtype))
        )

    def copy(self) -> Any:
        return wrapped(self.held.gpu, self.raw.copy())

    def _ufunc(self, ufunc: np.ufunc, *operands: Any, **options: Any) -> Any:
        return wrapped(self.held.gpu, ufunc(*map(unwrapped, operands), **options))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        return self._ufunc(ufunc, *operands)


def _reduction(name: str) -> Callable[..., Any]:
    def reduce(self: ndarray, axis: Any = None, dtype: Any = None) -> Any:
        options = {} if dtype is None else {"dtype": dtype}
        return wrapped(self.held.gpu, getattr(self.raw, name)(axis=axis, **options))

    return reduce


def _binary(ufunc: np.ufunc, swapped: bool) -> Callable[[ndarray, Any], Any]:
    def compute(self: ndarray, other: Any) -> Any:
        return self._ufunc(ufunc, *((other, self) if swapped else (self, other)))

    return compute


def _in_place(ufunc: np.ufunc) -> Callable[[ndarray, Any], ndarray]:
    def compute(self: ndarray, other: Any) -> ndarray:
        ufunc(self.raw, unwrapped(other), out=self.raw)
        return self

    return compute


_UFUNCS = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "rshift": np.right_shift,
    "lshift": np.left_shift,
}
_COMPARED = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
for _name, _ufunc in _UFUNCS.items():
    setattr(ndarray, f"__{_name}__", _binary(_ufunc, False))
    setattr(ndarray, f"__r{_name}__", _binary(_ufunc, True))
    setattr(ndarray, f"__i{_name}__", _in_place(_ufunc))
for _name, _full in _COMPARED.items():
    setattr(ndarray, f"__{_name}__", _binary(getattr(np, _full), False))
for _name, _ufunc in {"invert": np.invert, "neg": np.negative, "abs": np.absolute}.items():
    setattr(ndarray, f"__{_name}__", lambda self, _ufunc=_ufunc: self._ufunc(_ufunc, self))
for _name in ("sum", "min", "max", "any", "all", "argmax", "mean", "prod"):
    setattr(ndarray, _name, _reduction(_name))
ndarray.__module__ = "cupy"
ndarray.__hash__ = None  # type: ignore[assignment]


def wrapped(gpu: Gpu, found: Any) -> Any:
    """A result of NumPy on the device; numbers become arrays without axes, as all results of CuPy are arrays."""
    if isinstance(found, tuple):
        return tuple(wrapped(gpu, item) for item in found)
    if isinstance(found, list):
        return [wrapped(gpu, item) for item in found]
    if not isinstance(found, np.ndarray | np.generic):
        return found
    raw = np.asarray(found)
    if raw.base is not None:
        raw = raw.copy()
    return ndarray(raw, Held(gpu, raw.nbytes))


def unwrapped(value: Any) -> Any:
    """An operand as NumPy's; one that is an array of the host is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value.raw
    if isinstance(value, np.ndarray) and value.ndim > 0:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(unwrapped(item) for item in value)
    return value


def given(gpu: Gpu, key: Any) -> Any:
    """An index; one that is an array of the host is copied to the device, as CuPy does."""
    if isinstance(key, tuple):
        return tuple(given(gpu, item) for item in key)
    if isinstance(key, np.ndarray) and key.ndim > 0:
        gpu.record("up", key.shape, key.dtype, key.nbytes)
        return key
    return key.raw if isinstance(key, ndarray) else key
