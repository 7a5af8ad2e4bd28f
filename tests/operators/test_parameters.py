"""Wrong parameters: all of them are named at once, with what is allowed."""

import re

import numpy as np
import pytest

from fastseg.errors import Problems
from fastseg.operators.functions import function_of
from fastseg.operators.registry import registry
from fastseg.operators.run import apply

X = np.zeros((5, 6, 7), np.float32)

WRONG = [
    (
        "intensity_normalize",
        {"scaling": [1, 2, 3]},
        "scaling: must hold 1, 2 or 4 numbers, not 3 (given: [1, 2, 3])",
    ),
    ("intensity_normalize", {"scaling": []}, "scaling: must hold 1, 2 or 4 numbers, not 0 (given: [])"),
    ("intensity_normalize", {"scaling": [1, 2, 3, 4, 5]}, "must hold 1, 2 or 4 numbers, not 5"),
    ("intensity_normalize", {"scaling": 0}, "scaling: input should be a valid tuple (given: 0)"),
    (
        "intensity_normalize",
        {"scaling": [float("nan")]},
        "scaling.0: input should be a finite number (given: nan)",
    ),
    ("intensity_normalize", {}, "scaling: is required"),
    ("rescale_xy", {"ratio": 0.0}, "ratio: input should be greater than 0 (given: 0.0)"),
    ("rescale_xy", {"ratio": -1.0}, "ratio: input should be greater than 0 (given: -1.0)"),
    ("gaussian_smooth", {"sigma": -1.0}, "must not be negative (given: -1.0)"),
    ("gaussian_smooth", {"sigma": (1.0, -1.0, 1.0)}, "must not be negative (given: (1.0, -1.0, 1.0))"),
    ("gaussian_smooth", {"sigma": "1"}, "input should be a valid number (given: '1')"),
    (
        "gaussian_smooth",
        {"truncate": -1.0},
        "truncate: input should be greater than or equal to 0 (given: -1.0)",
    ),
    (
        "gaussian_smooth_slices",
        {"sigma": -1.0},
        "sigma: input should be greater than or equal to 0 (given: -1.0)",
    ),
    ("edge_preserving_smooth", {"iterations": -1}, "iterations: input should be greater than or equal to 0"),
    (
        "edge_preserving_smooth",
        {"iterations": 1.5},
        "iterations: input should be a valid integer (given: 1.5)",
    ),
    (
        "edge_preserving_smooth",
        {"conductance": 0.0},
        "conductance: input should be greater than 0 (given: 0.0)",
    ),
    ("edge_preserving_smooth", {"spacing": [1.0, 0.0, 1.0]}, "spacing: must hold numbers above 0"),
    ("edge_preserving_smooth", {"spacing": [1.0, 1.0]}, "spacing.2: is required"),
    ("laplacian_of_gaussian", {"sigma": float("inf")}, "sigma: input should be a finite number (given: inf)"),
    ("multiscale_spots_slices", {"scales": [[-1.0, 0.1]]}, "scales: must hold no negative sigma"),
    ("multiscale_spots_slices", {"scales": [[1.0]]}, "scales.0.1: is required"),
    (
        "jerman_vesselness",
        {"sigmas": []},
        "sigmas: tuple should have at least 1 item after validation, not 0",
    ),
    ("jerman_vesselness", {"sigmas": [-1.0]}, "sigmas: must hold no negative number (given: [-1.0])"),
    ("jerman_vesselness", {"sigmas": [1.0], "tau": 0.0}, "tau: input should be greater than 0 (given: 0.0)"),
    (
        "jerman_vesselness",
        {"sigmas": [1.0], "tau": 1.1},
        "tau: input should be less than or equal to 1 (given: 1.1)",
    ),
    (
        "jerman_vesselness_slices",
        {"sigmas": [1.0], "tau": 0.5},
        "has no parameter 'tau' (its parameters: sigmas)",
    ),
    ("jerman_vesselness_2d", {"sigmas": [-0.5]}, "sigmas: must hold no negative number (given: [-0.5])"),
    ("multiscale_filaments_2d", {"scales": [[-1.0, 0.1]]}, "scales: must hold no negative sigma"),
    ("coarse_threshold", {"method": "med"}, "min_size: is required"),
    (
        "coarse_threshold",
        {"method": "med", "min_size": -1},
        "min_size: input should be greater than or equal to 0",
    ),
    ("object_otsu_threshold", {"factor": 0.0}, "factor: input should be greater than 0 (given: 0.0)"),
    (
        "remove_small_objects",
        {"min_size": 1, "connectivity": 4},
        "connectivity: input should be less than or equal to 3",
    ),
    (
        "remove_small_objects_slices",
        {"min_size": 1, "connectivity": 3},
        "should be less than or equal to 2 (given: 3)",
    ),
    ("fill_holes", {"hole_min": 9, "hole_max": 3}, "hole_max (3) must be at least hole_min (9)"),
    (
        "boundaries",
        {"mode": "subpixel"},
        "mode: input should be 'thick', 'inner' or 'outer' (given: 'subpixel')",
    ),
    ("watershed", {"lines": 1}, "lines: input should be a valid boolean (given: 1)"),
    ("invert_mask", {"value": 1}, "'invert_mask' has no parameter 'value' (its parameters: none)"),
    ("greater_than", {"value": float("inf")}, "value: input should be a finite number (given: inf)"),
]


