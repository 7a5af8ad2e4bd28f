"""Definitions as JSON workflows: nothing changes on the way there and back, and what cannot be told is named."""

import json
from typing import Any

import numpy as np
import pytest

from fastseg.errors import Problems
from fastseg.workflow.legacy import parse_legacy
from fastseg.workflow.legacy_export import legacy_json, to_legacy
from fastseg.workflow.legacy_library import legacy_names, legacy_text
from fastseg.workflow.load import get_workflow, library_names, parse_text
from fastseg.workflow.run import run_workflow
from fastseg.workflow.schema import Workflow
from fastseg.workflow.validate import parse
from tests.support import golden
from tests.workflow.legacy_files import CUT, NORMALIZE, PEAKS, SPOTS, step, steps


@pytest.mark.parametrize("name", legacy_names())
def test_prebuilt_comes_back_unchanged(name: str) -> None:
    data = to_legacy(get_workflow(f"json:{name}"))
    assert data == json.loads(legacy_text(name))
    assert legacy_json(data) == legacy_text(name)


def test_layout_of_the_file() -> None:
    text = legacy_json(to_legacy(get_workflow("json:npm1")))
    assert text.startswith('{\n    "1": {\n        "category": "preprocessing",\n        "function": ')
    assert text.index('"10"') < text.index('"2"')
    assert '"parent": 0\n' in text


OWN = steps(
    NORMALIZE,
    SPOTS,
    PEAKS,
    CUT,
    step("size_filter", 4, min_size=2, method="3D"),
    step("merge_segmentation", [4, 2]),
    step("remove_hot_pixel", 2),
    step("mask_image", [6, 7], "preprocessing", value=1),
    step("filament_filter_3D", 1, sigmas=[1, 2]),
    step("spot_filter_slice_by_slice", 9, log_sigma=1, cutoff=0.5),
    step("erosion", 10),
    step("segmentation_xor", [8, 11]),
    step("watershed_for_segmentation", [1, 4], watershed_line=False),
)


def test_own_file_comes_back_unchanged() -> None:
    assert to_legacy(parse_legacy(OWN, "own")) == OWN


def _definition(*given: dict[str, Any], result: str = "", **more: Any) -> Workflow:
    data = {
        "schema_version": 1,
        "name": "own",
        "steps": [
            {
                "id": "norm",
                "operator": "intensity_normalize",
                "inputs": ["image"],
                "parameters": {"scaling": [1, 9]},
            }
        ]
        + [{"id": f"s{i}", **one} for i, one in enumerate(given)],
        "result": {"step": result or f"s{len(given) - 1}", **more},
    }
    return parse(data, "own")


def _op(operator: str, *inputs: str, **parameters: Any) -> dict[str, Any]:
    return {"operator": operator, "inputs": list(inputs), "parameters": parameters}


