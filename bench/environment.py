"""The virtual environment of the peers: built once, rebuilt when its requirements change.

The reference implementation needs versions that fastseg cannot live with, so it never shares fastseg's environment.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from bench.machine import ROOT

FOLDER = ROOT / ".cache" / "bench" / "peers"
MONAI = ROOT / ".cache" / "bench" / "monai"
"""Beside fastseg's own environment, so that both run the same network with the same PyTorch."""
PINS = Path(__file__).parent / "peers"
VERSION = "3.11"


class NoPeersError(Exception):
    """The environment of the peers cannot be built; the message says why and what to do."""


def peers_python() -> Path:
    """The interpreter of the environment, whether it exists or not."""
    return FOLDER / "bin" / "python"


def digest() -> str:
    """Hash of everything that decides what gets installed."""
    text = VERSION.encode() + b"".join(
        (PINS / f"{n}.txt").read_bytes() for n in ("requirements", "reference")
    )
    return hashlib.sha256(text).hexdigest()[:16]


def is_built() -> bool:
    """Whether the environment is complete and fits the requirements of today."""
    stamp = FOLDER / ".stamp"
    return stamp.is_file() and stamp.read_text() == digest()


def base_python() -> str:
    """An interpreter of the version that the pins were made for.

    Raises
    ------
    NoPeersError
        If this machine has none.
    """
    if f"{sys.version_info.major}.{sys.version_info.minor}" == VERSION:
        return sys.executable
    found = shutil.which(f"python{VERSION}")
    if found is None:
        raise NoPeersError(
            f"the peers need Python {VERSION}, which is not on the path; --no-peers runs without them"
        )
    return found


def build() -> Path:
    """Make the environment unless it is complete, and give its interpreter.

    Raises
    ------
    NoPeersError
        If there is no suitable Python, or the packages cannot be installed.
    """
    if is_built():
        return peers_python()
    print(
        f"building the environment of the peers in {FOLDER.relative_to(ROOT)} (a few minutes, once)",
        flush=True,
    )
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(parents=True, exist_ok=True)
    _run([base_python(), "-m", "venv", str(FOLDER)])
    pip = [str(peers_python()), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "-r", str(PINS / "requirements.txt")])
    _run([*pip, "--no-deps", "-r", str(PINS / "reference.txt")])
    (FOLDER / ".stamp").write_text(digest())
    return peers_python()


def build_monai() -> Path:
    """MONAI alone, without its dependencies, in a folder to put on the path; installed unless it is there.

    Raises
    ------
    NoPeersError
        If it cannot be installed.
    """
    pins = PINS / "monai.txt"
    stamp = MONAI / ".stamp"
    if not stamp.is_file() or stamp.read_text() != pins.read_text():
        shutil.rmtree(MONAI, ignore_errors=True)
        MONAI.mkdir(parents=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--no-deps", "--target", str(MONAI), "-r", str(pins)])
        stamp.write_text(pins.read_text())
    return MONAI


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    last = (errors or done.stderr.strip().splitlines() or ["no message"])[-1]
    network = any(
        word in done.stderr for word in ("NewConnectionError", "NameResolutionError", "ConnectTimeout")
    )
    reason = "the package index cannot be reached" if network else last
    raise NoPeersError(
        f"the peers cannot be installed ({reason}); --no-peers runs without them: {' '.join(command)}"
    )
