"""The machine a result belongs to, and the folder where its results live."""

import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"


def processor() -> str:
    """The processor's model name and its number of logical cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def module_path(python: str | Path = sys.executable, *more: str | Path) -> str:
    """PYTHONPATH of a process that imports this project; what is set here holds for the same interpreter only."""
    inherited = os.environ.get("PYTHONPATH", "") if str(python) == sys.executable else ""
    return os.pathsep.join(str(part) for part in (ROOT, *more, inherited) if str(part))


def folder_of(device: str) -> Path:
    """The folder of a device's results: its name in lower case, everything but letters and digits a hyphen."""
    return RESULTS / "".join(c if c.isalnum() else "-" for c in device).strip("-").lower()


def revision() -> str:
    """Short hash of the checked-out commit, with a plus sign if code has changed since; empty without Git."""
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}  # looking must not write to the index
    try:
        head, changes = (
            subprocess.run(
                ["git", *command], cwd=ROOT, env=quiet, capture_output=True, text=True, check=True
            ).stdout
            for command in (("rev-parse", "--short", "HEAD"), ("status", "--short", "fastseg", "kernels"))
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.strip() + ("+" if changes.strip() else "")
