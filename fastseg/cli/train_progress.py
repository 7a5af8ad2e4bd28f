"""A training run as it is watched: a bar with loss and time left on a terminal, a line an epoch everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fastseg.cli.console import amount, console, on_terminal
from fastseg.cli.progress import shortened

if TYPE_CHECKING:
    from fastseg.unet.training.events import StepDone, TrainEvent, TrainingStarted, ValidationStep

_SMOOTH = 0.95
"""Weight of the past in the loss that is shown: single batches jump."""

_QUIET = 60.0
"""Seconds without a line in a log before a step is reported."""


class TrainReporter:
    """Prints what happens during training.

    Use it as a context manager, and hand it to `fastseg.unet.training.train.train` as `on_event`.
    """

    def __init__(self) -> None:
        self.console = console()
        self.epochs = 0
        self.started = False
        self._bar: _Bar | None = None
        self._spoke = monotonic()
        self._loss: float | None = None

    def __enter__(self) -> TrainReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, event: TrainEvent) -> None:
        from fastseg.unet.training import events

        if isinstance(event, events.TrainingStarted):
            self._start(event)
        elif isinstance(event, events.Note):
            self._say(f"note: {event.text}")
        elif isinstance(event, events.StepDone):
            self._step(event)
        elif isinstance(event, events.ValidationStep):
            self._validate(event)
        elif isinstance(event, events.EpochDone):
            self._say(epoch_line(event.epoch, self.epochs, event.values, event.best))
            if self._bar is not None:
                self._bar.epoch(event.epoch + 1)

    def _start(self, event: TrainingStarted) -> None:
        self.epochs = event.epochs
        self.started = True
        held = f", {event.validation} held back" if event.validation else ""
        self._say(
            f"training {event.network} on {event.device} ({event.precision}): {amount(event.training, 'image')}{held}; "
            f"{amount(event.steps, 'step')} of {amount(event.batch, 'patch', 'patches')} "
            f"{'x'.join(map(str, event.patch))} an epoch"
        )
        if event.resumed and event.epoch < event.epochs:
            self._say(f"going on with epoch {event.epoch} of 0 to {event.epochs - 1}")
        if on_terminal():
            self._bar = _Bar(self.console, event)

    def _step(self, event: StepDone) -> None:
        loss = event.loss if self._loss is None else _SMOOTH * self._loss + (1 - _SMOOTH) * event.loss
        self._loss = loss
        if self._bar is not None:
            self._bar.step(event, loss)
        elif monotonic() - self._spoke > _QUIET:
            self._say(f"epoch {event.epoch}, step {event.step + 1} of {event.steps}: loss {loss:.4g}")

    def _validate(self, event: ValidationStep) -> None:
        if self._bar is not None:
            self._bar.validate(event)
        elif monotonic() - self._spoke > _QUIET:
            self._say(f"epoch {event.epoch}: validating {event.name} ({event.number + 1} of {event.total})")

    def _say(self, text: str) -> None:
        self._spoke = monotonic()
        self.console.print(text)


def epoch_line(epoch: int, epochs: int, values: Mapping[str, float], best: bool) -> str:
    """An epoch in one line."""
    parts = [f"loss {values['train_loss']:.4g}"]
    if "dice" in values:
        parts += [
            f"validation loss {values['validation_loss']:.4g}",
            f"Dice {values['dice']:.4f}",
            f"IoU {values['iou']:.4f}{' (best so far)' if best else ''}",
        ]
    parts.append(f"learning rate {values['learning_rate']:.2g}")
    return f"epoch {epoch} of 0 to {epochs - 1}: {', '.join(parts)}, {values['seconds']:.1f} s"


class _Bar:
    """Steps of the whole run, with what is being done and the time left."""

    def __init__(self, out: Any, event: TrainingStarted) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        self.steps = event.steps
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[state]}", markup=False),
            console=out,
            transient=True,
            redirect_stderr=sys.stderr.isatty(),
            speed_estimate_period=600,
        )
        self.task = self.progress.add_task(
            f"epoch {event.epoch}",
            total=event.epochs * event.steps,
            completed=event.epoch * event.steps,
            state="",
        )
        self.progress.start()

    def step(self, event: StepDone, loss: float) -> None:
        self.progress.update(
            self.task,
            description=f"epoch {event.epoch}",
            completed=event.epoch * self.steps + event.step + 1,
            state=f"step {event.step + 1}/{event.steps}, loss {loss:.4g}",
        )

    def validate(self, event: ValidationStep) -> None:
        name = shortened(event.name, 24)
        self.progress.update(self.task, state=f"validating {name} ({event.number + 1}/{event.total})")

    def epoch(self, number: int) -> None:
        self.progress.update(self.task, completed=number * self.steps)

    def stop(self) -> None:
        self.progress.stop()
