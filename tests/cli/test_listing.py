"""Commands that only show something: complete, readable, and honest about what does not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

import fastseg
from fastseg.operators.registry import registry
from fastseg.workflow.legacy_library import legacy_names
from fastseg.workflow.load import get_workflow, library_names, library_text
from tests.screen.stacks import EVERYTHING, write_stack, write_workflow

Cli = Callable[..., Result]


def _table(text: str) -> dict[str, list[str]]:
    """Rows of a piped table by their first cell."""
    rows = [re.split(r" {2,}", line) for line in text.splitlines() if line]
    return {row[0]: row for row in rows}


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").output == f"fastseg {fastseg.__version__}\n"
    for arguments in ((), ("segment",), ("workflows",), ("operators", "show"), ("info",), ("inspect",)):
        result = cli(*arguments, "--help")
        assert result.exit_code == 0
        assert result.output.startswith("Usage: ")
        assert max(map(len, result.output.splitlines())) <= 80
        assert result.output.isascii()


def test_every_workflow_is_a_line(cli: Cli) -> None:
    result = cli("workflows", "list")
    assert result.exit_code == 0
    rows = _table(result.output)
    assert list(rows)[: len(library_names()) + 1] == ["name", *library_names()]
    assert [name for name in rows if name.startswith("json:")] == [f"json:{name}" for name in legacy_names()]
    assert rows["lamp1"] == ["lamp1", "LAMP1", "lysosomes", "spots, filaments", "yes"]
    assert all(line == line.rstrip() for line in result.output.splitlines())


@pytest.mark.parametrize("name", library_names())
def test_a_workflow_is_shown_with_all_its_steps(cli: Cli, name: str) -> None:
    result = cli("workflows", "show", name)
    assert result.exit_code == 0
    for step in get_workflow(name).steps:
        (line,) = (
            row for row in result.output.splitlines() if re.match(rf"{step.id}  +{step.operator}( |$)", row)
        )
        assert all(f"{key}=" in line for key in step.parameters)
        assert ", ".join(step.inputs) in line


def test_details_of_steps(tmp_path: Path, cli: Cli) -> None:
    result = cli("workflows", "show", "tomm20")
    assert re.search(
        r"^smooth +gaussian_smooth +im +sigma=1, truncate times the ratio$", result.output, re.MULTILINE
    )
    assert re.search(r"^im +rescale_xy +im_norm +only with a rescale ratio$", result.output, re.MULTILINE)
    assert "scaling=[3.5, 15]" in result.output
    assert "result: seg, foreground 255 (uint8)" in result.output


def test_the_definition_itself(tmp_path: Path, cli: Cli) -> None:
    assert cli("workflows", "show", "LAMP1", "--yaml").output == library_text("lamp1")
    own = write_workflow(tmp_path, EVERYTHING)
    result = cli("workflows", "show", own, "--yaml")
    assert yaml.safe_load(result.output) == yaml.safe_load(EVERYTHING)


def test_unknown_names_give_the_nearest(cli: Cli) -> None:
    workflow = cli("workflows", "show", "lmp1")
    assert workflow.exit_code == 2
    assert workflow.output.startswith("error: workflow 'lmp1' is unknown: did you mean lamp1")
    operator = cli("operators", "show", "gausian_smooth")
    assert operator.exit_code == 2
    assert "did you mean gaussian_smooth" in operator.output


def test_validate(tmp_path: Path, cli: Cli) -> None:
    good = write_workflow(tmp_path, EVERYTHING, "good.yaml")
    assert cli("workflows", "validate", good).output == f"OK {good}: everything, 7 steps\n"
    bad = write_workflow(
        tmp_path, EVERYTHING.replace("scaling", "scalings").replace("step: over", "step: norm"), "bad.yaml"
    )
    broken = write_workflow(tmp_path, "steps: [", "broken.yaml")
    result = cli("workflows", "validate", bad, good, broken, tmp_path / "absent.yaml")
    assert result.exit_code == 2
    for words in (
        "no parameter 'scalings'",
        "result.step",
        f"OK {good}",
        "broken.yaml: 1 problem",
        "not valid YAML",
        "absent.yaml cannot be read",
    ):
        assert words in result.output


def test_every_operator_is_a_line(cli: Cli) -> None:
    result = cli("operators", "list")
    assert result.exit_code == 0
    lines = [re.split(r" {2,}", line) for line in result.output.splitlines()[1:]]
    assert {line[1] for line in lines} == set(registry())
    assert all(line[4] == registry()[line[1]].summary for line in lines)
    categories = [line[0] for line in lines]
    assert [c for i, c in enumerate(categories) if i == 0 or categories[i - 1] != c] == list(
        dict.fromkeys(s.category for s in registry().values())
    )


@pytest.mark.parametrize("name", registry())
def test_an_operator_is_shown_with_all_it_declares(cli: Cli, name: str) -> None:
    spec = registry()[name]
    result = cli("operators", "show", name)
    assert result.exit_code == 0
    assert spec.summary in result.output
    rows = _table(result.output)
    for item in spec.inputs:
        assert any(row.startswith(item.name) for row in rows)
    for parameter, field in spec.params.model_fields.items():
        row = " ".join(rows[parameter])
        assert ("required" if field.is_required() else repr(field.default)) in row
        assert (field.description or "") in row
    assert rows["tiling rule"][1] == spec.tiling
    if spec.paper:
        assert spec.paper in result.output


def test_the_halo_is_that_of_the_defaults(cli: Cli) -> None:
    spec = registry()["gaussian_smooth"]
    halo = spec.halo_of(spec.params())
    assert f"halo         {tuple(halo)} voxels" in cli("operators", "show", "gaussian_smooth").output


def test_the_schema_is_json(cli: Cli) -> None:
    schema = json.loads(cli("operators", "show", "gaussian_smooth", "--schema").output)
    assert set(schema["properties"]) == set(registry()["gaussian_smooth"].params.model_fields)


def test_info(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    result = cli("info")
    assert result.exit_code == 0
    rows = _table(result.output)
    assert rows["fastseg"][1] == fastseg.__version__
    assert rows["numpy"][1] == metadata.version("numpy")
    assert rows["OMP_NUM_THREADS"][1] == "3"
    assert "cores usable" in rows["cpu"][1]


def test_the_advised_extras_exist(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastseg.cli import info

    monkeypatch.setattr(info, "version_of", lambda names: "")
    output = cli("info").output
    advised = set(re.findall(r"fastseg-bio\[([a-z0-9-]+)\]", output))
    assert advised == {"gpu-cu12", "gpu-cu13", "dl", "czi", "aicsimageio", "bench"}
    assert advised <= set(metadata.metadata("fastseg-bio").get_all("Provides-Extra") or ())


def test_inspect(tmp_path: Path, cli: Cli) -> None:
    path = write_stack(tmp_path / "a.tif")
    result = cli("inspect", path)
    assert result.exit_code == 0
    assert "ZYX" in result.output
    assert "8 x 32 x 32" in result.output
    assert "uint16" in result.output
    assert "0.3, 0.2, 0.1" in result.output
    absent = cli("inspect", tmp_path / "b.tif")
    assert absent.exit_code == 1
    assert "does not exist" in absent.output
