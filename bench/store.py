"""The results of a device: one JSON file, saved after every case, so that a run may stop at any time."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.machine import RESULTS

NAME = "benchmark.json"


class Store:
    """Rows by key, kept in a file.

    Parameters
    ----------
    folder : Path
        Folder of the device.
    device : str
        Name of the device.
    """

    def __init__(self, folder: Path, device: str) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.device = device
        self.rows: dict[str, dict[str, Any]] = self._saved()

    def _saved(self) -> dict[str, dict[str, Any]]:
        return json.loads(self.path.read_text())["rows"] if self.path.is_file() else {}

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def add(self, key: str, row: dict[str, Any]) -> None:
        """Put a row in place of what was there, and save; rows that another run has saved meanwhile are kept."""
        self.rows = self._saved()
        self.rows[key] = row | {"date": datetime.now(UTC).date().isoformat()}
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps({"device": self.device, "rows": self.rows}, indent=1) + "\n")
        os.replace(part, self.path)


def saved_stores() -> list[Store]:
    """The results of all devices."""
    paths = sorted(RESULTS.glob(f"*/{NAME}"))
    return [Store(path.parent, json.loads(path.read_text())["device"]) for path in paths]
