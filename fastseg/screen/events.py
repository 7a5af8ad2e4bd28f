"""What happens during a run, as data; the command line turns it into bars or lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from fastseg.errors import EXIT_SOME_FAILED, FastsegError


@dataclass(frozen=True)
class RunStarted:
    """Everything about the request is right, and work begins.

    Attributes
    ----------
    name : str
        Of what is run.
    device : str
        Where it runs, such as "cpu" or "cuda:0".
    total : int
        Number of items.
    kind : {"workflow", "model"}
        What is run.
    """

    name: str
    device: str
    total: int
    kind: Literal["workflow", "model"] = "workflow"


@dataclass(frozen=True)
class ItemStarted:
    """An item is about to be read: its file, and its number from 0 of `total`."""

    source: str
    number: int
    total: int


@dataclass(frozen=True)
class ItemPhase:
    """An item enters a phase other than a step of the workflow."""

    source: str
    phase: Literal["reading", "writing"]


@dataclass(frozen=True)
class StepStarted:
    """A step of the workflow begins on an item: its id and operator, its number from 0 of `total`."""

    source: str
    step: str
    operator: str
    number: int
    total: int


@dataclass(frozen=True)
class ItemOutcome:
    """What became of one item.

    Attributes
    ----------
    source : str
        The file.
    outputs : tuple of Path
        What was written, the segmentation (or the result of the last step) first; empty if the item failed.
    seconds : float
        From opening the file to the last output.
    foreground, voxels : int or None
        Foreground voxels of the segmentation, and all its voxels; None if the item failed, or the run ended with a step
        whose result is neither a mask nor labels.
    limits : tuple of float or None
        Least and greatest value, if the run ended with a step whose result is an image.
    values : dict of str to value
        The number, by name, if the run ended with a step that gives one.
    notes : tuple of str
        Remarks for the user, such as what had to be assumed about the file.
    kept : bool
        The outputs were there already, and a resumed run left them as they are.
    error : Exception or None
        Why the item failed. It carries no traceback, which would keep the item's arrays alive.
    traceback : str
        The error's traceback as text; empty if all went well.
    """

    source: str
    outputs: tuple[Path, ...] = ()
    seconds: float = 0.0
    foreground: int | None = None
    voxels: int | None = None
    limits: tuple[float, float] | None = None
    values: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    kept: bool = False
    error: Exception | None = None
    traceback: str = ""

    @property
    def ok(self) -> bool:
        """Whether the item was segmented and everything was written."""
        return self.error is None

    @property
    def expected(self) -> bool:
        """Whether the error, if any, is one that fastseg raises on purpose or running out of memory."""
        return self.error is None or isinstance(self.error, FastsegError | MemoryError)

    @property
    def exit_code(self) -> int:
        """What the command line returns for this item alone."""
        if self.error is None:
            return 0
        return self.error.exit_code if isinstance(self.error, FastsegError) else EXIT_SOME_FAILED

    @property
    def message(self) -> str:
        """Why the item failed, in words that name the file; empty if it did not."""
        if self.error is None:
            return ""
        text = error_text(self.error)
        return text if self.source in text else f"{self.source}: {text}"


@dataclass(frozen=True)
class ItemFinished:
    """An item is done or has failed."""

    outcome: ItemOutcome
    number: int
    total: int


Event: TypeAlias = RunStarted | ItemStarted | ItemPhase | StepStarted | ItemFinished


def error_text(error: BaseException) -> str:
    """An error in words: its own message where it was raised on purpose, type and message otherwise."""
    if isinstance(error, FastsegError):
        return str(error)
    if isinstance(error, MemoryError):
        detail = f" ({error})" if str(error) else ""
        return (
            f"there is not enough memory to segment this image{detail}: free some, segment a smaller part, or "
            "give a smaller --tile"
        )
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
