"""Earlier decisions, taken up for the images of a request."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from fastseg.curation.tracker import Decision
from fastseg.errors import Problems


def same_path(path: Path) -> str:
    """What two spellings of one path have in common."""
    return os.path.abspath(path)


def earlier_decisions(
    images: Iterable[tuple[Path, tuple[Path, ...]]], known: Iterable[Decision]
) -> dict[str, Decision]:
    """Earlier decisions by the raw image, as `same_path` spells it.

    Parameters
    ----------
    images : iterable of (raw, segmentations)
        The images that are asked for now.
    known : iterable of Decision

    Raises
    ------
    Problems
        Where a decision is about other segmentations than those given now: it says nothing about these.
    """
    found = {same_path(decision.raw): decision for decision in known}
    problems = []
    for raw, segmentations in images:
        decision = found.get(same_path(raw))
        if decision is None:
            continue
        before, now = ([same_path(p) for p in paths] for paths in (decision.segmentations, segmentations))
        if before != now:
            problems.append(
                f"{raw}: decisions are about {' and '.join(before)}, given were {' and '.join(now)}: use a "
                "decisions file of its own for other segmentations"
            )
    if problems:
        raise Problems("earlier decisions", problems)
    return found