RESPONSE = _op("laplacian_of_gaussian", "norm", sigma=1)
EXPRESSIBLE = {
    "two cutoffs of one response": [
        RESPONSE,
        _op("greater_than", "s0", value=0.02),
        _op("greater_than", "s0", value=0.08),
        _op("logical_xor", "s1", "s2"),
    ],
    "a response that is used itself": [
        RESPONSE,
        _op("greater_than", "s0", value=0.02),
        _op("object_otsu_threshold", "s0", "s1"),
    ],
    "intersection": [
        RESPONSE,
        _op("greater_than", "s0", value=0.01),
        _op("coarse_threshold", "norm", method="median", min_size=3),
        _op("invert_mask", "s2"),
        _op("logical_and", "s1", "s3", "s1"),
    ],
    "difference with an inverted mask": [
        RESPONSE,
        _op("greater_than", "s0", value=0.01),
        _op("coarse_threshold", "norm", method="median", min_size=3),
        _op("invert_mask", "s2"),
        _op("and_not", "s1", "s3"),
    ],
    "difference with a mask that is used again": [
        RESPONSE,
        _op("greater_than", "s0", value=0.01),
        _op("coarse_threshold", "norm", method="median", min_size=3),
        _op("and_not", "s2", "s1"),
        _op("logical_xor", "s2", "s3"),
    ],
    "image masked by an inverted mask": [
        _op("gaussian_smooth", "norm", sigma=1),
        _op("coarse_threshold", "norm", method="median", min_size=3),
        _op("invert_mask", "s1"),
        _op("mask_image", "s0", "s2", value=0.5),
        _op("coarse_threshold", "s3", method="triangle", min_size=1),
    ],
    "multiscale": [
        _op("multiscale_spots", "norm", scales=[[1, 0.02], [2, 0.05]]),
        _op("multiscale_filaments_slices", "norm", scales=[[1, 0.1]]),
        _op("logical_or", "s0", "s1"),
    ],
    "one mask, inverted twice": [
        _op("multiscale_spots_slices", "norm", scales=[[1, 0.02]]),
        _op("invert_mask", "s0"),
        _op("logical_or", "s1"),
        _op("invert_mask", "s2"),
    ],
    "labels as a mask of something else": [
        RESPONSE,
        _op("greater_than", "s0", value=0.02),
        _op("local_maxima", "norm", "s1"),
        _op("watershed_split", "s1", "s2"),
        _op("greater_than", "s3", value=0),
        _op("boundaries", "s4"),
    ],
    "masks compared where they matter": [
        RESPONSE,
        _op("greater_than", "s0", value=0.02),
        _op("erode", "s1", radius=1, shape="ball"),
        _op("set_where", "s1", "s2"),
    ],
}


def _same_result(workflow: Workflow) -> dict[str, Any]:
    data = to_legacy(workflow)
    back = parse_text(legacy_json(data), "back.json")
    found, expected = (run_workflow(w, golden("raw")).result for w in (back, workflow))
    np.testing.assert_array_equal(found, expected)
    assert 0 < np.count_nonzero(expected) < expected.size
    return data


@pytest.mark.parametrize("case", EXPRESSIBLE)
def test_gives_the_same_result(case: str) -> None:
    data = _same_result(_definition(*EXPRESSIBLE[case]))
    for (
        number,
        row,
    ) in data.items():  # nothing that the reference takes for numbers of planes, or changes in place
        if row["function"] == "mask_image":
            image, mask = row["parent"]
            assert data[str(mask)]["function"] not in (
                "invert_image",
                "remove_hot_pixel",
                "find_local_maxima",
            )
            later = [data[k]["parent"] for k in data if int(k) > int(number)]
            assert not any(image == p or (isinstance(p, list) and image in p) for p in later)


def _functions(workflow: Workflow) -> list[tuple[str, Any]]:
    return [(row["function"], row["parent"]) for row in to_legacy(workflow).values()]


def test_a_single_mask_is_merged_with_itself() -> None:
    """The reference reduces a single image along z."""
    for operator in ("logical_or", "logical_xor", "logical_and"):
        workflow = _definition(_op("multiscale_spots", "norm", scales=[[1, 0.02]]), _op(operator, "s0"))
        assert _functions(workflow)[-1] == ("merge_segmentation", [2, 2])


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (_op("boundaries", "s4"), [("size_filter", 4), ("extract_boundary_of_objects", 5)]),
        (_op("logical_or", "s4", "s1"), [("merge_segmentation", [4, 2])]),
        (_op("remove_small_objects", "s4", min_size=3), [("size_filter", 4)]),
    ],
)
def test_labels_become_a_mask_by_themselves_only_where_that_is_sure(
    last: dict[str, Any], expected: list[tuple[str, Any]]
) -> None:
    cut = [
        RESPONSE,
        _op("greater_than", "s0", value=0.02),
        _op("local_maxima", "norm", "s1"),
        _op("watershed_split", "s1", "s2"),
        _op("greater_than", "s3", value=0),
        last,
    ]
    found = _functions(_definition(*cut))
    assert found[:2] == [("intensity_normalization", 0), ("spot_filter_3D", 1)]
    assert found[2:4] == [("find_local_maxima", [1, 2]), ("watershed_for_cutting", [2, 3])]
    assert found[4:] == expected


