"""JSON workflows of the reference become definitions: every function, every way to name its images."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastseg.errors import Problems, UsageError
from fastseg.operators.registry import registry
from fastseg.workflow.legacy import is_legacy, parse_legacy
from fastseg.workflow.legacy_library import DIFFERENCES, legacy_names, legacy_text
from fastseg.workflow.legacy_table import FUNCTIONS
from fastseg.workflow.load import get_workflow, load_file, parse_text
from fastseg.workflow.schema import Workflow
from tests.workflow.legacy_files import CUT, NORMALIZE, PEAKS, SPOTS, step, steps, write


def _lines(workflow: Workflow) -> list[tuple[str, str, list[str], dict[str, Any]]]:
    return [(s.id, s.operator, s.inputs, s.parameters) for s in workflow.steps]


def test_the_table_has_the_functions_of_the_reference() -> None:
    assert len(FUNCTIONS) == 31
    for row in FUNCTIONS.values():
        fields = registry()[row.operator].params.model_fields
        special = {"cutoff", "method", "return_object"} if row.form != "plain" else {"return_object"}
        assert {native for name, native in row.parameters.items() if name not in special} <= set(fields), (
            row.id
        )


def test_a_filter_with_a_cutoff_is_a_response_and_a_comparison() -> None:
    workflow = parse_legacy(steps(NORMALIZE, SPOTS), "mine")
    assert _lines(workflow) == [
        ("s1", "intensity_normalize", ["image"], {"scaling": [1, 10]}),
        ("s2_response", "laplacian_of_gaussian", ["s1"], {"sigma": 1}),
        ("s2", "greater_than", ["s2_response"], {"value": 0.05}),
    ]
    assert workflow.exposes == {"step_1": "s1", "step_2": "s2"}
    assert (workflow.name, workflow.result.step, workflow.rescale) == ("mine", "s2", "ignored")


@pytest.mark.parametrize("cutoff", [{}, {"cutoff": -1}])
def test_a_filter_without_cutoff_is_its_response(cutoff: dict[str, Any]) -> None:
    response = step("filament_filter_3D", 1, sigmas=2, **cutoff)
    last = step("masked_object_threshold_low_level", 2, global_thresh_method="median", object_minArea=5.0)
    assert _lines(parse_legacy(steps(NORMALIZE, response, last), "mine"))[1:] == [
        ("s2", "jerman_vesselness", ["s1"], {"sigmas": [2]}),
        ("s3", "coarse_threshold", ["s2"], {"method": "median", "min_size": 5}),
    ]


CASES = {
    "size_filter": (step("size_filter", 2, min_size=3), "remove_small_objects", ["s2"], {"min_size": 3}),
    "size_filter_slices": (
        step("size_filter", 2, min_size=3, method="slice_by_slice"),
        "remove_small_objects_slices",
        ["s2"],
        {"min_size": 3},
    ),
    "hole_filling": (
        step("hole_filling", 2, hole_min=0, hole_max=9, fill_2d=False),
        "fill_holes",
        ["s2"],
        {"hole_min": 0, "hole_max": 9, "slices": False},
    ),
    "invert_a_mask": (step("invert_image", 2), "invert_mask", ["s2"], {}),
    "mask_a_mask": (step("mask_image", [2, 2], value=0), "and_not", ["s2", "s2"], {}),
    "mask_a_mask_false": (step("mask_image", [2, 2], value=False), "and_not", ["s2", "s2"], {}),
    "mask_a_mask_true": (step("mask_image", [2, 2], value=True), "logical_or", ["s2", "s2"], {}),
    "mask_a_mask_255": (step("mask_image", [2, 2], value=255), "logical_or", ["s2", "s2"], {}),
    "erode_a_mask": (step("erosion", 2), "erode", ["s2"], {"radius": 1}),
    "merge_many": (step("merge_segmentation", [2, 2, 2]), "logical_or", ["s2", "s2", "s2"], {}),
    "merge_one": (step("merge_segmentation", 2), "logical_or", ["s2"], {}),
    "xor": (step("segmentation_xor", [2, 2]), "logical_xor", ["s2", "s2"], {}),
    "peaks": (step("find_local_maxima", [1, 2]), "local_maxima", ["s1", "s2"], {}),
    "cut": (step("watershed_for_cutting", [2, 2]), "watershed_split", ["s2", "s2"], {}),
    "prune": (step("prune_z_slices", 2), "prune_slices", ["s2"], {}),
    "thin": (
        step("topology_preserving_thinning", 2, min_thickness=1.6, thin=1),
        "thin_preserving_topology",
        ["s2"],
        {"min_thickness": 1.6, "thin": 1},
    ),
    "object_threshold": (
        step("masked_object_treshold_high_level", [1, 2], extra_criteria=True, local_adjust=1.0),
        "object_otsu_threshold",
        ["s1", "s2"],
        {"factor": 1.0, "global_check": True},
    ),
    "combined": (
        step(
            "masked_object_threshold_combined",
            1,
            global_thresh_method="triangle",
            object_minArea=7,
            extra_criteria=False,
            local_adjust=0.9,
            return_object=False,
            dilate=True,
        ),
        "masked_object_threshold",
        ["s1"],
        {"method": "triangle", "min_size": 7, "dilate": True, "factor": 0.9, "global_check": False},
    ),
    "boundary": (
        step("extract_boundary_of_objects", 2, connectivity=2, mode="inner"),
        "boundaries",
        ["s2"],
        {"connectivity": 2, "mode": "inner"},
    ),
    "hot_pixel": (step("remove_hot_pixel", 2), "remove_hot_pixels", ["s2"], {}),
    "seeds": (
        step("generate_seeding_image", [1, 2], area_min=2, area_max=9, bg_seed=False),
        "seeds_for_objects",
        ["s1", "s2"],
        {"area_min": 2, "area_max": 9, "background_seed": False},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_function(case: str) -> None:
    given, operator, inputs, parameters = CASES[case]
    workflow = parse_legacy(steps(NORMALIZE, SPOTS, given), "mine")
    assert _lines(workflow)[3:] == [("s3", operator, inputs, parameters)]


IMAGES = {
    "invert": (step("invert_image", 1), "invert_image", ["s1"], {}),
    "erode": (step("erosion", 1), "erode_image", ["s1"], {}),
    "mask": (step("mask_image", [1, 2], value=1), "mask_image", ["s1", "s2"], {"value": 1}),
    "smooth": (step("gaussian_smoothing_3D", 1, sigma=2), "gaussian_smooth", ["s1"], {"sigma": 2}),
    "diffuse": (step("edge_preserving_smoothing", 1), "edge_preserving_smooth", ["s1"], {}),
}


@pytest.mark.parametrize("case", IMAGES)
def test_one_function_of_an_image(case: str) -> None:
    given, operator, inputs, parameters = IMAGES[case]
    spots = step("spot_filter_slice_by_slice", 3, log_sigma=1, cutoff=0.1)
    assert _lines(parse_legacy(steps(NORMALIZE, SPOTS, given, spots), "mine"))[3] == (
        "s3",
        operator,
        inputs,
        parameters,
    )


def test_labels_and_images_become_masks_where_only_masks_are_taken() -> None:
    data = steps(
        NORMALIZE, SPOTS, PEAKS, CUT, step("size_filter", 4, min_size=3), step("merge_segmentation", [4, 1])
    )
    workflow = parse_legacy(data, "mine")
    assert _lines(workflow)[5:] == [
        ("s4_foreground", "greater_than", ["s4"], {"value": 0}),
        ("s5", "remove_small_objects", ["s4_foreground"], {"min_size": 3}),
        ("s1_foreground", "greater_than", ["s1"], {"value": 0}),
        ("s6", "logical_or", ["s4_foreground", "s1_foreground"], {}),
    ]
    assert workflow.notes == [
        "step 6 takes step 1 (intensity_normalization), an image, as a mask: its voxels above 0"
    ]


def test_labels_stay_labels_where_they_matter() -> None:
    seeded = steps(
        NORMALIZE,
        SPOTS,
        step("generate_seeding_image", [1, 2]),
        step("watershed_for_segmentation", [1, 3], watershed_line=True),
        step("remove_index_object", 4),
        step("extract_boundary_of_objects", 5),
    )
    assert _lines(parse_legacy(seeded, "mine"))[4:] == [
        ("s4", "watershed", ["s1", "s3"], {"lines": True}),
        ("s5", "remove_labels", ["s4"], {}),
        ("s6", "boundaries", ["s5"], {}),
    ]


@pytest.mark.parametrize("function", ["invert_image", "remove_hot_pixel"])
@pytest.mark.parametrize(("value", "expected"), [(0, False), (1, True)])
def test_masks_that_are_integers_in_the_reference_have_a_compat_switch(
    function: str, value: int, expected: bool
) -> None:
    integers = [step(function, 2), step("prune_z_slices", 3), step("erosion", 4)]
    data = steps(NORMALIZE, SPOTS, *integers, step("mask_image", [2, 5], value=value))
    last = parse_legacy(data, "mine").steps[-1]
    assert (last.operator, last.inputs, last.parameters) == ("set_where", ["s2", "s5"], {"value": expected})
    assert "compat" in registry()["set_where"].params.model_fields


def test_several_images_at_once_may_only_be_left_alone() -> None:
    hessian = [
        step("compute_3d_hessian_matrix", 1),
        step("absolute_3d_hessian_eigenvalues", 1, whiteonblack=False),
    ]
    workflow = parse_legacy(
        steps(NORMALIZE, *hessian, step("invert_image", 1), step("spot_filter_3D", 4, log_sigma=1, cutoff=0)),
        "mine",
    )
    assert [s.id for s in workflow.steps if s.operator == "hessian_element"] == [
        f"s2_{ij}" for ij in ("00", "01", "02", "11", "12", "22")
    ]
    eigenvalues = [s for s in workflow.steps if s.operator == "hessian_eigenvalue"]
    assert [s.parameters for s in eigenvalues] == [{"white_on_black": False, "index": k} for k in range(3)]
    assert workflow.exposes["step_3_2"] == "s3_2"


def test_remarks() -> None:
    data = steps(
        step("intensity_normalization_min_max_with_bound", 7, scaling_param=[500]),
        step("spot_filter_3D", 0, log_sigma=1, cutoff=0.1),
        step("mask_image", [2, 2]),
        step("merge_segmentation", [2, 3]),
    )
    assert parse_legacy(data, "mine").notes == [
        "step 1 takes the input image, whatever its parent",
        "step 2 takes the input image unchanged; in the reference, step 1 has changed it by then",
        "step 4 takes step 2 (spot_filter_3D) unchanged; in the reference, step 3 has changed it by then",
    ]
    data["1"]["parameter_values"]["scaling_param"] = [0]
    assert len(parse_legacy(data, "mine").notes) == 2


def test_categories_other_than_usual_are_kept_in_notes() -> None:
    data = steps(
        NORMALIZE,
        {**SPOTS, "category": "PostProcessing"},
        step("size_filter", 2, "postprocessing", min_size=1),
    )
    assert [s.note for s in parse_legacy(data, "mine").steps] == ["", "", "category: postprocessing", ""]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"1": {}}, True),
        ({"1": {}, "x": {}}, True),
        ({"1": {}, "steps": []}, False),
        ({"x": {}}, False),
        ({1: {}}, False),
        ({}, False),
        ([], False),
        (None, False),
    ],
)
def test_recognised_by_its_keys(data: Any, expected: bool) -> None:
    assert is_legacy(data) is expected


@pytest.mark.parametrize(
    ("file", "name", "title"),
    [
        ("conf_sec61b.json", "conf_sec61b", ""),
        ("My spots-2.JSON", "My_spots_2", "My spots-2"),
        ("3d.json", "workflow_3d", "3d"),
    ],
)
def test_file_is_loaded_under_its_name(tmp_path: Path, file: str, name: str, title: str) -> None:
    path = write(tmp_path, steps(NORMALIZE, SPOTS), file)
    workflow = load_file(path)
    assert workflow == get_workflow(str(path))
    assert (workflow.name, workflow.title) == (name, title)


def test_numbers_that_are_json_but_not_yaml() -> None:
    text = json.dumps(steps(NORMALIZE, SPOTS)).replace("0.05", "5e-2").replace("{", "{\t")
    assert parse_text(text, "mine.json").step("s2").parameters == {"value": 0.05}


def test_own_definitions_may_be_json(tmp_path: Path) -> None:
    own = get_workflow("tomm20")
    assert load_file(write(tmp_path, own.model_dump())) == own


@pytest.mark.parametrize("name", legacy_names())
def test_prebuilt(name: str) -> None:
    workflow = get_workflow(f"JSON:{name.upper()}")
    structure = get_workflow(name)
    assert workflow.name == f"json_{name}"
    assert (workflow.title, workflow.structure) == (structure.title, structure.structure)
    numbers = [f"step_{n}" for n in sorted(map(int, json.loads(legacy_text(name))))]
    assert list(workflow.exposes) == numbers
    assert not any(s.note for s in workflow.steps)
    differences = [note for note in workflow.notes if note.startswith(f"differs from the workflow {name}: ")]
    assert len(differences) == (name in DIFFERENCES)
    assert len(workflow.notes) == (name in DIFFERENCES) + (name == "cetn2")


def test_unknown_prebuilt_name() -> None:
    with pytest.raises(UsageError) as caught:
        get_workflow("json:tom20")
    assert str(caught.value).startswith("workflow 'json:tom20' is unknown: did you mean json:tomm20")
    assert not isinstance(caught.value, Problems)
