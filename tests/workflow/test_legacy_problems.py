"""Everything wrong with a JSON workflow is found in one go, with its place and what is allowed."""

from pathlib import Path
from typing import Any

import pytest

from fastseg.errors import Problems
from fastseg.workflow.legacy import parse_legacy
from fastseg.workflow.legacy_table import FUNCTIONS
from fastseg.workflow.load import load_file
from tests.workflow.legacy_files import CUT, NORMALIZE, PEAKS, SPOTS, step, steps, write

MATRIX = step("compute_3d_hessian_matrix", 1)

# What is wrong: the workflow, and the exact problems.
BAD: dict[str, tuple[Any, list[str]]] = {
    "empty": ({}, ["a JSON workflow is an object with a key for every step, this is empty"]),
    "a list": ([], ["a JSON workflow is an object with a key for every step, this is a list"]),
    "unknown function": (
        steps(NORMALIZE, step("spot_filter3D", 1)),
        [
            "step 2: function 'spot_filter3D' is unknown: did you mean spot_filter_3D or size_filter or "
            "filament_filter_3D?"
        ],
    ),
    "function far from any": (
        steps(NORMALIZE, step("?", 1)),
        [f"step 2: function '?' is unknown: known are {', '.join(FUNCTIONS)}"],
    ),
    "function is no text": (
        steps(NORMALIZE, {**SPOTS, "function": 3}),
        ["step 2: 'function' is 3, no text"],
    ),
    "unknown category": (
        steps({**NORMALIZE, "category": "pre"}, SPOTS),
        ["step 1: category 'pre' is unknown; use preprocessing, core, postprocessing"],
    ),
    "missing keys": (
        steps(NORMALIZE, {"function": "spot_filter_3D"}),
        ["step 2: 'category' is missing", "step 2: 'parent' is missing"],
    ),
    "a step that is no object": (
        steps(NORMALIZE, []),  # type: ignore[arg-type]
        ["step 2: is []; an object with function, category and parent is needed"],
    ),
    "gap in the numbers": (
        {"1": NORMALIZE, "3": SPOTS, "7": SPOTS},
        [
            "step 2 is missing; steps are numbered 1, 2, 3, ... without gaps",
            "steps 4 to 6 are missing; steps are numbered 1, 2, 3, ... without gaps",
        ],
    ),
    "keys that are no numbers": (
        {"0": NORMALIZE, "1": NORMALIZE, "2": SPOTS, "02": SPOTS, "two": SPOTS, "9999999": SPOTS},
        [
            "'0': is the input image; steps are numbered from 1",
            "'02': step 2 is there already",
            "'two': is not a step number; the keys are 1, 2, 3, ... in quotes",
            "'9999999': is not a step number; the keys are 1, 2, 3, ... in quotes",
        ],
    ),
    "missing parent": (
        steps(NORMALIZE, {**SPOTS, "parent": 5}),
        ["step 2: parent 5 does not exist; use 0 (the input image) to 1"],
    ),
    "forward reference": (
        steps(NORMALIZE, {**SPOTS, "parent": 3}, SPOTS),
        ["step 2: parent 3 comes later; use 0 (the input image) to 1"],
    ),
    "its own parent": (
        steps(NORMALIZE, {**SPOTS, "parent": 2}),
        ["step 2: parent 2 is the step itself; use 0 (the input image) to 1"],
    ),
    "parents that are no numbers": (
        steps(NORMALIZE, step("merge_segmentation", ["1", True, -1, None])),
        [
            f"step 2: parent {given} is not a step number; use 0 (the input image) to 1"
            for given in ("'1'", "True", "-1", "None")
        ],
    ),
    "no parent": (
        steps(NORMALIZE, {**SPOTS, "parent": []}),
        ["step 2: 'parent' is an empty list; 0 is the input image"],
    ),
    "too many parents": (
        steps(NORMALIZE, SPOTS, step("size_filter", [1, 2], min_size=1)),
        ["step 3: 'parent' names 2, 'size_filter' takes 1"],
    ),
    "too few parents": (
        steps(NORMALIZE, SPOTS, step("find_local_maxima", 1)),
        ["step 3: 'parent' names 1, 'find_local_maxima' takes 2"],
    ),
    "first step with two images": (
        steps(step("find_local_maxima", [0, 0])),
        ["step 1: the first step gets the input alone, 'find_local_maxima' takes 2"],
    ),
    "unknown parameter": (
        steps(NORMALIZE, {**SPOTS, "parameter_values": {"sigma": 1, "log_sigma": 1, "cutoff": 0}}),
        ["step 2: 'spot_filter_3D' has no parameter 'sigma' (its parameters: log_sigma, cutoff)"],
    ),
    "parameter of a function without": (
        steps(NORMALIZE, step("edge_preserving_smoothing", 1, sigma=1), {**SPOTS, "parent": 2}),
        ["step 2: 'edge_preserving_smoothing' has no parameter 'sigma' (its parameters: none)"],
    ),
    "missing parameters": (
        steps(
            step("intensity_normalization"),
            step("gaussian_smoothing_3D", 1),
            step("spot_filter_3D", 2, cutoff=0),
        ),
        [
            "step 1: parameter 'scaling_param' is required",
            "step 2: parameter 'sigma' is required",
            "step 3: parameter 'log_sigma' is required",
        ],
    ),
    "wrong types": (
        steps(
            step("intensity_normalization", scaling_param=[1, "10"]),
            step("spot_filter_3D", 1, log_sigma=True, cutoff="0.1"),
            step("size_filter", 2, min_size=2.5, method="2D"),
        ),
        [
            "step 1: parameter 'scaling_param.1': input should be a valid number (given: '10')",
            "step 2: parameter 'cutoff': input should be a valid number (given: '0.1')",
            "step 2: parameter 'log_sigma': input should be a valid number (given: True)",
            "step 3: parameter 'method': '2D' is unknown; use 3D or slice_by_slice",
            "step 3: parameter 'min_size': input should be a valid integer (given: 2.5)",
        ],
    ),
    "out of range": (
        steps(
            NORMALIZE,
            SPOTS,
            step("hole_filling", 2, hole_min=5, hole_max=4),
            step("size_filter", 3, min_size=-1),
        ),
        [
            "step 3: hole_max (4) must be at least hole_min (5)",
            "step 4: parameter 'min_size': input should be greater than or equal to 0 (given: -1)",
        ],
    ),
    "parameters that are no object": (
        steps(NORMALIZE, SPOTS, {**step("size_filter", 2), "parameter_values": [3]}),
        [
            "step 3: 'parameter_values' is [3]; an object with names and values is needed",
            "step 3: parameter 'min_size' is required",
        ],
    ),
    "a pair": (
        steps(
            NORMALIZE,
            step(
                "masked_object_treshold_combined",
                1,
                global_thresh_method="median",
                object_minArea=1,
                return_object=True,
            ),
        ),
        [
            "step 2: parameter 'return_object': true gives a pair of masks, which no step can take; leave it out",
        ],
    ),
    "a mask for an image": (
        steps(NORMALIZE, SPOTS, {**SPOTS, "parent": 2}),
        ["step 3: 'spot_filter_3D' needs an image, step 2 (spot_filter_3D) gives a mask"],
    ),
    "a mask for labels": (
        steps(NORMALIZE, SPOTS, step("remove_index_object", 2)),
        ["step 3: 'remove_index_object' needs labels, step 2 (spot_filter_3D) gives a mask"],
    ),
    "labels that would be lost": (
        steps(
            NORMALIZE,
            SPOTS,
            PEAKS,
            CUT,
            step("prune_z_slices", 4),
            step("erosion", 4),
            step("invert_image", 4),
        ),
        [
            "step 5: 'prune_z_slices' needs a mask, step 4 (watershed_for_cutting) gives labels",
            "step 6: 'erosion' needs an image or a mask, step 4 (watershed_for_cutting) gives labels",
            "step 7: 'invert_image' needs an image or a mask, step 4 (watershed_for_cutting) gives labels",
        ],
    ),
    "several images for one": (
        steps(NORMALIZE, MATRIX, step("merge_segmentation", 2)),
        [
            "step 3: step 2 (compute_3d_hessian_matrix) gives several images at once, which no function can take"
        ],
    ),
    "several images at the end": (
        steps(NORMALIZE, MATRIX),
        [
            "step 2 (compute_3d_hessian_matrix) is the last and gives several images; a workflow ends with a mask or "
            "labels"
        ],
    ),
    "an image at the end": (
        steps(NORMALIZE),
        [
            "step 1 (intensity_normalization) is the last and gives an image; a workflow ends with a mask or labels",
        ],
    ),
    "problems in several steps, none of them in what follows": (
        steps(
            step("normalise", 0),
            {**SPOTS, "parent": 9},
            step("invert_image", 2),
            step("mask_image", [3, 1], value="1"),
            step("size_filter", 4, min_size=1, max_size=9),
        ),
        [
            "step 1: function 'normalise' is unknown: known are " + ", ".join(FUNCTIONS),
            "step 2: parent 9 does not exist; use 0 (the input image) to 1",
            "step 4: parameter 'value': input should be a valid number (given: '1')",
            "step 5: 'size_filter' has no parameter 'max_size' (its parameters: min_size, method)",
        ],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_problems(case: str) -> None:
    data, expected = BAD[case]
    with pytest.raises(Problems) as caught:
        parse_legacy(data, "mine")
    assert list(caught.value.problems) == expected
    assert caught.value.what == "mine"


FILES = {
    '{"1": {"function": ': "line 1, column 20: not valid JSON (Expecting value)",
    '{"1": {},\n "1": {}}': "not valid JSON (key '1' appears twice)",
    '{"1": NaN}': "not valid JSON (NaN is not a number)",
    '{"1": ' * 100_000: "not valid JSON",
    '{"1": {}, "x": {}}': "'x': is not a step number",
}


@pytest.mark.parametrize("text", FILES, ids=range(len(FILES)))
def test_broken_file(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(Problems) as caught:
        load_file(path)
    assert caught.value.problems[0].startswith(FILES[text])
    assert caught.value.what == str(path)
