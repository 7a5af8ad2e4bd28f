"""Changed parameters and new definition files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastseg.errors import Problems, UsageError, WriteError
from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.edit import (
    Target,
    new_definition,
    parameter_value,
    parse_assignment,
    parse_target,
    parse_value,
    with_assignments,
    with_parameters,
)
from fastseg.workflow.load import get_workflow, library_names, load_file, parse_text

NESTED = """\
schema_version: 1
name: nested
steps:
  - {id: m, operator: multiscale_spots, inputs: [image], parameters: {scales: [[1, 0.1], [2, 0.2]]}}
result: {step: m}
"""


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("m.value", Target("m", "value")),
        (" m1.min_size ", Target("m1", "min_size")),
        ("im_norm.scaling.1", Target("im_norm", "scaling", (1,))),
        ("m.scales.1.0", Target("m", "scales", (1, 0))),
    ],
)
def test_targets(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert str(target) == text.strip()


@pytest.mark.parametrize(
    "text", ["m", "m.", ".value", "m.value.", "m.value.x", "m.1", "m-1.value", "m.value.-1"]
)
def test_wrong_targets(text: str) -> None:
    with pytest.raises(UsageError, match=r"does not name a parameter: write STEP\.PARAMETER"):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("1e-3", 1e-3),
        ("-2E+1", -20.0),
        ("7", 7),
        ("true", True),
        ("tri", "tri"),
        ("[1, 2e-1]", [1, 0.2]),
        ("[[1, 0.1], [2, 0.2]]", [[1, 0.1], [2, 0.2]]),
    ],
)
def test_values(text: str, value: object) -> None:
    found = parse_value(text)
    assert found == value
    assert type(found) is type(value)
    assert parse_assignment(f"m.value={text}") == (Target("m", "value"), value)


@pytest.mark.parametrize(
    "text", ["m.value", "m.value=", "m.value= ", "m.value=[1", "m.value=!!python/name:os.system"]
)
def test_wrong_assignments(text: str) -> None:
    with pytest.raises(UsageError):
        parse_assignment(text)


def test_only_the_named_parameters_change() -> None:
    before = get_workflow("sec61b")
    kept = before.model_dump()
    after = with_assignments(before, ["m.value=0.2", "im_norm.scaling.1=9", "smooth.iterations=3"])
    assert before.model_dump() == kept
    assert after.step("m").parameters == {"value": 0.2}
    assert after.step("im_norm").parameters == {"scaling": [2.5, 9]}
    assert after.step("smooth").parameters == {"iterations": 3}  # a default in the file
    changed = {"m", "im_norm", "smooth"}
    assert [s for s in after.steps if s.id not in changed] == [s for s in before.steps if s.id not in changed]
    assert after.model_copy(update={"steps": before.steps}) == before
    assert with_assignments(before, []) == before


def test_entries_of_lists_of_lists() -> None:
    workflow = parse_text(NESTED, "nested")
    after = with_assignments(workflow, ["m.scales.1.1=0.5", "m.scales.0=[3, 0.3]"])
    assert after.step("m").parameters == {"scales": [[3, 0.3], [2, 0.5]]}


def test_every_problem_is_told_at_once() -> None:
    workflow = get_workflow("sec61b")
    texts = [
        "nonsense",
        "m.valu=1",
        "mm1.min_size=5",
        "im_norm.scaling.2=4",
        "m.value.0=4",
        "seg.min_size=2.5",
        "r.sigmas=[]",
        "m2.min_size=1",
        "m2.min_size=2",
        "im.ratio=0.5",
    ]
    with pytest.raises(Problems) as caught:
        with_assignments(workflow, texts)
    message = str(caught.value)
    for words in (
        "'nonsense' is not an assignment",
        "m.valu: greater_than has no parameter 'valu' (did you mean 'value'?)",
        "has no step 'mm1': did you mean m1",
        "im_norm.scaling.2: im_norm.scaling has 2 entries, counted from 0",
        "m.value.0: m.value is 0.15, not a list",
        "steps.seg.parameters.min_size: input should be a valid integer (given: 2.5)",
        "steps.r.parameters.sigmas",
        "m2.min_size: is set twice",
        "steps.im.parameters.ratio: is taken from the request",
    ):
        assert words in message
    assert len(caught.value.problems) == 9
    assert caught.value.exit_code == 2


def test_setting_a_list_and_its_entry_is_setting_twice() -> None:
    with pytest.raises(Problems, match=r"im_norm\.scaling\.0: is set twice"):
        with_parameters(
            get_workflow("sec61b"),
            [(Target("im_norm", "scaling"), [1, 2]), (Target("im_norm", "scaling", (0,)), 3)],
        )


def test_present_values_and_defaults() -> None:
    workflow = get_workflow("sec61b")
    assert parameter_value(workflow.step("m"), Target("m", "value")) == 0.15
    assert parameter_value(workflow.step("smooth"), Target("smooth", "iterations")) == 10
    assert parameter_value(workflow.step("im_norm"), Target("im_norm", "scaling", (1,))) == 7.5
    assert parameter_value(workflow.step("im"), Target("im", "ratio")) is None


@pytest.mark.parametrize("name", library_names())
def test_a_new_definition_differs_in_name_and_source_only(tmp_path: Path, name: str) -> None:
    path = tmp_path / "my-own.yaml"
    made = new_definition(name, path)
    origin = get_workflow(name)
    assert made == load_file(path)
    assert made == origin.model_copy(update={"name": "my_own", "source": f"after {name}"})


def test_remarks_in_a_file_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "source.yaml"
    source.write_text("# why it is so\n" + NESTED)
    made = new_definition(str(source), tmp_path / "made.yml")
    assert made.name == "made"
    assert made.source == "after nested"
    text = (tmp_path / "made.yml").read_text()
    assert text.startswith("# why it is so\n")
    assert text.endswith(NESTED.split("name: nested\n")[1])


def test_layouts_that_cannot_be_edited_are_written_anew(tmp_path: Path) -> None:
    source = tmp_path / "source.yaml"
    source.write_text(NESTED.replace("name: nested", "name:\n  nested\nsource: >-\n  here\n  and there"))
    made = new_definition(str(source), tmp_path / "made.yaml")
    assert made == load_file(source).model_copy(update={"name": "made", "source": "after nested"})
    assert (tmp_path / "made.yaml").read_text() == dump_yaml(made)


def test_a_json_workflow_becomes_yaml(tmp_path: Path) -> None:
    made = new_definition("json:sec61b", tmp_path / "made.yaml")
    assert made.steps == get_workflow("json:sec61b").steps
    assert (tmp_path / "made.yaml").read_text().startswith("schema_version: 1\nname: made\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [("x.json", r"not a \.yaml file"), ("x", r"not a \.yaml file"), ("1.yaml", "begin with a letter")],
)
def test_names_that_are_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        new_definition("sec61b", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_replaced_unless_told_so(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("mine")
    with pytest.raises(WriteError, match="exists already: give --overwrite"):
        new_definition("sec61b", path)
    assert path.read_text() == "mine"
    assert new_definition("sec61b", path, overwrite=True).name == "x"
    with pytest.raises(UsageError, match="did you mean sec61b"):
        new_definition("sec61", tmp_path / "y.yaml")
    assert [p.name for p in tmp_path.iterdir()] == ["x.yaml"]
