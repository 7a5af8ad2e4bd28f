"""Configurations: what is written is read, what is wrong is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fastseg.errors import Problems, UsageError
from fastseg.unet.training.config import changed, describe, dump, parse_settings, placed
from fastseg.unet.training.settings import TrainSettings
from fastseg.unet.yaml_file import read_yaml

trees = st.fixed_dictionaries(
    {},
    optional={
        "network": st.sampled_from(["unet_xy", {"name": "residual_unet", "width": 8}]),
        "patch": st.tuples(*[st.integers(1, 500)] * 3),
        "epochs": st.integers(1, 10**6),
        "seed": st.integers(0, 2**63 - 1),
        "data": st.fixed_dictionaries(
            {
                "folder": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=9),
                "leaveout": st.none()
                | st.lists(st.floats(0, 9) | st.sampled_from(["a", "3", "yes", "null"])),
                "normalization": st.sampled_from([None, 1, "10", "flat"]),
                "spacing": st.none() | st.tuples(*[st.floats(1e-3, 10)] * 3),
            }
        ),
        "optimizer": st.fixed_dictionaries(
            {"learning_rate": st.floats(1e-12, 10), "average": st.none() | st.floats(0.01, 0.99)}
        ),
        "loss": st.fixed_dictionaries({"weights": st.none() | st.lists(st.floats(0.1, 2), min_size=1)}),
        "validation": st.fixed_dictionaries({"outputs": st.just([{"output": 0, "class": 1}])}),
    },
)


@given(tree=trees)
def test_what_is_written_is_read(tree: dict[str, Any]) -> None:
    settings = parse_settings(tree, "test")
    for text in (dump(settings), describe(settings)):
        assert parse_settings(yaml.safe_load(text), "test") == settings


def fields(model: type[BaseModel]) -> list[tuple[str, Any]]:
    found = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += [(f"{name}.{n}", f) for n, f in fields(field.annotation)]
        else:
            found.append((name, field))
    return found


def test_every_key_says_what_it_means() -> None:
    assert [name for name, field in fields(TrainSettings) if not field.description] == ["format_version"]
    text = describe(TrainSettings())
    assert all(" # " in line for line in text.splitlines()[1:] if not line.endswith(":"))


def test_every_problem_is_told_with_its_place() -> None:
    wrong = {
        "optimiser": {},
        "loss": {"nam": "nll", "gamma": 0.5, "weights": [0, 0]},
        "data": {"spacing": [1, 0, 1], "normalization": 99},
        "optimizer": {"learning_rate": -1},
        "epochs": "many",
    }
    with pytest.raises(Problems) as found:
        parse_settings(wrong, "run.yaml")
    text = str(found.value)
    assert text.startswith("run.yaml: 8 problems")
    for part in (
        "optimiser: there is no such key (did you mean optimizer?)",
        "loss.nam: there is no such key (did you mean name?)",
        "loss.gamma: must be 0, or 1 and more: between them gradients are infinite (given: 0.5)",
        "loss.weights: at least one weight has to be above 0",
        "data.spacing: must hold finite numbers above 0",
        "data.normalization: normalisation recipe '99' is unknown",
        "optimizer.learning_rate: input should be greater than 0 (given: -1)",
        "epochs: a whole number is needed",
    ):
        assert part in text
    with pytest.raises(Problems, match="3 patches cannot be shared evenly by 2 devices"):
        parse_settings({"batch": 3, "devices": 2}, "run.yaml")


def test_numbers_that_yaml_takes_for_text_are_numbers() -> None:
    tree = yaml.safe_load("optimizer: {learning_rate: 1e-5}")
    assert isinstance(tree["optimizer"]["learning_rate"], str)
    assert parse_settings(tree, "test").optimizer.learning_rate == 1e-5


def test_changes_reach_their_place_and_nothing_else() -> None:
    tree = {"network": "unet_xy", "loss": {"name": "nll"}}
    made = changed(
        tree, ["network.channels=2", "loss.gamma = 3", "patch=[16, 24, 24]", "data.leaveout=[a, 1]"]
    )
    assert made == {
        "network": {"name": "unet_xy", "channels": 2},
        "loss": {"name": "nll", "gamma": 3},
        "patch": [16, 24, 24],
        "data": {"leaveout": ["a", 1]},
    }
    assert tree == {"network": "unet_xy", "loss": {"name": "nll"}}
    assert placed({}, {"a.b": 1}) == {"a": {"b": 1}}
    for text in ("epochs", "=3", "loss..name=x"):
        with pytest.raises(UsageError, match=r"is no change: write section\.key=value"):
            changed({}, [text])
    with pytest.raises(UsageError, match="is no YAML value"):
        changed({}, ["epochs=["])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a: [1", r"is not valid YAML \(line"),
        (b"- 1", "a mapping of keys to values is needed"),
        (b"\xff\xfe\xff", "cannot be read"),
        (b"a: !!python/object:os.system {}", "is not valid YAML"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=text):
        read_yaml(path)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_yaml(tmp_path / "b.yaml")
