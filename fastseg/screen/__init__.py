"""Many images: segmenting or predicting files one after another, where a bad one never stops the rest."""

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
from fastseg.screen.predict import predict_files
from fastseg.screen.predict_request import PredictRequest
from fastseg.screen.request import SegmentRequest
from fastseg.screen.sweep import SweepOutcome, sweep_file
from fastseg.screen.sweep_request import SweepRequest

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
