"""Definitions are written the way the library's files are."""

import pytest

from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.legacy_library import legacy_names
from fastseg.workflow.load import get_workflow, library_names, library_text, parse_text


@pytest.mark.parametrize("name", library_names())
def test_library_file_comes_back_letter_by_letter(name: str) -> None:
    assert dump_yaml(get_workflow(name)) == library_text(name)


@pytest.mark.parametrize("name", legacy_names())
def test_json_workflow_comes_back_equal(name: str) -> None:
    workflow = get_workflow(f"json:{name}")
    assert parse_text(dump_yaml(workflow), "own.yaml") == workflow


def test_awkward_texts_and_numbers_come_back_equal() -> None:
    workflow = get_workflow("tomm20")
    steps = list(workflow.steps)
    steps[0] = steps[0].model_copy(
        update={"id": "no", "note": 'a "quoted" \\ remark:\n  - # µm\t' + "long " * 60, "inputs": ["image"]}
    )
    steps[1] = steps[1].model_copy(update={"inputs": ["no"], "id": "null"})
    steps[2] = steps[2].model_copy(
        update={"inputs": ["null"], "parameters": {"sigma": 1e-7, "truncate": 2.0}}
    )
    odd = workflow.model_copy(
        update={
            "steps": steps,
            "title": "yes: 1e5, {a} #b",
            "structure": "~",
            "source": " é ",
            "exposes": {"1": "no", "on": "null", "im norm: x": "seg"},
            "notes": ["- a note", "", "'"],
        }
    )
    assert parse_text(dump_yaml(odd), "odd.yaml") == odd
