"""The loop over the images of a run: each is finished or reported, and none stops the others."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

from fastseg.errors import FastsegError, UsageError, WriteError
from fastseg.io import find_images, image_stem, prepare_directory
from fastseg.screen.events import Event, ItemFinished, ItemOutcome, ItemStarted, RunStarted

OnEvent: TypeAlias = Callable[[Event], None]


def quiet(event: Event) -> None:
    pass


@dataclass(frozen=True)
class Item:
    """An image to work on, or an input that led to none and why."""

    source: str
    error: FastsegError | None = None


def expand(inputs: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Item]:
    """The images of all inputs, each once; an input that leads to none does not hide the others.

    Raises
    ------
    UsageError
        If there are no inputs.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not given:
        raise UsageError("no input was given: name image files, folders or patterns")
    items: dict[str, Item] = {}
    for one in given:
        text = os.fspath(one)
        try:
            for path in find_images([text]):
                items.setdefault(os.path.realpath(path), Item(str(path)))
        except FastsegError as error:
            items.setdefault(f"\0{text}", Item(text, error))  # no real path holds a NUL
    return list(items.values())


def images_of(items: Iterable[Item]) -> list[Path]:
    """The items that are images."""
    return [Path(item.source) for item in items if item.error is None]


def prepare(images: Sequence[Path], output: Path, result: Callable[[str], Path], verb: str) -> None:
    """Refuse two images with the same results, then make the folder of the results.

    Parameters
    ----------
    images : sequence of Path
    output : Path
    result : callable
        ``result(stem) -> path`` of what an image gives.
    verb : str
        What is done with images, for messages.

    Raises
    ------
    UsageError
    """
    owners: dict[str, Path] = {}
    for path in images:
        stem = image_stem(path)
        if stem in owners:
            raise UsageError(
                f"{owners[stem]} and {path} would both be written to {result(stem)}: rename one, "
                f"or {verb} them in separate runs with different output folders"
            )
        owners[stem] = path
    if images:
        try:
            prepare_directory(output)
        except WriteError as error:
            raise UsageError(str(error)) from error


def run_items(
    items: Sequence[Item],
    started: RunStarted,
    one: Callable[[str, OnEvent], ItemOutcome],
    on_event: OnEvent,
) -> list[ItemOutcome]:
    """Work on items one after another.

    Parameters
    ----------
    items : sequence of Item
    started : RunStarted
        The first event.
    one : callable
        ``one(source, on_event) -> outcome``. What it raises becomes the outcome of its item.
    on_event : callable
        An exception that it raises ends the run.
    """
    total = len(items)
    on_event(started)
    outcomes = []

    def relay(event: Event) -> None:
        try:
            on_event(event)
        except Exception as error:
            raise _Relayed(error) from error

    for number, item in enumerate(items):
        on_event(ItemStarted(item.source, number, total))
        begun = perf_counter()
        try:
            if item.error is not None:
                raise item.error
            outcome = one(item.source, relay)
        except _Relayed as relayed:
            raise relayed.original from None
        except Exception as error:
            outcome = _failure(item.source, error, perf_counter() - begun)
        outcomes.append(outcome)
        on_event(ItemFinished(outcome, number, total))
    return outcomes


class _Relayed(Exception):
    """Carries an exception of the caller's `on_event` past the handling of failed items."""

    def __init__(self, original: Exception) -> None:
        self.original = original


def _failure(source: str, error: Exception, seconds: float) -> ItemOutcome:
    text = "".join(traceback.format_exception(error))
    _drop_frames(error)
    return ItemOutcome(source=source, seconds=seconds, error=error, traceback=text)


def _drop_frames(error: BaseException | None) -> None:
    """Take the tracebacks off a chain of exceptions: their frames hold the arrays of the failed item."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            waiting += [one.__cause__, one.__context__]
