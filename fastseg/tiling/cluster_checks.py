"""Whether the workers of a cluster compute with the same code as this process, and see the same files."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from secrets import token_hex
from typing import Any

from fastseg.errors import UsageError, WriteError
from fastseg.version import __version__

_SAME = ("numpy", "scipy", "scikit-image", "numba")
"""What computes voxels: another release may round or break ties differently, and then tiles do not fit together."""


def versions() -> dict[str, str]:
    """Versions of fastseg, of what computes voxels, and the format of scratch volumes, in this process."""
    found = {"fastseg": __version__}
    for name in (*_SAME, "zarr"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    found["zarr"] = found["zarr"].partition(".")[0]
    return found


def check_workers(client: Any, address: str) -> None:
    """Refuse a cluster without workers, or with workers whose results could differ.

    fastseg and the libraries that compute voxels must be the same release, zarr of the same major version, which
    decides the format of scratch volumes. Python and Dask may differ: tasks are sent as plain data and names of
    functions, and Dask checks itself.

    Raises
    ------
    UsageError
    """
    try:
        answers: dict[str, Any] = client.run(versions, on_error="return")
    except ValueError:
        answers = {}
    if not answers:
        raise UsageError(f"scheduler {address} has no workers: start some first")
    own = versions()
    for worker, found in answers.items():
        if not isinstance(found, dict):
            raise UsageError(
                f"worker {worker} has no fastseg {__version__} that starts: install the same version"
            )
        for name, number in own.items():
            if found.get(name) != number:
                kind = "major version " if name == "zarr" else ""
                raise UsageError(
                    f"worker {worker} runs {name} {kind}{found.get(name)}, this is {number}: install the same version"
                )


def _look(folder: str, token: str, inputs: Sequence[str]) -> tuple[str, str | None]:
    """In a worker: its host, and what it does not see, if anything; leaves a file of its own in the folder."""
    host = socket.gethostname()
    try:
        seen = (Path(folder) / token).read_text(encoding="ascii") == token
    except (OSError, UnicodeDecodeError):
        seen = False
    if not seen:
        return host, f"does not see the scratch folder {folder}"
    try:
        (Path(folder) / f"{token}-{host}-{os.getpid()}").write_text(token, encoding="ascii")
    except OSError as error:
        return host, f"cannot write to the scratch folder {folder} ({error.strerror})"
    for path in inputs:
        if not os.access(path, os.R_OK):
            return host, f"cannot read {path}"
    return host, None


def check_paths(client: Any, scratch: Path, inputs: Sequence[Path]) -> None:
    """Refuse a cluster whose workers do not share the scratch folder, or do not see an input.

    A folder of the same name on another disk is noticed: every worker must find there what this process has just
    written, and leave something that this process finds.

    Raises
    ------
    UsageError
        It names the worker's host and the path.
    WriteError
        If this process cannot write to the scratch folder.
    """
    folder = scratch.absolute()
    token = f"seen-{token_hex(8)}"
    try:
        (folder / token).write_text(token, encoding="ascii")
    except OSError as error:
        raise WriteError(f"scratch folder {scratch} cannot be used: {error.strerror}") from None
    try:
        answers = client.run(_look, str(folder), token, [str(path.absolute()) for path in inputs])
        written = len(list(folder.glob(f"{token}-*")))
    finally:
        for path in folder.glob(f"{token}*"):
            with suppress(OSError):
                path.unlink()
    for host, problem in answers.values():
        if problem is not None:
            raise UsageError(
                f"the worker on {host} {problem}: choose a place on a disk that all workers and this process share"
            )
    if written < len(answers):
        hosts = ", ".join(sorted({host for host, _ in answers.values()}))
        raise UsageError(
            f"what workers on {hosts} write to the scratch folder {folder} does not arrive here: choose a folder on a "
            "disk that all workers and this process share"
        )
