"""Numbers in definition files, as YAML 1.2 and JSON know them; JSON's reader is the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fastseg.errors import Problems
from fastseg.workflow.dump import dump_yaml
from fastseg.workflow.edit import new_definition
from fastseg.workflow.load import load_file, parse_text
from fastseg.workflow.yaml_text import Dumper, Loader


def loaded(text: str) -> object:
    return yaml.load(text, Loader=Loader)


@pytest.mark.parametrize(
    "text", ["1e-3", "1e3", "1E+3", "-2e0", "1.5e3", "0.5e-05", "12e2", "0e0", "1.25", "-0.5", "1e-400"]
)
def test_numbers_of_json(text: str) -> None:
    value = loaded(text)
    assert type(value) is float
    assert value == json.loads(text)
    assert loaded(f"[{text}, {{a: {text}}}]") == [value, {"a": value}]


@pytest.mark.parametrize(
    ("text", "value"),
    [(".5", 0.5), ("-.5", -0.5), ("+.5e1", 5.0), ("1.", 1.0), ("1.e2", 100.0), ("+1e2", 100.0)],
)
def test_numbers_of_yaml(text: str, value: float) -> None:
    assert type(loaded(text)) is float
    assert loaded(text) == value


@pytest.mark.parametrize(
    "text", ["e3", "1e", "1e-", "1e3a", ".", "--1e3", "1e3.5", "0x1e-3", "s1e-3", '"1e-3"', "'1e3'"]
)
def test_texts(text: str) -> None:
    assert loaded(text) == text.strip("\"'")


@pytest.mark.parametrize("text", ["7", "-7", "0", "100"])
def test_integers_stay_integers(text: str) -> None:
    assert type(loaded(text)) is int


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_of_json_and_python(value: float) -> None:
    for text in (json.dumps(value), repr(value), f"{value:e}", f"{value:.17g}"):
        assert np.float64(loaded(text)) == np.float64(float(text))
    assert loaded(yaml.dump(value, Dumper=Dumper)) == value


@given(st.from_regex(r"[-+]?[0-9.]{0,3}[eE]?[-+]?[0-9.]{0,2}", fullmatch=True))
def test_a_text_that_looks_like_a_number_is_quoted(text: str) -> None:
    assert loaded(yaml.dump([text], Dumper=Dumper)) == [text]


DEFINITION = """\
schema_version: 1
name: small
title: "1e3"
tuned_yx_um: 1e-1
steps:
  - {id: m, operator: greater_than, inputs: [image], parameters: {value: 1e-3}}
  - {id: s, operator: multiscale_spots, inputs: [image], parameters: {scales: [[1, 2e-2]]}}
  - {id: seg, operator: logical_or, inputs: [m, s]}
result: {step: seg}
"""


def test_a_definition_with_exponents(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(DEFINITION)
    workflow = load_file(path)
    assert workflow.tuned_yx_um == 0.1
    assert workflow.step("m").parameters == {"value": 0.001}
    assert workflow.step("s").parameters == {"scales": [[1, 0.02]]}
    assert workflow.title == "1e3"
    assert parse_text(dump_yaml(workflow), "small.yaml") == workflow
    assert new_definition(str(path), tmp_path / "own.yaml").steps == workflow.steps


def test_a_text_where_a_number_is_needed_is_still_refused() -> None:
    with pytest.raises(Problems, match="value"):
        parse_text(DEFINITION.replace("value: 1e-3", "value: '1e-3'"), "small.yaml")


def test_keys_may_appear_only_once() -> None:
    with pytest.raises(Problems, match=r"line 2, column 1: .*'name' appears twice"):
        parse_text("name: a\nname: b\n", "own.yaml")
