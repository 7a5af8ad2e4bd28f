"""A run as it is watched: bars on a terminal, a line per item everywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fastseg.cli.console import amount, console, on_terminal

if TYPE_CHECKING:
    from fastseg.screen import Event, ItemFinished, ItemOutcome
    from fastseg.screen.sweep import SweepEvent

_NAME_WIDTH = 28


class Reporter:
    """Prints what happens during a run and keeps the outcomes so far.

    Use it as a context manager, and hand it to `fastseg.screen.segment_files` as `on_event`.
    """

    def __init__(self) -> None:
        self.total = 0
        self.outcomes: list[ItemOutcome] = []
        self.console = console()
        self._bars: _Bars | None = None

    def __enter__(self) -> Reporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        from fastseg.screen import ItemFinished, RunStarted

        if isinstance(event, RunStarted):
            self.total = event.total
            if event.total > 1 or on_terminal():
                self.console.print(
                    f"{event.kind} {event.name} on {event.device}, {amount(event.total, 'image')}"
                )
            if on_terminal():
                self._bars = _Bars(self.console, event.total)
        elif isinstance(event, ItemFinished):
            self.outcomes.append(event.outcome)
            self._item(event)
        if self._bars is not None:
            self._bars(event)

    def _item(self, event: ItemFinished) -> None:
        from fastseg.screen.events import error_text

        outcome = event.outcome
        head = f"[{event.number + 1}/{event.total}] " if event.total > 1 else ""
        name = f"{head}{os.path.basename(outcome.source.rstrip('/')) or outcome.source}"
        for note in outcome.notes:
            self.console.print(f"{name}: note: {note}")
        if outcome.ok:
            self.console.print(f"{name}: {_summary(outcome)}")
        elif event.total > 1:  # of a single item, the closing message says it all
            # A person reads the reasons together at the end; a log that is cut off has to hold them here.
            reason = (
                "" if self._bars is not None or outcome.error is None else f": {error_text(outcome.error)}"
            )
            self.console.print(f"{name}: failed after {outcome.seconds:.1f} s{reason}")


def _summary(outcome: ItemOutcome) -> str:
    if outcome.kept:
        return f"already there, {outcome.outputs[0]}"
    more = f" and {len(outcome.outputs) - 1} more" if len(outcome.outputs) > 1 else ""
    return f"{outcome.seconds:.1f} s, {_found(outcome)}, {outcome.outputs[0]}{more}"


def _found(outcome: ItemOutcome) -> str:
    if outcome.values:
        return ", ".join(f"{name} = {value}" for name, value in outcome.values.items())
    if outcome.limits is not None:
        return "values {:.4g} to {:.4g}".format(*outcome.limits)
    return f"foreground {100 * (outcome.foreground or 0) / (outcome.voxels or 1):.3g} %"


class _Bars:
    """A bar for the items, where there are several, and one for the steps of the current item."""

    def __init__(self, out: Any, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[step]}", markup=False),
            console=out,
            transient=True,
            # Standard error keeps going where the user sends it.
            redirect_stderr=sys.stderr.isatty(),
        )
        self.items = self.progress.add_task("images", total=total, step="", visible=total > 1)
        self.steps = self.progress.add_task("", total=None, step="reading")
        self.progress.start()

    def stop(self) -> None:
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        from fastseg.screen import ItemFinished, ItemPhase, ItemStarted, StepStarted

        update: Callable[..., None] = self.progress.update
        if isinstance(event, ItemStarted):
            name = shortened(os.path.basename(event.source.rstrip("/")), _NAME_WIDTH)
            self.progress.reset(self.steps, total=None, description=name, step="")
        elif isinstance(event, ItemPhase):
            total = self.progress.tasks[self.steps].total
            update(self.steps, step=event.phase, completed=(total or 0) if event.phase == "writing" else 0)
        elif isinstance(event, StepStarted):
            update(self.steps, completed=event.number, total=event.total, step=event.step)
        elif isinstance(event, ItemFinished):
            update(self.items, advance=1)


class SweepBar:
    """A bar for the combinations of a sweep on a terminal, a line at its start elsewhere.

    Use it as a context manager, and hand it to `fastseg.screen.sweep.sweep_file` as `on_event`.
    """

    def __init__(self) -> None:
        self.console = console()
        self.progress: Any = None

    def __enter__(self) -> SweepBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.progress is not None:
            self.progress.stop()

    def __call__(self, event: SweepEvent) -> None:
        from fastseg.screen.sweep import SweepStarted

        if isinstance(event, SweepStarted):
            self.console.print(
                f"workflow {event.workflow} on {event.device}, {amount(event.total, 'combination')}"
            )
            if on_terminal():
                self._start(event.total)
        elif self.progress is not None:
            self.progress.update(self.task, completed=event.done)

    def _start(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            TextColumn("combinations"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
        )
        self.task = self.progress.add_task("", total=total)
        self.progress.start()


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` characters, its middle left out where it is longer; for moving displays only."""
    if len(text) <= width:
        return text
    head = (width - 3) // 2
    return f"{text[:head]}...{text[len(text) - (width - 3 - head) :]}"
