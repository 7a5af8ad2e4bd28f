"""The state of a run in a file: all that is needed to go on as if it had not stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from fastseg.errors import SourceError
from fastseg.io.atomic import atomic_output
from fastseg.version import __version__

FORMAT_VERSION = 1

# the last one comes of files that end too early
_DAMAGED = (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, OSError)


@dataclass
class Progress:
    """How far a run has come; plain values only.

    Attributes
    ----------
    epoch : int
        The epoch that is being trained, or is next.
    step : int
        Steps of it that are done.
    trained : bool
        Whether all of them are; validation and what follows may be left.
    total : int
        Steps of the whole run that are done.
    loss : float
        Sum of the losses of this epoch's steps.
    seconds : float
        That this epoch has taken.
    best : float or None
        Best value of the measure that decides.
    best_epoch : int or None
    stale : int
        Validations since then.
    plateau : dict
        Of `fastseg.unet.training.schedule.Plateau`: ``rate``, ``waited``, ``best``.
    history : list of dict
        A row an epoch.
    """

    epoch: int = 0
    step: int = 0
    trained: bool = False
    total: int = 0
    loss: float = 0.0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    plateau: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def next_epoch(self) -> None:
        """Begin the epoch after this one."""
        self.epoch, self.step, self.trained = self.epoch + 1, 0, False
        self.loss = self.seconds = 0.0


def save_state(path: Path, progress: Progress, optimization: Mapping[str, Any]) -> None:
    """Write the state: whole, or what was there before stays.

    Raises
    ------
    WriteError
    """
    whole = {
        "format_version": FORMAT_VERSION,
        "fastseg_version": __version__,
        "progress": asdict(progress),
        "optimization": dict(optimization),
        "random": {"cpu": torch.get_rng_state(), "cuda": _cuda_generators()},
    }
    with atomic_output(path, overwrite=True, needed=tensor_bytes(whole)) as file, open(file, "wb") as stream:
        torch.save(whole, stream)


def load_state(path: Path) -> tuple[Progress, dict[str, Any]]:
    """Read a state, in the mode that runs nothing a file says, and restore the random generators.

    Raises
    ------
    SourceError
        If it is missing, damaged, or written by another version.
    """
    if not path.is_file():
        raise SourceError(f"{path} does not exist: the run has saved no state to go on from")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        version = found["format_version"]
        if version != FORMAT_VERSION:
            raise SourceError(
                f"{path} has format_version {version!r}; this fastseg ({__version__}) reads {FORMAT_VERSION}"
            )
        progress = Progress(**found["progress"])
        torch.set_rng_state(found["random"]["cpu"])
        for number, state in enumerate(found["random"]["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state, number)
        return progress, found["optimization"]
    except _DAMAGED as error:
        text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise SourceError(f"{path} cannot be read as the state of a training run: {text}") from None


def save_reference_checkpoint(
    path: Path, progress: Progress, weights: Mapping[str, Any], optimizer: Mapping[str, Any], device: str
) -> None:
    """Write a checkpoint in the reference's format.

    Raises
    ------
    WriteError
    """
    whole = {
        "epoch": progress.epoch,
        "num_iterations": progress.total,
        "model_state_dict": dict(weights),
        "optimizer_state_dict": dict(optimizer),
        "device": device,
    }
    with atomic_output(path, overwrite=True, needed=tensor_bytes(whole)) as file, open(file, "wb") as stream:
        torch.save(whole, stream)


def tensor_bytes(value: Any) -> int:
    """Bytes of all tensors in nested containers, and some for the rest."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size() + 1024
    if isinstance(value, Mapping):
        return sum(tensor_bytes(v) for v in value.values()) + 1024
    if isinstance(value, list | tuple):
        return sum(tensor_bytes(v) for v in value)
    return 64


def _cuda_generators() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
