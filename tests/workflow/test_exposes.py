"""What the names of intermediate images stand for, as it should be and, with compat, in the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastseg.errors import Problems
from fastseg.screen import SegmentRequest
from fastseg.screen.naming import plan_outputs, step_names
from fastseg.screen.request import check_request
from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.edit import with_assignments
from fastseg.workflow.load import get_workflow, library_names, parse_text
from fastseg.workflow.run import run_workflow, step_id
from tests.golden import stack

QUIRK = "fbl_labelfree_4dn"

TWICE = """\
schema_version: 1
name: twice
steps:
  - {id: plain, operator: intensity_normalize, inputs: [image], parameters: {scaling: [0]}}
  - {id: other, operator: invert_image, inputs: [plain]}
  - {id: over, operator: greater_than, inputs: [plain], parameters: {value: 0.5}}
result: {step: over}
exposes: {other: plain, same: over}
exposes_compat: {other: over}
"""
"""The name `other` means three steps: its id, what is exposed, and what the reference exposes."""


def test_the_name_means_the_normalised_image_unless_compat_asks_for_the_clipped_one() -> None:
    image = stack("structured")[0]
    x = image.astype(np.float64)
    low, high = x.mean() - 0.5 * x.std(), x.mean() + 19.5 * x.std()
    clipped = np.clip(x, max(low, x.min()), min(high, x.max()))
    normalised = (clipped - clipped.min()) / (clipped.max() - clipped.min())
    workflow = get_workflow(QUIRK)
    got = run_workflow(workflow, image, until="im_norm").result
    np.testing.assert_allclose(got, normalised, rtol=0, atol=1e-6)
    reference = run_workflow(workflow, image, until="im_norm", compat=True).result
    np.testing.assert_allclose(reference, clipped, rtol=1e-6)
    assert reference.max() > 100


def test_the_switch_does_not_change_the_segmentation() -> None:
    image = stack("structured")[0][10:26, 20:84, 20:84]
    masks = [run_workflow(get_workflow(QUIRK), image, compat=compat).result for compat in (False, True)]
    assert masks[0].any()
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("name", library_names())
def test_im_norm_is_a_normalised_image_in_every_workflow(name: str) -> None:
    workflow = get_workflow(name)
    step = workflow.step(workflow.exposes["im_norm"])
    if step.operator == "intensity_clip":  # of an image that is normalised already
        step = workflow.step(step.inputs[0])
    assert step.operator == "intensity_normalize"
    assert bool(workflow.exposes_compat) == (name == QUIRK)


def test_names_of_steps() -> None:
    workflow = get_workflow(QUIRK)
    plain, compat = (step_names(workflow, rescaled=False, compat=c) for c in (False, True))
    assert (plain["im_norm"], plain["image_clipped"]) == ("im_norm", "image_clipped")
    assert (compat["im_norm"], compat["image_clipped"]) == ("step_im_norm", "im_norm")
    rest = {i: n for i, n in plain.items() if i not in ("im_norm", "image_clipped")}
    assert rest == {i: n for i, n in compat.items() if i in rest}


@pytest.mark.parametrize(("compat", "name"), [(False, "a_shown.tiff"), (True, "a_grid.tiff")])
def test_a_step_that_does_not_run_is_named_alike(tmp_path: Path, compat: bool, name: str) -> None:
    """A step that only passes its input on is left out of the results, but may be asked for."""
    text = """\
schema_version: 1
name: grid
steps:
  - {id: norm, operator: intensity_normalize, inputs: [image], parameters: {scaling: [0]}}
  - {id: grid, operator: rescale_xy, inputs: [norm], when: rescale}
  - {id: over, operator: greater_than, inputs: [grid], parameters: {value: 0.5}}
result: {step: over}
exposes: {shown: grid}
exposes_compat: {shown: norm}
"""
    request = SegmentRequest(parse_text(text, "grid"), tmp_path, until="grid", compat=compat)
    assert plan_outputs(check_request(request), "a").main == tmp_path / name


def test_which_step_a_name_asks_for() -> None:
    workflow = parse_text(TWICE, "twice")
    assert [step_id(workflow, "other", c) for c in (False, True)] == ["other", "over"]
    assert [step_id(workflow, "same", c) for c in (False, True)] == ["over", "over"]
    assert workflow.exposed() == {"other": "plain", "same": "over"}
    assert workflow.exposed(compat=True) == {"other": "over", "same": "over"}
    assert list(workflow.exposed(compat=True)) == ["other", "same"]


def test_the_switch_survives_writing_and_changing() -> None:
    for workflow in (get_workflow(QUIRK), parse_text(TWICE, "twice")):
        assert parse_text(dump_yaml(workflow), "own.yaml") == workflow
    changed = with_assignments(get_workflow(QUIRK), ["smooth.sigma=2"])
    assert changed.exposes_compat == {"im_norm": "image_clipped"}


def test_every_problem_is_found() -> None:
    text = TWICE.replace("{other: over}", "{othr: ovr, zzz: plain, same: other, other: over}")
    with pytest.raises(Problems) as caught:
        parse_text(text, "twice.yaml")
    assert list(caught.value.problems) == [
        "exposes_compat.othr: replaces an exposed name, but 'exposes' has no 'othr'; did you mean 'other'?",
        "exposes_compat.othr: there is no step or input 'ovr'; did you mean 'over'?",
        "exposes_compat.zzz: replaces an exposed name, but 'exposes' has no 'zzz'; it has other, same",
        "exposes_compat.same: 'other' is itself a name that stands for another step",
    ]


def test_no_exposed_names_at_all() -> None:
    text = TWICE.replace("exposes: {other: plain, same: over}\n", "")
    with pytest.raises(Problems, match=r"'exposes' has no 'other'$"):
        parse_text(text, "twice.yaml")
