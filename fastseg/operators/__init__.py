"""The vocabulary of segmentation: every operator as a function, ``fastseg.operators.gaussian_smooth(image, sigma=1)``.

Arrays in, arrays out: numpy gives numpy, cupy gives cupy. `fastseg operators list` prints them all.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from fastseg.operators.functions import function_of
    from fastseg.operators.registry import registry

    if not name.startswith("_") and name in registry():
        return function_of(name)
    raise AttributeError(f"module 'fastseg.operators' has no attribute '{name}'")


def __dir__() -> list[str]:
    from fastseg.operators.registry import registry

    return sorted(registry())
