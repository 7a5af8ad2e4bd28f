"""The images of a request: from folders and tables, with what was decided about them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fastseg.curation.matching import Matches, Pair, match_all, missing_segmentations, stems_of
from fastseg.curation.request import CurationRequest, is_table, needs_decisions
from fastseg.curation.resume import same_path
from fastseg.curation.tracker import Decision, Mode, Tracker, read_tracker, write_tracker
from fastseg.errors import Problems, UsageError

_SHOWN = 5
"""Images that a message names one by one."""


@dataclass(frozen=True)
class Row:
    """An image that is to be learnt from.

    Attributes
    ----------
    decision : Decision
    stems : tuple of str
        What names of files made from the image may begin with.
    former : Path
        Where the decisions file has the image, which differs if it was relocated.
    """

    decision: Decision
    stems: tuple[str, ...]
    former: Path


@dataclass(frozen=True)
class Collected:
    """The images of a request.

    Attributes
    ----------
    rows : tuple of Row
        Those to be learnt from, in order.
    stems : frozenset of str
        Of all images, also of those that are not.
    good, bad, undecided : int
        Scores of all images.
    notes : tuple of str
    begun : Path or None
        The decisions file that was made, if it was not there.
    """

    rows: tuple[Row, ...]
    stems: frozenset[str]
    good: int = 0
    bad: int = 0
    undecided: int = 0
    notes: tuple[str, ...] = ()
    begun: Path | None = None


def collect(request: CurationRequest) -> Collected:
    """The images of a request; makes the decisions file if there is none yet.

    Raises
    ------
    Problems
        If files are missing, or decisions do not fit the images.
    FastsegError
        If something cannot be read.
    """
    mode: Mode = "merge" if request.mode == "merge" else "sort"
    file = needs_decisions(request)
    given = None if request.raw is None else _given(request, mode)
    notes: list[str] = []
    if file is None:
        assert given is not None
        rows = [replace(d, score=True) for d in given]
        former = [d.raw for d in rows]
    elif not file.exists():
        assert given is not None
        write_tracker(file, Tracker(mode, tuple(given)))
        return Collected((), frozenset(), undecided=len(given), begun=file)
    else:
        known = _tracker(file, mode)
        rows, notes = _joined(request, file, known, given)
        former = [d.raw for d in known]
    chosen = [
        Row(decision, tuple(_stems(request, decision.raw)), before)
        for decision, before in zip(rows, former, strict=True)
        if decision.score
    ]
    present, missing = _present(chosen)
    if missing and not request.skip_missing:
        raise missing_segmentations(file or str(request.raw), missing)
    notes += [f"left out: {text}" for text in missing]
    scores = [decision.score for decision in rows]
    return Collected(
        rows=tuple(present),
        stems=frozenset(stem for decision in rows for stem in _stems(request, decision.raw)),
        good=scores.count(True),
        bad=scores.count(False),
        undecided=scores.count(None),
        notes=tuple(notes),
    )


def _stems(request: CurationRequest, raw: Path) -> list[str]:
    return stems_of(raw, request.data_type, request.scene if isinstance(request.scene, str) else None)


def _given(request: CurationRequest, mode: Mode) -> list[Decision]:
    """The images that folders or a table name, all of which have their segmentations unless they may be left out."""
    assert request.raw is not None
    if is_table(request.raw):
        return list(_tracker(Path(request.raw), mode))
    found = _matches(request)
    if found.missing and not request.skip_missing:
        raise missing_segmentations(request.raw, found.missing)
    if not found.pairs:
        folders = " and ".join(map(str, request.segmentations))
        raise UsageError(f"no image in {request.raw} has a segmentation in {folders}")
    return [_undecided(pair) for pair in found.pairs]


def _matches(request: CurationRequest) -> Matches:
    assert request.raw is not None
    scene = request.scene if isinstance(request.scene, str) else None
    return match_all(request.raw, request.segmentations, request.data_type, mark=request.mark, scene=scene)


def _undecided(pair: Pair) -> Decision:
    absolute = [Path(os.path.abspath(path)) for path in (pair.raw, *pair.segmentations)]
    return Decision(absolute[0], tuple(absolute[1:]))


def _tracker(file: Path, mode: Mode) -> Sequence[Decision]:
    found = read_tracker(file)
    if found.mode != mode:
        have, need = ("one", "two") if mode == "merge" else ("two", "one")
        raise UsageError(f"{file} names {have} segmentations an image; {need} are needed here")
    return found.decisions


def _joined(
    request: CurationRequest, file: Path, known: Sequence[Decision], given: Sequence[Decision] | None
) -> tuple[list[Decision], list[str]]:
    """The rows of a decisions file, checked against the images that are given, or applied to them."""
    if given is None:
        return list(known), []
    if request.relocate:
        return _relocated(request, file, known, given), []
    now = {same_path(decision.raw): decision for decision in given}
    strange = [d for d in known if same_path(d.raw) not in now]
    other = [d for d in known if same_path(d.raw) in now and not _same_files(d, now[same_path(d.raw)])]
    if request.skip_missing:
        strange = [d for d in strange if not _is_among(d.raw, request)]
    problems = [f"{d.raw} is not among the images of {request.raw}" for d in strange[:_SHOWN]]
    problems += [
        f"{d.raw} was decided with {' and '.join(map(str, d.segmentations))}" for d in other[:_SHOWN]
    ]
    if problems:
        more = len(strange) + len(other) - len(problems)
        problems.append(
            f"{f'{more} more; ' if more else ''}give --relocate to apply decisions to the images of the same names, "
            "or leave out raw images and segmentations to use the rows as they are"
        )
        raise Problems(f"{file} is about other images", problems)
    rows = {same_path(decision.raw) for decision in known}
    new = [d for d in given if same_path(d.raw) not in rows]
    note = f"{len(new)} images of {request.raw} are not in {file}, such as {new[0].raw.name}" if new else ""
    return list(known), [note] if note else []


def _same_files(a: Decision, b: Decision) -> bool:
    return [same_path(p) for p in a.segmentations] == [same_path(p) for p in b.segmentations]


def _is_among(raw: Path, request: CurationRequest) -> bool:
    """Whether an image is in the folder of raw images, but was left out for want of a segmentation."""
    return request.raw is not None and same_path(raw.parent) == same_path(Path(request.raw))


def _relocated(
    request: CurationRequest, file: Path, known: Sequence[Decision], given: Sequence[Decision]
) -> list[Decision]:
    by_name: dict[str, Decision] = {decision.raw.name: decision for decision in given}
    problems = [
        f"{d.raw.name} is not among the images of {request.raw}" for d in known if d.raw.name not in by_name
    ]
    names = [d.raw.name for d in known]
    problems += [f"{name} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        raise Problems(str(file), problems)
    found = []
    for decision in known:
        now = by_name[decision.raw.name]
        found.append(
            replace(
                decision,
                raw=now.raw,
                segmentations=now.segmentations,
                excluding_mask=_moved_mask(decision.excluding_mask, request.masks),
                merging_mask=_moved_mask(decision.merging_mask, request.merging_masks),
            )
        )
    return found


def _moved_mask(mask: Path | None, folder: str | os.PathLike[str] | None) -> Path | None:
    """A mask where it was, or the one of its name in the folder of masks."""
    if mask is None or folder is None:
        return mask
    moved = Path(os.path.abspath(folder)) / mask.name
    return moved if moved.exists() else mask


def _present(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Rows whose files are all there, and what is missing of the others."""
    present, missing = [], []
    for row in rows:
        decision = row.decision
        lost = [p for p in (decision.raw, *decision.segmentations) if not p.exists()]
        missing += [f"{decision.raw} needs {path}, which does not exist" for path in lost]
        if not lost:
            present.append(row)
    return present, missing


def new_places(rows: Sequence[Row]) -> Mapping[str, Decision]:
    """Decisions by the place that the decisions file has for their images."""
    return {same_path(row.former): row.decision for row in rows}
