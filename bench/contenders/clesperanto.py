"""pyclesperanto, where it has the operation; its arrays are its own, on the first OpenCL or CUDA device."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import pyclesperanto as cle

from bench.contenders.base import Contender


class ClesperantoContender(Contender):
    """Arrays are pushed before the clock starts; the clock stops when the queue is empty."""

    def place(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """Fresh arrays on the device."""
        return [cle.push(array) for array in arrays]

    def timer(self) -> Callable[[], float]:
        """A clock around a finished queue."""
        cle.wait_for_kernel_to_finish(True)
        started = perf_counter()
        return lambda: perf_counter() - started

    def fetch(self, result: Any) -> np.ndarray:
        """The result, pulled to the host."""
        return np.asarray(cle.pull(result))


def _large_components(mask: Any, min_size: int) -> Any:
    labels = cle.connected_component_labeling(mask, connectivity="sphere")
    return cle.greater_constant(cle.remove_small_labels(labels, minimum_size=min_size), scalar=0)


CONTENDER = ClesperantoContender(
    "pyclesperanto",
    {
        "gaussian_smooth": lambda image, sigma: cle.gaussian_blur(
            image, sigma_x=sigma, sigma_y=sigma, sigma_z=sigma
        ),
        "gaussian_smooth_slices": lambda image, sigma: cle.gaussian_blur(
            image, sigma_x=sigma, sigma_y=sigma, sigma_z=0
        ),
        "remove_small_objects": _large_components,
    },
    ("pyclesperanto",),
)
