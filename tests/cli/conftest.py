"""Running the command line in this process, and definition files to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fastseg.cli.main import app
from tests.screen.stacks import write_workflow


@pytest.fixture
def cli() -> Callable[..., Result]:
    """Runs ``fastseg`` with these arguments; nothing but an exit code may come out."""

    def invoke(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    """A workflow whose foreground is every voxel above 500."""
    return write_workflow(tmp_path)
