"""All operators by name."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from functools import lru_cache

from fastseg.errors import UsageError
from fastseg.operators.spec import OpSpec

_MODULES = (
    "intensity",
    "rescale",
    "smoothing",
    "spots",
    "filaments",
    "filament_masks",
    "hessian",
    "thresholds",
    "automatic",
    "objects",
    "masking",
    "logic",
    "splitting",
    "thinning",
    "frames",
    "seeds",
    "planes",
    "morphology",
    "boundary",
)


@lru_cache(maxsize=1)
def registry() -> dict[str, OpSpec]:
    """Every operator, in the order of the listings. Imports the array code on first use."""
    found: dict[str, OpSpec] = {}
    for module in _MODULES:
        for spec in importlib.import_module(f"fastseg.operators.{module}").SPECS:
            if spec.name in found:
                raise ValueError(f"operator '{spec.name}' is declared twice")
            found[spec.name] = spec
    return found


def get_operator(name: str) -> OpSpec:
    """The operator with this name.

    Raises
    ------
    UsageError
        If there is none; the message names the nearest ones.
    """
    try:
        return registry()[name]
    except KeyError:
        raise UsageError(unknown_operator(name)) from None


def unknown_operator(name: str) -> str:
    """The sentence for an operator that does not exist."""
    near = get_close_matches(name, registry(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "see 'fastseg operators list'"
    return f"operator '{name}' is unknown: {hint}"
