"""What the benchmark writes: results that survive an interruption, a report and plots."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench import environment, store
from bench.lineup import COMPOSITION, FASTSEG, REFERENCE
from bench.report import limit_of, markdown, memory_of, speedup, target_of
from bench.store import Store, saved_stores


def row(
    group: str, name: str, ours: float, theirs: float | None, target: float = 0, **more: Any
) -> dict[str, Any]:
    def entry(median: float) -> dict[str, Any]:
        spread = {"min_s": median / 2, "max_s": median * 2, "calls": 3}
        return {"median_s": median, **spread, "agrees": True, "agreement": "", "peak_bytes": 8000}

    contenders = {FASTSEG: entry(ours)} | ({REFERENCE: entry(theirs)} if theirs else {})
    return {
        "group": group,
        "name": name,
        "shape": [10, 10, 10],
        "target": target,
        "amount": 0,
        "bytes": 8000,
        "bandwidth": 1e6,
        "date": "2030-01-02",
        "contenders": contenders,
        "first": {"installed_s": 3.21, "later_s": 0.456},
    } | more


ROWS = [
    row("operators", "Gaussian 3D", 0.1, 0.5, 2),
    row("operators", "filament filter 3D", 0.1, 0.3, 40),
    row("sizes", "Gaussian 3D", 0.01, 0.05, shape=[5, 5, 5]),
    row("objects", "masked-object threshold, 10 objects", 0.2, 0.4, amount=10),
    row("objects", "masked-object threshold, 100 objects", 0.3, None, amount=100),
    row("workflows", "workflow sec61b", 1.0, 4.0, 3),
    row("workflows", "workflow npm1", 1.0, 9.0, 3),
    row("commands", "command npm1", 2.0, 9.0, 5),
    row(
        "throughput",
        "throughput sec61b",
        1,
        None,
        contenders={},
        stacks_per_s={FASTSEG: {"1": 2.0, "2": 3.5}, REFERENCE: {"1": 0.5, "2": 0.25}},
    ),
]


def test_derived_figures() -> None:
    first = ROWS[0]
    assert speedup(first) == pytest.approx(5)
    assert limit_of(first) == pytest.approx(0.1 / 0.008)
    assert memory_of(first) == pytest.approx(2)
    assert speedup(ROWS[4]) is None


def test_the_report_says_what_was_met_and_missed() -> None:
    text = markdown("some device", ROWS)
    assert (
        "| Gaussian 3D, 10x10x10 | 0.1 (0.05 to 0.2) | 1e+05 | 12.5x | 0.5 (0.25 to 1) | 5.0x | 2x, met | 2.0"
        in text
    )
    assert "40x, **missed**" in text
    assert "Geometric mean of 2 speed-ups 6.0x; least 4.0x (workflow sec61b, 10x10x10)." in text
    assert "whatever the number of objects: 1.50." in text
    assert "| 3.2; 0.46 |" in text
    assert "| reference | 0.5 | 0.25 |" in text
    assert "Not timed" not in text


def test_the_largest_stack_counts() -> None:
    small = row("workflows", "workflow npm1", 1.0, 2.0, 3, shape=[2, 10, 10])
    alone = row("workflows", "workflow npm1", 1.0, None, 3, shape=[20, 10, 10])
    for rows in ([small, *ROWS, alone], [alone, *ROWS, small]):
        text = markdown("some device", rows)
        assert "Geometric mean of 2 speed-ups 6.0x; least 4.0x (workflow sec61b, 10x10x10)." in text
        assert "Most memory: 2.0 stacks (workflow sec61b, 10x10x10)." in text


def test_on_a_gpu_the_fastest_other_counts() -> None:
    others = {
        name: dict(ROWS[0]["contenders"][FASTSEG], median_s=s)
        for name, s in ((FASTSEG, 0.1), (COMPOSITION, 0.5), ("cuCIM", 0.25))
    }
    text = markdown("some GPU", [row("operators", "Gaussian 3D", 0.1, None, 2, contenders=others)])
    assert "| 3x, **missed** | 5.0x | 2.5x | 2.0 | 3.2; 0.46 |" in text
    assert "reference" not in text
    assert target_of(row("operators", "Gaussian 3D", 0.1, 0.5, 2)) == (2, pytest.approx(5))


def test_the_report_names_disagreements() -> None:
    bad = row("operators", "Gaussian 3D", 0.1, None)
    bad["contenders"]["ITK"] = {"untimed_s": 1, "agrees": False, "agreement": "Dice 0.5"}
    bad["contenders"]["other"] = {"error": "ValueError: no"}
    text = markdown("some device", [bad])
    assert "- Gaussian 3D, 10x10x10: ITK answers differently: Dice 0.5" in text
    assert "- Gaussian 3D, 10x10x10: other: ValueError: no" in text


def test_results_are_kept_case_by_case(tmp_path: Path) -> None:
    store = Store(tmp_path / "device", "some device")
    store.add("a", ROWS[0])
    store.add("b", ROWS[1])
    store.add("a", ROWS[2])
    again = Store(tmp_path / "device", "some device")
    assert "a" in again
    assert "c" not in again
    assert again.rows["a"]["shape"] == [5, 5, 5]
    store.add("d", ROWS[3])
    again.add("e", ROWS[4])
    assert set(Store(tmp_path / "device", "some device").rows) == {"a", "b", "d", "e"}
    assert list(tmp_path.glob("device/*")) == [again.path]


def test_plots_are_vector_graphics_with_readable_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench.plots import draw

    drawn = draw(tmp_path, "some device", ROWS)
    assert {p.stem for p in drawn} == {"speedup", "workflows", "time", "memory", "objects", "throughput"}
    for path in drawn:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert "some device" in path.read_text()


def test_peers_are_rebuilt_when_their_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def install(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        environment.FOLDER.mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "FOLDER", tmp_path / "peers")
    monkeypatch.setattr(environment, "base_python", lambda: "python3.11")
    monkeypatch.setattr(environment.subprocess, "run", install)
    assert not environment.is_built()
    environment.build()
    assert [c[-1].rpartition("/")[2] for c in commands] == ["peers", "requirements.txt", "reference.txt"]
    assert environment.is_built()
    environment.build()
    assert len(commands) == 3
    monkeypatch.setattr(environment, "digest", lambda: "of other requirements")
    assert not environment.is_built()


def test_without_a_network_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        noise = (
            "WARNING: Retrying: NewConnectionError('...')\nERROR: No matching distribution found for itk\n"
        )
        return subprocess.CompletedProcess(command, int("install" in command), "", noise)

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "FOLDER", tmp_path / "peers")
    monkeypatch.setattr(environment, "base_python", lambda: "python3.11")
    monkeypatch.setattr(environment.subprocess, "run", fail)
    with pytest.raises(
        environment.NoPeersError, match=r"the package index cannot be reached.*--no-peers runs without"
    ):
        environment.build()
    assert not environment.is_built()


def test_the_results_of_all_devices_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RESULTS", tmp_path)
    for device in ("a CPU", "a GPU"):
        Store(tmp_path / device.replace(" ", "-"), device).add("key", ROWS[0])
    (tmp_path / "model").mkdir()
    assert [(found.device, list(found.rows)) for found in saved_stores()] == [
        ("a CPU", ["key"]),
        ("a GPU", ["key"]),
    ]
