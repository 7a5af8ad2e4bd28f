"""Law 2 for the reference's JSON workflows: the prebuilt ones give the reference's masks."""

import numpy as np
import pytest

from fastseg.workflow.legacy_library import legacy_names
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import run_workflow
from tests.golden import JSON_STACKS, dice, json_mask, stack

# The order of equal peaks and seeds, and of ties in the medial axis, is undefined in the reference.
UNDEFINED_ORDER = ("cetn2", "dsp", "slc25a17", "st6gal1")


def test_there_are_25() -> None:
    assert len(legacy_names()) == 25


@pytest.mark.parametrize("name", legacy_names())
@pytest.mark.parametrize("stack_name", JSON_STACKS)
def test_mask_is_that_of_the_reference(stack_name: str, name: str) -> None:
    image, _ = stack(stack_name)
    expected = json_mask(stack_name, name)
    compat = name in (*UNDEFINED_ORDER, "npm1")
    found = run_workflow(get_workflow(f"json:{name}"), image, compat=compat).result > 0
    if name in UNDEFINED_ORDER:
        assert dice(found, expected) >= 0.99
        return
    assert dice(found, expected) >= 0.9995
    assert abs(np.count_nonzero(found) - np.count_nonzero(expected)) <= 0.001 * np.count_nonzero(expected)


def test_npm1_masks_by_voxels_unless_compat_asks_for_planes() -> None:
    """An inverted mask is integers in the reference, which `mask_image` there takes as the numbers of planes."""
    image, _ = stack("structured")
    workflow = get_workflow("json:npm1")
    steps = run_workflow(workflow, image, keep=("s3", "s5", "s11")).steps
    np.testing.assert_array_equal(steps["s11"], steps["s5"] & steps["s3"])
    assert np.count_nonzero(steps["s11"]) < np.count_nonzero(steps["s5"])
    planes = run_workflow(workflow, image, compat=True, keep=("s5", "s11")).steps
    expected = planes["s5"].copy()
    expected[:2] = False
    np.testing.assert_array_equal(planes["s11"], expected)
    assert planes["s5"][:2].any()


def test_npm1_without_compat_is_the_structure_workflow() -> None:
    image, _ = stack("structured")
    found, expected = (run_workflow(get_workflow(name), image).result for name in ("json:npm1", "npm1"))
    np.testing.assert_array_equal(found, expected)
