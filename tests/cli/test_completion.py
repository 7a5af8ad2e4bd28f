"""Names of workflows that the shell offers."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from fastseg.cli.main import app
from fastseg.cli.options import complete_workflow
from fastseg.workflow.legacy_library import legacy_names
from fastseg.workflow.load import get_workflow, library_names

JSON = [f"json:{name}" for name in legacy_names()]


def test_every_workflow_is_offered_and_exists() -> None:
    offered = complete_workflow("")
    assert offered == [*library_names(), *JSON]
    assert len(set(offered)) == len(offered)
    assert all(get_workflow(name) for name in offered)


def test_what_begins_alike() -> None:
    assert complete_workflow("json:tom") == ["json:tomm20"]
    assert complete_workflow("js") == JSON
    assert complete_workflow("pcna_l") == ["PCNA_lateS", "PCNA_lateS_hole_fill"]
    assert complete_workflow("nothing") == []


@pytest.mark.parametrize(
    "line",
    [
        "fastseg segment a.tif -w json:tom",
        "fastseg sweep a.tif -w json:tom",
        "fastseg plan a.tif -w json:tom",
        "fastseg workflows show json:tom",
        "fastseg workflows new my.yaml --from json:tom",
        "fastseg workflows convert json:tom",
    ],
)
def test_the_shell_is_given_them(line: str) -> None:
    environment = {"_FASTSEG_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": line}
    environment |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    result = CliRunner().invoke(app, [], prog_name="fastseg", env=environment)
    assert result.output.split() == ["json:tomm20"]
