"""Small JSON workflows of the reference for tests."""

import json
from pathlib import Path
from typing import Any


def step(function: str, parent: Any = 0, category: str = "core", **parameters: Any) -> dict[str, Any]:
    """One step of a JSON workflow."""
    found = {"function": function, "category": category, "parent": parent}
    if parameters:
        found["parameter_values"] = parameters
    return found


def steps(*given: dict[str, Any]) -> dict[str, Any]:
    """A JSON workflow of steps 1, 2, 3, ..."""
    return {str(number): one for number, one in enumerate(given, start=1)}


NORMALIZE = step("intensity_normalization", 0, "preprocessing", scaling_param=[1, 10])
SPOTS = step("spot_filter_3D", 1, log_sigma=1, cutoff=0.05)
PEAKS = step("find_local_maxima", [1, 2])
CUT = step("watershed_for_cutting", [2, 3])


def write(folder: Path, data: Any, name: str = "mine.json") -> Path:
    """A file with a JSON workflow."""
    path = folder / name
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path
