"""Training a network: begin a run, or go on with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastseg.errors import UsageError
from fastseg.unet.model import BEST, LAST
from fastseg.unet.training.config import changed, parse_settings
from fastseg.unet.training.events import Note, OnEvent, quiet
from fastseg.unet.training.folder import STATE, RunFolder
from fastseg.unet.training.prepare import Plan, prepare
from fastseg.unet.training.processes import Requests, train_here, train_together
from fastseg.unet.training.settings import TrainSettings

CHANGEABLE = ("epochs", "device", "devices", "data", "validation", "save")
"""What may be another in the second part of a run."""


@dataclass(frozen=True)
class Trained:
    """What a run gives.

    Attributes
    ----------
    folder : Path
    model : Path
        The best model; the last one where nothing was validated.
    epochs : int
        Epochs that were trained, in all parts of the run.
    best : float or None
        Value of the measure that decides.
    best_epoch : int or None
    history : tuple of dict
        The rows of ``metrics.csv``.
    """

    folder: Path
    model: Path
    epochs: int
    best: float | None
    best_epoch: int | None
    history: tuple[Mapping[str, float], ...]


def train(
    settings: TrainSettings, folder: str | Path, on_event: OnEvent = quiet, notes: Sequence[str] = ()
) -> Trained:
    """Train a network.

    Parameters
    ----------
    settings : TrainSettings
    folder : path-like
        Of the run; made if needed.
    on_event : callable
        Told what happens.
    notes : sequence of str
        Told first.

    Returns
    -------
    Trained

    Raises
    ------
    UsageError, Problems
        If settings, images and machine do not fit; nothing is trained then.
    InputError
        If the loss is no longer a number.
    ReadError, WriteError
        If files cannot be read or written; what was saved is still there.
    KeyboardInterrupt
        After Ctrl-C (or what the program does on SIGTERM); the state is saved, and `resume` goes on.
    """
    run = RunFolder(folder)
    run.check_new()
    plan = prepare(settings)
    with run.locked():
        run.check_new()
        for note in (*notes, *plan.notes):
            on_event(Note(note))
        RunFolder(folder, plan).begin()
        return _run(plan, Path(folder), False, on_event)


def resume(folder: str | Path, changes: Sequence[str] = (), on_event: OnEvent = quiet) -> Trained:
    """Go on with a run that was stopped, as if it had not been.

    Parameters
    ----------
    folder : path-like
    changes : sequence of str
        ``section.key=value`` of the sections `CHANGEABLE`. More epochs stretch the schedule.
    on_event : callable

    Returns
    -------
    Trained

    Raises
    ------
    ReadError
        If there is no run, or its state is damaged.
    UsageError, Problems
        If changes are not possible, or the images are others.
    InputError, WriteError, KeyboardInterrupt
        As of `train`.
    """
    run = RunFolder(folder)
    settings = run.settings()
    given = [change.partition("=")[0].split(".")[0] for change in changes]
    fixed = sorted({name for name in given if name not in CHANGEABLE})
    if fixed:
        raise UsageError(
            f"{', '.join(fixed)}: decided when the run began; a run that goes on can change {', '.join(CHANGEABLE)}"
        )
    tree = changed(settings.model_dump(mode="json", by_alias=True), changes)
    plan = prepare(parse_settings(tree, f"{folder}, changed"), begun=True)
    run.check_split(plan.split)
    with run.locked():
        if changes:
            RunFolder(folder, plan).begin()
        return _run(plan, Path(folder), True, on_event)


def _run(plan: Plan, folder: Path, again: bool, on_event: OnEvent) -> Trained:
    from fastseg.unet.training.trainer import Stopped

    requests = Requests()
    work = train_here if plan.settings.devices == 1 else train_together
    try:
        with requests.heeded():
            work(plan, folder, again, requests.asked, on_event)
    except Stopped:
        requests.obey()
    return _trained(folder)


def _trained(folder: Path) -> Trained:
    from fastseg.unet.training.state import load_state

    progress, _ = load_state(folder / STATE)
    best = folder / BEST
    return Trained(
        folder=folder,
        model=best if best.is_dir() else folder / LAST,
        epochs=progress.epoch,
        best=progress.best,
        best_epoch=progress.best_epoch,
        history=tuple(progress.history),
    )