@pytest.mark.parametrize("name", ["npm1", "sec61b", "npm_labelfree_4dn", "st6gal1", "terf2", "drug_npm1"])
def test_library_workflow_gives_the_same_result(name: str) -> None:
    data = to_legacy(get_workflow(name))
    back = parse_legacy(data, name)
    found, expected = (run_workflow(w, golden("raw")).result > 0 for w in (back, get_workflow(name)))
    np.testing.assert_array_equal(found, expected)


def test_most_of_the_library_can_be_expressed() -> None:
    refused = set()
    for name in library_names():
        try:
            to_legacy(get_workflow(name))
        except Problems:
            refused.add(name)
    assert refused == {
        "PCNA_earlyS_midS",
        "PCNA_lateS",
        "PCNA_lateS_hole_fill",
        "cetn2",
        "dsp",
        "fbl_labelfree_4dn",
        "lmnb1_interphase",
        "nup153",
        "polr2a",
        "polr2a_blob",
        "slc25a17",
    }


REFUSED: dict[str, tuple[Workflow, list[str]]] = {
    "several": (
        _definition(
            _op("gaussian_smooth", "norm", sigma=[1, 2, 2], truncate=4.0),
            _op("jerman_vesselness", "s0", sigmas=[1], tau=0.5),
            _op("greater_than", "s1", value=0.1),
            _op("greater_than", "s1", value=0.2),
            _op("greater_than", "s0", value=0.1),
            _op("remove_small_objects", "s2", min_size=3, connectivity=3),
            _op("fill_holes", "s3", hole_min=0, hole_max=3, fill_border=False),
            _op("dilate", "s4", radius=1),
            _op("erode", "s4", radius=2),
            _op("logical_or", "s5", "s6", "s7", "s8"),
        ),
        [
            "step 's0' (gaussian_smooth): sigma [1, 2, 2] must be one number for all axes",
            "step 's0' (gaussian_smooth): truncate 4.0 cannot be told; JSON workflows always use 3.0",
            "step 's1' (jerman_vesselness): tau 0.5 cannot be told; JSON workflows always use 1.0",
            "step 's4' (greater_than): only a filter's response can be compared with a cutoff (0 or more), and labels "
            "with 0",
            "step 's5' (remove_small_objects): connectivity 3 cannot be told; JSON workflows always use 1",
            "step 's6' (fill_holes): fill_border False cannot be told; JSON workflows always use True",
            "step 's7' (dilate): no JSON function does this",
            "step 's8' (erode): only the erosion by a ball of radius 1 has a JSON function",
        ],
    ),
    "result": (
        _definition(
            RESPONSE,
            _op("greater_than", "s0", value=0.1),
            _op("remove_small_objects", "s1", min_size=3),
            result="s1",
            dtype="uint16",
            foreground=65535,
        ),
        [
            "result: 's1' is used by 's2', but a JSON workflow ends with its result",
            "result: foreground 65535 (uint16) cannot be told; a JSON workflow gives a mask",
        ],
    ),
    "changed in place": (
        _definition(
            _op("coarse_threshold", "norm", method="median", min_size=3),
            _op("mask_image", "norm", "s0"),
            RESPONSE,
            _op("greater_than", "s2", value=0.1),
        ),
        ["step 's1' (mask_image): mask_image of the reference changes 'norm' itself, which later steps use"],
    ),
    "changed in place before a comparison that repeats its filter": (
        _definition(
            RESPONSE,
            _op("coarse_threshold", "norm", method="median", min_size=3),
            _op("mask_image", "norm", "s1"),
            _op("greater_than", "s0", value=0.1),
        ),
        ["step 's2' (mask_image): mask_image of the reference changes 'norm' itself, which later steps use"],
    ),
    "scales": (
        _definition(_op("multiscale_spots", "norm", scales=[[1, -0.1]])),
        ["step 's0' (multiscale_spots): scales must not be empty, and cutoffs must be 0 or more"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_every_step_that_cannot_be_expressed_is_named(case: str) -> None:
    workflow, expected = REFUSED[case]
    with pytest.raises(Problems) as caught:
        to_legacy(workflow)
    assert sorted(caught.value.problems) == sorted(expected)
    assert caught.value.what == "own as a JSON workflow"
