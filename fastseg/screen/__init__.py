"""Many images: segmenting files one after another, where a bad one never stops the rest."""

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

__all__ = [
    "Event",
    "ItemFinished",
    "ItemOutcome",
    "ItemPhase",
    "ItemStarted",
    "RunStarted",
    "SegmentRequest",
    "StepStarted",
    "segment_files",
]
