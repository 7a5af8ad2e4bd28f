"""The wheel holds everything: kernels under fastseg.kernels, the library of workflows, type information."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fastseg.workflow.load import library_names
from tests.support import ROOT

RUN = """
import numpy as np, fastseg, fastseg.kernels
from fastseg.workflow.load import library_names
assert fastseg.__file__.startswith(ROOT) and list(fastseg.kernels.__path__)[0].startswith(ROOT)
stack = np.random.default_rng(0).random((6, 24, 24), dtype=np.float32)
mask = fastseg.segment(stack, "tomm20", "cpu")
assert mask.shape == stack.shape and mask.any()
print(len(library_names()))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # setuptools would take files of an old build along
    source = folder / "source"
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "fastseg", "kernels"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in [*names, "pyproject.toml", "README.md", "LICENSE"]:
        if (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("fastseg_bio-*.whl")
    return found


def test_every_source_file_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    for folder, prefix in ((ROOT / "fastseg", "fastseg"), (ROOT / "kernels", "fastseg/kernels")):
        for path in folder.rglob("*"):
            if path.suffix in (".py", ".yaml", ".json") or path.name == "py.typed":
                assert f"{prefix}/{path.relative_to(folder).as_posix()}" in held


def test_installed_wheel_segments(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    site = str(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": site}
    done = subprocess.run(
        [sys.executable, "-c", RUN.replace("ROOT", repr(site))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(library_names()) > 0
