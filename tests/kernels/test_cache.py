"""The folders of compiled kernels: the latest used stay, the others go, whoever else is at it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fastseg.kernels import jit

HOUR = 3600
NAMES = [f"kernels-{number:016x}" for number in range(6)]


def folder(base: Path, name: str, hours: float) -> Path:
    """A folder with a compiled kernel, last used some hours ago."""
    path = base / name
    (path / "cpu_1").mkdir(parents=True)
    (path / "cpu_1" / "loops.1.nbc").write_bytes(b"code")
    used = time.time() - hours * HOUR
    os.utime(path, (used, used))
    return path


def names(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir())


def test_the_three_latest_used_stay(tmp_path: Path) -> None:
    own, *others = [
        folder(tmp_path, name, hours) for name, hours in zip(NAMES, (50, 5, 2, 90, 3, 4), strict=True)
    ]
    jit.remove_old(own)
    assert names(tmp_path) == sorted([own.name, others[1].name, others[3].name])
    assert (others[1] / "cpu_1" / "loops.1.nbc").read_bytes() == b"code"


def test_what_was_used_within_the_hour_stays(tmp_path: Path) -> None:
    for name in NAMES:
        folder(tmp_path, name, 0.9)
    jit.remove_old(tmp_path / NAMES[0])
    assert names(tmp_path) == NAMES


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    elsewhere = folder(tmp_path / "elsewhere", NAMES[1], 99)
    base = tmp_path / "base"
    for name in NAMES[2:5]:
        folder(base, name, 2)
    kept = [
        "kernels-old",
        "kernels-0123456789ABCDEF",
        "my-kernels-0000000000000009",
        f"{NAMES[5]}.removed-me",
        "x",
    ]
    for name in kept:
        folder(base, name, 99)
    (base / NAMES[0]).symlink_to(elsewhere)
    jit.remove_old(base / NAMES[2])
    assert names(base) == sorted([*NAMES[2:5], *kept, NAMES[0]])
    assert (elsewhere / "cpu_1" / "loops.1.nbc").is_file()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    folder(tmp_path, f"{NAMES[4]}.removed-123", 0)
    own = folder(tmp_path, NAMES[0], 0)
    jit.remove_old(own)
    assert names(tmp_path) == [own.name]


@pytest.mark.parametrize("attempt", range(5))
def test_several_processes_at_once(tmp_path: Path, attempt: int) -> None:
    """Every folder goes in one go, once, though all of them see it at the same time."""
    for number in range(40):
        folder(tmp_path, f"kernels-{number:016x}", 10 + number)
    own = folder(tmp_path, "kernels-ffffffffffffffff", 0)
    barrier = threading.Barrier(4)

    def work(number: int) -> None:
        barrier.wait()
        jit.remove_old(own)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [None] * 4
    assert names(tmp_path) == sorted([own.name, "kernels-0000000000000000", "kernels-0000000000000001"])


def test_a_kernel_compiles_after_its_folder_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba makes the folder anew: a process whose folder another one removed goes on."""
    own = tmp_path / NAMES[0]
    own.mkdir()
    monkeypatch.setattr(jit, "cache_folder", lambda: str(own))

    @jit.compiled
    def total(values):  # type: ignore[no-untyped-def]
        found = 0.0
        for value in values:
            found += value
        return found

    assert total(np.ones(3)) == 3
    assert list(own.rglob("*.nbc"))
    shutil.rmtree(own)
    assert total(np.ones(3, np.float32)) == 3
    assert list(own.rglob("*.nbc"))


def test_a_process_cleans_up_when_it_starts(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        folder(tmp_path, name, 2 + number)
    code = "from fastseg.kernels.jit import cache_folder; print(cache_folder())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    own = Path(done.stdout.strip())
    assert own.parent == tmp_path
    assert time.time() - own.stat().st_mtime < HOUR
    assert names(tmp_path) == sorted([own.name, *NAMES[:2]])


DILATED = """
import gc, sys
import numpy as np
from fastseg.kernels.cpu import peaks
mask = np.zeros((3, 4, 5), bool)
mask[1, 1, 1] = True
out = np.empty_like(mask)
peaks.dilate_by_faces(mask, out)
loaded = sum(peaks._dilate_by_faces.stats.cache_hits.values())
print(int(out.sum()), loaded, len(peaks._or_into.overloads), gc.isenabled())
"""
"""Voxels set, kernels loaded from the cache, and signatures of a part that were compiled."""


def _dilated(cache: Path, before: str = "") -> str:
    return subprocess.run(
        [sys.executable, "-c", before + DILATED],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout.strip()


def test_a_kernel_is_loaded_without_compiling_its_parts(tmp_path: Path) -> None:
    assert _dilated(tmp_path) == "7 0 1 True"
    assert _dilated(tmp_path) == "7 1 0 True"
    assert not [path for path in tmp_path.rglob("*.nbi") if "_or_into" in path.name]


def test_kernels_compile_where_numba_names_its_parts_otherwise(tmp_path: Path) -> None:
    without = "import numba.core.codegen\ndel numba.core.codegen.JITCodeLibrary\n"
    assert _dilated(tmp_path, without) == "7 0 1 True"


def test_looking_for_cycles_stays_off_where_it_was_off(tmp_path: Path) -> None:
    assert _dilated(tmp_path, "import gc\ngc.disable()\n") == "7 0 1 False"


def _decorated(tree: ast.Module, name: str) -> list[ast.FunctionDef]:
    found = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return [f for f in found if any(isinstance(d, ast.Name) and d.id == name for d in f.decorator_list)]


def test_only_compiled_functions_name_those_without_an_entry_from_python() -> None:
    """Called from Python, such a function would end the process."""
    root = Path(jit.__file__).parent / "cpu"
    trees = {path: ast.parse(path.read_text()) for path in sorted(root.rglob("*.py"))}
    hidden = {(path.stem, f.name) for path, tree in trees.items() for f in _decorated(tree, "inner")}
    assert len(hidden) > 50
    for path, tree in trees.items():
        imported = {
            (node.module.rpartition(".")[2], alias.name)
            for node in tree.body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        names = {name for stem, name in hidden if stem == path.stem or (stem, name) in imported}
        compiled = [*_decorated(tree, "inner"), *_decorated(tree, "compiled")]
        for node in tree.body:
            if node not in compiled:
                used = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
                assert not names & used, f"{path.name}: {names & used} used by {ast.unparse(node)[:60]}"


def test_no_module_outside_the_kernels_imports_those() -> None:
    root = Path(jit.__file__).parent / "cpu"
    hidden = {
        (path.stem, f.name)
        for path in sorted(root.rglob("*.py"))
        for f in _decorated(ast.parse(path.read_text()), "inner")
    }
    top = Path(__file__).resolve().parents[2]
    for path in [p for folder in ("fastseg", "tests", "bench") for p in sorted((top / folder).rglob("*.py"))]:
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "fastseg.kernels.cpu." in text else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fastseg.kernels.cpu."):
                stem = (node.module or "").rpartition(".")[2]
                assert not {(stem, a.name) for a in node.names} & hidden, f"{path}: line {node.lineno}"
