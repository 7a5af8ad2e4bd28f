"""What a run has finished so far, kept beside its intermediate volumes so that another process can go on."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastseg.errors import WriteError

_FILE = "journal.pickle"


@dataclass(frozen=True)
class Progress:
    """Finished stages, and what they left: volumes and values by the names of their nodes."""

    stages: int = 0
    known: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """A journal in the folder of a run's intermediate volumes.

    Parameters
    ----------
    folder : Path
        Of this user alone: what is read from it is unpickled.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE

    def read(self) -> Progress:
        """What earlier processes finished; nothing where there is no journal, or one that was not written whole."""
        try:
            with open(self.path, "rb") as stream:
                found = pickle.load(stream)
        except (OSError, EOFError, pickle.UnpicklingError, AttributeError, ImportError):
            return Progress()
        return found if isinstance(found, Progress) else Progress()

    def write(self, progress: Progress) -> None:
        """Replace the journal as a whole.

        Raises
        ------
        WriteError
            If the disk is full or cannot be written to.
        """
        temporary = self.path.with_suffix(".part")
        try:
            with open(temporary, "wb") as stream:
                pickle.dump(progress, stream)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self.path)
        except OSError as error:
            raise WriteError(f"scratch {self.path} cannot be written: {error.strerror or error}") from error
