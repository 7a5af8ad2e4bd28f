"""What happens during a training run, as data; the command line turns it into bars or lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class TrainingStarted:
    """Everything about the run is right, and the first step begins.

    Attributes
    ----------
    network, device : str
    training, validation : int
        Numbers of images.
    patch : (z, y, x)
    batch, steps : int
        Patches of a step, and steps of an epoch.
    epoch, epochs : int
        The epoch that begins, from 0, and how many the run has.
    resumed : bool
    precision : str
    """

    network: str
    device: str
    training: int
    validation: int
    patch: tuple[int, int, int]
    batch: int
    steps: int
    epoch: int
    epochs: int
    resumed: bool
    precision: str


@dataclass(frozen=True)
class StepDone:
    """A step is done: its epoch and its number from 0 of `steps`, the loss, and the learning rate."""

    epoch: int
    step: int
    steps: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class ValidationStep:
    """An image of `total` is about to be validated: its name, its number from 0."""

    epoch: int
    name: str
    number: int
    total: int


@dataclass(frozen=True)
class EpochDone:
    """An epoch is done.

    Attributes
    ----------
    epoch : int
    values : dict of str to float
        The row of ``metrics.csv``.
    best : bool
        Whether its validation is the best so far.
    """

    epoch: int
    values: Mapping[str, float]
    best: bool = False


@dataclass(frozen=True)
class Note:
    """Something the user should know."""

    text: str


TrainEvent: TypeAlias = TrainingStarted | StepDone | ValidationStep | EpochDone | Note

OnEvent: TypeAlias = Callable[[TrainEvent], None]


def quiet(event: TrainEvent) -> None:
    """Nobody watches."""
