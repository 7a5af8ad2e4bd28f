"""The staircase: imports only ever go down, and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the top. A package may import itself and what stands below it, unless ONLY says otherwise. Compiled loops are
# loaded by `arrays` alone, which knows the device.
STAIRS = (
    "cli",
    "screen",
    "curation",
    "unet",
    "analysis",
    "workflow",
    "operators",
    "tiling",
    "arrays",
    "io",
    "errors",
    "types",
    "version",
)
ONLY = {
    "kernels": {"kernels"},
    "io": {"io", "arrays", "errors", "types"},
    "arrays": {"arrays", "kernels", "errors", "types"},
    "errors": {"errors"},
    "types": {"types"},
}
OWNERS = {
    "cupy": "arrays",
    "cupyx": "arrays",
    "cucim": "arrays",
    "torch": "unet",
    "numba": "kernels",
}


def imported_names(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a source imports, at any depth; also by a literal `import_module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            if name in ("import_module", "__import__"):
                text = leading_text(node.args[0])
                if text:
                    yield node.lineno, text


def leading_text(node: ast.expr) -> str:
    """A literal string, or what an f-string begins with."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def violations(package: str, source: str) -> list[str]:
    """Imports of a module in ``fastseg.<package>`` that go up or reach for another package's library."""
    allowed = ONLY.get(package) or set(STAIRS[STAIRS.index(package) :])
    found = []
    for line, name in imported_names(source):
        top, _, rest = name.partition(".")
        if name.startswith("."):
            found.append(f"line {line}: relative import {name}")
        elif top == "fastseg":
            part = rest.partition(".")[0]
            if part in {*STAIRS, "kernels"} and part not in allowed:
                found.append(f"line {line}: {package} imports {name}")
            elif part not in {*STAIRS, "kernels", "__version__"} or not part:
                found.append(f"line {line}: {package} imports {name}, which the staircase does not know")
        elif OWNERS.get(top, package) != package:
            found.append(f"line {line}: {package} imports {name}, which only {OWNERS[top]} may")
    return found


def modules() -> Iterator[tuple[str, Path]]:
    """Package and path of every module but ``fastseg/__init__.py``, which may import anything on use."""
    for path in sorted((ROOT / "fastseg").rglob("*.py")):
        parts = path.relative_to(ROOT / "fastseg").parts
        if parts != ("__init__.py",):
            yield "cli" if parts == ("__main__.py",) else parts[0].removesuffix(".py"), path
    for path in sorted((ROOT / "kernels").rglob("*.py")):
        yield "kernels", path


@pytest.mark.parametrize(
    ("package", "path"), [pytest.param(p, f, id=str(f.relative_to(ROOT))) for p, f in modules()]
)
def test_imports_only_go_down(package: str, path: Path) -> None:
    assert violations(package, path.read_text("utf-8")) == []


def test_every_package_stands_on_the_staircase() -> None:
    assert {package for package, _ in modules()} <= {*STAIRS, "kernels"}


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("tiling", "from fastseg.operators.registry import registry"),
        ("tiling", "import fastseg.operators"),
        ("tiling", "from fastseg import operators"),
        ("tiling", "import importlib\nimportlib.import_module('fastseg.operators.run')"),
        ("tiling", "from importlib import import_module\nx = import_module('fastseg.workflow')"),
        ("tiling", "import importlib\nimportlib.import_module(f'fastseg.operators.{name}')"),
        ("tiling", "def f():\n    from fastseg.operators import run"),
        ("tiling", "if True:\n    __import__('fastseg.cli')"),
        ("operators", "from fastseg.workflow.run import run"),
        ("operators", "from fastseg.kernels.cpu import peaks"),
        ("io", "from fastseg.tiling import Engine"),
        ("io", "from fastseg.kernels.cpu import peaks"),
        ("arrays", "from fastseg.io import read"),
        ("errors", "from fastseg.types import Box"),
        ("kernels", "from fastseg.errors import InputError"),
        ("kernels", "import fastseg"),
        ("operators", "import cupy"),
        ("operators", "from cupyx.scipy import ndimage"),
        ("tiling", "import importlib\nimportlib.import_module('cupy')"),
        ("kernels", "import cucim.skimage"),
        ("cli", "import torch.nn as nn"),
        ("operators", "from numba import njit"),
        ("tiling", "from .grid import Grid"),
        ("tiling", "from fastseg.novelty import x"),
    ],
)
def test_a_violation_is_found(package: str, source: str) -> None:
    assert len(violations(package, source)) == 1


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("operators", "from fastseg.tiling import Engine\nfrom fastseg.types import Box\nimport numpy"),
        ("operators", "from fastseg.operators.spec import OpSpec"),
        ("arrays", "import importlib\nimportlib.import_module('cupy')"),
        ("arrays", "import importlib\nimportlib.import_module(f'fastseg.kernels.{folder}.{name}')"),
        ("kernels", "import numba\nfrom fastseg.kernels.voxel.eigen import eigenvalues_2x2"),
        ("cli", "from fastseg.workflow import run\nfrom fastseg import __version__"),
        ("unet", "import torch"),
        (
            "io",
            "from fastseg.arrays import to_host\nfrom fastseg.io.axes import x\nfrom fastseg.types import AXES",
        ),
    ],
)
def test_what_is_allowed_is_not_reported(package: str, source: str) -> None:
    assert violations(package, source) == []
