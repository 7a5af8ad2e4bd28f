"""How many cores this process may use, and how many of them the compiled loops of a thread take."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path, PurePosixPath

_ASKED = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
"""Variables that say how many threads to use; the first that holds a number counts."""

_V1_CONTROLLERS = ("cpu", "cpu,cpuacct", "cpuacct,cpu")

_limited = threading.local()


def usable_cores(root: Path = Path("/"), environment: Mapping[str, str] | None = None) -> int:
    """Cores that this process may use: never more than the system, a container or the user allow.

    The least of: cores of the affinity mask, the CPU quota of the control group and those above it (what
    ``docker run --cpus`` and Kubernetes set), and ``NUMBA_NUM_THREADS`` or else ``OMP_NUM_THREADS``.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` are found.
    environment : mapping of str to str, optional
        This process's by default.

    Returns
    -------
    int
        At least 1. Part of a core counts as a whole one: a thread more than the quota is slowed down, one less leaves
        paid time unused.
    """
    limits = [_affinity()]
    quota = _quota(root)
    if quota is not None:
        limits.append(ceil(quota))
    asked = _asked(os.environ if environment is None else environment)
    if asked is not None:
        limits.append(asked)
    return max(1, min(limits))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _asked(environment: Mapping[str, str]) -> int | None:
    for name in _ASKED:
        first = environment.get(name, "").partition(",")[0].strip()  # OpenMP takes one number a nesting level
        if first.isdecimal() and int(first) > 0:
            return int(first)
    return None


def _quota(root: Path) -> float | None:
    """Cores' worth of CPU time that the control groups of this process grant; None without a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None  # not Linux
    found = [quota for line in lines for quota in _quotas(root, line)]
    return min(found, default=None)


def _quotas(root: Path, line: str) -> Iterator[float]:
    """Quotas along one line ``ID:CONTROLLERS:PATH`` of /proc/self/cgroup; version 2 has no controllers there."""
    _, colon, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if not colon:
        return
    mount = root / "sys/fs/cgroup"
    if controllers and "cpu" not in controllers.split(","):
        return
    bases = [mount / name for name in _V1_CONTROLLERS] if controllers else [mount, mount / "unified"]
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..")]
    for base in bases:
        # A container often sees its own group as the top, while the path is the one on the host: the parents of a path
        # that does not exist here end at the top.
        for depth in range(len(parts), -1, -1):
            quota = (_quota_v1 if controllers else _quota_v2)(base.joinpath(*parts[:depth]))
            if quota is not None:
                yield quota


def _quota_v2(group: Path) -> float | None:
    """``cpu.max`` holds "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(group: Path) -> float | None:
    """Two files of microseconds; a quota of -1 is none."""
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period = int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def limit_kernels(count: int) -> int:
    """Let the compiled loops that this thread calls use up to `count` threads; gives what they use.

    The number belongs to the thread that calls this function. Numba by itself takes all cores of the affinity mask.
    """
    _limited.done = True
    return int(importlib.import_module("fastseg.kernels.threads").limit(count))


def limit_kernels_once() -> None:
    """Keep the compiled loops of this thread within `usable_cores`, unless a number has been set for them."""
    if not getattr(_limited, "done", False):
        limit_kernels(usable_cores())
