"""What the README and the docs show is true: commands run, files are valid."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fastseg.workflow.load import load_file, parse_text
from tests.support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in _blocks("bash") for line in block.splitlines() if line.strip()]


def test_readme_shows_every_kind_of_command() -> None:
    shown = {shlex.split(c)[1] for c in COMMANDS}
    assert shown == {"segment", "sweep", "suggest", "plan", "inspect", "workflows", "operators", "info"}


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_command_runs(command: str, tmp_path: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "fastseg"
    words = [
        str(tmp_path) if before == "-o" else word for before, word in zip(["", *words], words, strict=False)
    ]
    done = subprocess.run(
        [sys.executable, "-m", "fastseg", *words[1:]], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "-o" in words:
        made = {"sweep": "*_sweep.png"}.get(words[1], "*_struct_segmentation.tiff")
        assert any(tmp_path.glob("*.tiff" if "--until" in words else made))


def test_readme_python_runs() -> None:
    (block,) = _blocks("python")
    check = "\nassert mask.any() and ridges.max() > 0 and smooth.shape == mask.shape\n"
    done = subprocess.run(
        [sys.executable, "-c", block + check], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_example_in_the_docs_is_a_valid_workflow() -> None:
    (example,) = _blocks("yaml", (ROOT / "docs" / "workflows.md").read_text(encoding="utf-8"))
    assert parse_text(example, "docs/workflows.md").name == "my_spots"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "workflows").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_examples_are_valid(path: Path) -> None:
    assert load_file(path).name == path.stem