@pytest.mark.parametrize(("name", "parameters", "message"), WRONG)
def test_one_wrong_parameter(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(Problems) as caught:
        apply(registry()[name], X, **parameters)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{name}: ")


def test_all_wrong_parameters_are_listed_at_once() -> None:
    with pytest.raises(Problems) as caught:
        apply(registry()["fill_holes"], X, hole_min=-1, hole_max="many", slice=True)
    assert str(caught.value).splitlines() == [
        "fill_holes: 3 problems",
        "  - hole_min: input should be greater than or equal to 0 (given: -1)",
        "  - hole_max: input should be a valid integer (given: 'many')",
        "  - slice: 'fill_holes' has no parameter 'slice' (its parameters: hole_min, hole_max, slices, fill_border)",
    ]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", registry())
def test_unknown_parameters_are_refused_by_every_operator(name: str) -> None:
    _, problems = registry()[name].check({"nonsense": 1})
    assert any(p.place == "nonsense" and "has no parameter 'nonsense'" in p.message for p in problems)


@pytest.mark.parametrize("name", registry())
def test_every_function_documents_its_inputs_and_parameters(name: str) -> None:
    function, spec = function_of(name), registry()[name]
    assert function.__name__ == name
    text = function.__doc__
    assert text.startswith(spec.summary)
    for heading in ("Parameters", "Returns", "Raises", "Notes"):
        assert f"{heading}\n{'-' * len(heading)}" in text
    for item in [*[i.name for i in spec.inputs], *spec.params.model_fields, "engine"]:
        assert f"\n{item} : " in text
    assert "None" not in text
    assert f"Tiling rule: {spec.tiling}." in text


LENGTHS = {
    "sigma", "sigmas", "scales", "radius", "min_size", "hole_min", "hole_max", "area_min", "area_max", "thin",
    "min_thickness",
}  # fmt: skip


@pytest.mark.parametrize("name", registry())
def test_lengths_and_sizes_have_units(name: str) -> None:
    for parameter, field in registry()[name].params.model_fields.items():
        if parameter in LENGTHS:
            assert re.search("voxels?|pixels?", field.description), parameter


@pytest.mark.parametrize("name", registry())
def test_every_parameter_is_described(name: str) -> None:
    for field in registry()[name].params.model_fields.values():
        assert field.description
    assert registry()[name].summary
    assert not registry()[name].summary.endswith(".")
