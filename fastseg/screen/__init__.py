"""Many images: segmenting or predicting files one after another, where a bad one never stops the rest."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastseg.screen.batch import segment_files
from fastseg.screen.events import (
    Event,
    ItemFinished,
    ItemOutcome,
    ItemPhase,
    ItemStarted,
    RunStarted,
    StepStarted,
)
from fastseg.screen.request import SegmentRequest

if TYPE_CHECKING:
    from fastseg.screen.predict import predict_files
    from fastseg.screen.predict_request import PredictRequest
    from fastseg.screen.sweep import SweepOutcome, sweep_file
    from fastseg.screen.sweep_request import SweepRequest

# Loaded on first use: a command that segments needs nothing of these.
_LAZY = {
    "PredictRequest": "fastseg.screen.predict_request",
    "SweepOutcome": "fastseg.screen.sweep",
    "SweepRequest": "fastseg.screen.sweep_request",
    "predict_files": "fastseg.screen.predict",
    "sweep_file": "fastseg.screen.sweep",
}

__all__ = [
    "Event",
    "ItemFinished",
    "ItemOutcome",
    "ItemPhase",
    "ItemStarted",
    "PredictRequest",
    "RunStarted",
    "SegmentRequest",
    "StepStarted",
    "SweepOutcome",
    "SweepRequest",
    "predict_files",
    "segment_files",
    "sweep_file",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'fastseg.screen' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
