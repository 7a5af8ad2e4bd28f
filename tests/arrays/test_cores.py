"""How many cores may be used: by affinity, by the quota of a container, and by what the user says."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fastseg.arrays import cores, limit_kernels, namespace_for, usable_cores
from fastseg.arrays.device import Device
from fastseg.kernels import threads


def groups(root: Path, line: str, files: dict[str, str]) -> Path:
    """A file system with a line in /proc/self/cgroup and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"{line}\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v1(path: str, quota: int, period: int = 100_000) -> dict[str, str]:
    return {f"{path}/cpu.cfs_quota_us": f"{quota}\n", f"{path}/cpu.cfs_period_us": f"{period}\n"}


@pytest.fixture(autouse=True)
def _many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/", {"cpu.max": "max 100000\n"}, 64),
        ("0::/", {"cpu.max": "150000 100000\n"}, 2),  # part of a core counts as one
        ("0::/", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/", {"cpu.max": "nonsense\n"}, 64),
        ("0::/", {"cpu.max": "100000 0\n"}, 64),
        ("0::/", {}, 64),
        ("0::/a/b", {"a/b/cpu.max": "300000 100000\n"}, 3),
        (
            "0::/a/b",
            {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "500000 100000\n"},
            5,
        ),  # a parent's limit holds
        ("0::/a/b", {"a/b/cpu.max": "700000 100000\n", "a/cpu.max": "500000 100000\n"}, 5),
        ("0::/a/b", {"a/b/cpu.max": "200000 100000\n", "a/cpu.max": "500000 100000\n"}, 2),
        (
            "0::/docker/123",
            {"cpu.max": "600000 100000\n"},
            6,
        ),  # the path on the host; here the group is the top
        ("0::/../../x", {"cpu.max": "600000 100000\n"}, 6),
        ("0::/", {"unified/cpu.max": "600000 100000\n"}, 6),
        ("0::/a", {"b/cpu.max": "100000 100000\n"}, 64),  # somebody else's
        ("4:cpu,cpuacct:/", v1("cpu,cpuacct", 200_000), 2),
        ("4:cpuacct,cpu:/", v1("cpu", 250_000, 50_000), 5),
        ("4:cpu:/", v1("cpu", -1), 64),
        ("4:cpu:/a/b", {**v1("cpu/a/b", -1), **v1("cpu/a", 300_000)}, 3),
        ("4:cpu:/docker/123", v1("cpu", 300_000), 3),
        ("4:memory:/", v1("cpu", 300_000), 64),
        ("4:memory:/a\n3:cpu:/b\n0::/", {**v1("cpu/b", 300_000), **v1("cpu/a", 100_000)}, 3),
        ("3:cpu:/\n0::/", {**v1("cpu", 900_000), "cpu.max": "700000 100000\n"}, 7),
        ("", {"cpu.max": "100000 100000\n"}, 64),
    ],
)
def test_the_quota_of_a_container_counts(
    line: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert usable_cores(groups(tmp_path, line, files), {}) == expected


def test_without_control_groups_the_affinity_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert usable_cores(tmp_path, {}) == 64
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 8, 9})
    assert usable_cores(tmp_path, {}) == 3
    assert usable_cores(groups(tmp_path, "0::/", {"cpu.max": "800000 100000"}), {}) == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert usable_cores(tmp_path / "none", {}) == 12


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": " 3 , 2"}, 3),
        ({"NUMBA_NUM_THREADS": "5"}, 5),
        (
            {"NUMBA_NUM_THREADS": "5", "OMP_NUM_THREADS": "1"},
            5,
        ),  # as in Dask's workers, where OpenMP has one thread
        ({"NUMBA_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, 2),
        ({"OMP_NUM_THREADS": "100"}, 8),
        ({"OMP_NUM_THREADS": "0"}, 8),
        ({"OMP_NUM_THREADS": "-2"}, 8),
        ({"OMP_NUM_THREADS": "many"}, 8),
        ({}, 8),
    ],
)
def test_what_the_user_says_counts(environment: dict[str, str], expected: int, tmp_path: Path) -> None:
    root = groups(tmp_path, "0::/", {"cpu.max": "800000 100000"})
    assert usable_cores(root, environment) == expected


def test_the_environment_of_this_process_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert usable_cores(tmp_path) == 1


# ---- compiled loops


def test_kernels_of_a_thread_use_what_it_may() -> None:
    found: list[int] = []

    def alone() -> None:
        limit_kernels(1)
        found.append(threads.count())

    before = threads.count()
    thread = threading.Thread(target=alone)
    thread.start()
    thread.join()
    assert found == [1]
    assert threads.count() == before  # of this thread
    assert limit_kernels(10**6) == threads.most()
    assert limit_kernels(0) == 1
    limit_kernels(before)


def test_loading_kernels_keeps_a_thread_within_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    cpu = namespace_for(Device("cpu"))

    def load(own: int | None) -> None:
        if own is not None:
            limit_kernels(own)
        cpu.kernel("vesselness")
        found.append(threads.count())

    most = threads.most()
    for quota, own in ((1, None), (most, None), (1, most)):
        monkeypatch.setattr(cores, "usable_cores", lambda q=quota: q)
        thread = threading.Thread(target=load, args=(own,))
        thread.start()
        thread.join()
    assert found == [1, most, most]  # a number that was set stays
