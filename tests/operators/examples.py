"""Inputs of every operator by name."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import frozen
from tests.tiling.cases import CASES


def changed(inputs: list[Any], change: Any) -> list[Any]:
    return [change(item) if isinstance(item, np.ndarray) else item for item in inputs]


@cache
def example(name: str, shape: tuple[int, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Inputs and parameters of an operator, the same on every call."""
    found: list[tuple[list[Any], dict[str, Any]]] = []

    @settings(max_examples=12, derandomize=True)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        case = CASES[name]
        inputs = case.inputs(data, shape[-max(case.dims) :])
        found.append((inputs, data.draw(st.fixed_dictionaries(case.parameters))))

    draw()
    inputs, parameters = max(found, key=lambda f: sum(np.unique(i).size for i in f[0]))
    if "hole_min" in parameters:
        parameters["hole_max"] = max(parameters["hole_max"], parameters["hole_min"])
    return changed(inputs, frozen), parameters
