"""Small results that stay on a device, so that the host need not wait for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fastseg.arrays.namespace import is_on_gpu, to_host
from fastseg.types import Array


@dataclass(frozen=True)
class OnDevice:
    """An array of a GPU that this process keeps there; where it is sent or stored, it arrives as one of the host.

    Attributes
    ----------
    array : array
    """

    array: Array

    def __reduce__(self) -> tuple[Any, ...]:
        return np.asarray, (to_host(self.array),)


def kept_on_device(array: Array) -> Any:
    """An array of the host as it is, one of a GPU as `OnDevice`."""
    return OnDevice(array) if is_on_gpu(array) else array


def held_array(value: Any) -> Array:
    """What `kept_on_device` was given."""
    return value.array if isinstance(value, OnDevice) else value
