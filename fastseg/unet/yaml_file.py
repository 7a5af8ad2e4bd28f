"""Files in YAML that hold a mapping: configurations, the reference's and this program's, and descriptions of models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastseg.errors import UsageError


def read_yaml(path: str | Path, what: str = "configuration") -> dict[str, Any]:
    """A file as a mapping, its meaning not looked at.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should be, for messages.

    Raises
    ------
    UsageError
        If it cannot be read or is no mapping.
    """
    import yaml

    file = Path(path)
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1})"
        raise UsageError(
            f"{file} is not valid YAML{where}: {getattr(error, 'problem', None) or 'plain values only'}"
        ) from None
    if not isinstance(found, Mapping):
        state = "is empty" if found is None else f"is no {what}"
        raise UsageError(f"{file} {state}: a mapping of keys to values is needed")
    return dict(found)
