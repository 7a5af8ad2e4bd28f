"""The page about CUDA kernels shows what is predicted from the kernels that there are."""

from __future__ import annotations

import pytest

pytest.importorskip("numba.cuda")

from bench.predicted import BANDWIDTH, KERNELS, NAMES, VOXELS, WORKFLOWS, Kernel, rows, seconds_of
from tests.kernels import test_ptx_filters, test_ptx_objects
from tests.support import ROOT

PAGE = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")


def _known() -> set[str]:
    filters = {NAMES[name] for name in test_ptx_filters.kernels()}
    return filters | {name for name in test_ptx_objects.kernels() if not name.endswith(" (wide)")}


def test_every_kernel_is_known() -> None:
    assert {name for name in KERNELS if not name.startswith("CuPy")} == _known()


def test_the_page_shows_every_kernel() -> None:
    lines = {line.split(" | ")[0][2:]: line for line in PAGE.splitlines() if line.startswith("| ")}
    for name in _known():
        row = KERNELS[name]
        assert lines[name].startswith(f"| {name} | {row.what} | {row.block} | ")
        assert lines[name].endswith(f" | {row.bytes:.3g} | {1000 * row.seconds(VOXELS):.3g} |")


def test_the_page_shows_the_workflows() -> None:
    assert "\n".join(rows()) in PAGE


def test_times_are_those_of_bytes_or_instructions() -> None:
    assert Kernel("", "", 8).seconds(1000) == pytest.approx(8000 / BANDWIDTH)
    assert Kernel("", "", 8, 800).seconds(1000) == pytest.approx(800_000 / (132 * 128 * 1.755e9))
    for name in WORKFLOWS:
        assert seconds_of(name) < 0.04
