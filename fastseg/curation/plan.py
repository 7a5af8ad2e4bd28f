"""What is to be done for every image of a request: made, made again, completed, or left as it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastseg.curation.build import Job
from fastseg.curation.collect import Collected, Row
from fastseg.curation.manifest import Record, same_file, source_of
from fastseg.curation.request import Wanted
from fastseg.curation.sketch import plain_recipe
from fastseg.curation.training_set import TrainingSet, changed_files, missing_files

_STACK = ("channel", "scene", "time")
"""Settings that single out a stack of a raw file."""


@dataclass(frozen=True)
class Refusal:
    """An image that is there already, and was made otherwise."""

    raw: Path
    number: int
    message: str


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes
    ----------
    jobs : tuple of Job
    kept : tuple of Record
        Images that are there as they should be.
    refused : tuple of Refusal
    notes : tuple of str
    """

    jobs: tuple[Job, ...] = ()
    kept: tuple[Record, ...] = ()
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


def number_jobs(wanted: Wanted, jobs: Sequence[Job], found: Collected, records: Mapping[int, Record]) -> Plan:
    """Numbers for new images, and what has to be done for known ones."""
    following = max([TrainingSet(wanted.folder).highest(), *records]) + 1
    plan: dict[str, list[Any]] = {"jobs": [], "kept": [], "refused": []}
    claimed: set[int] = set(records)
    for job, row in zip(jobs, found.rows, strict=True):
        known = _known(job, row, records, wanted.folder)
        if known is not None:
            kind, item = _again(job, known, wanted)
            plan[kind].append(item)
            continue
        number = _noted(row, wanted.folder, claimed)
        adopt = number is not None
        if number is None:
            number, following = following, following + 1
        claimed.add(number)
        plan["jobs"].append(replace(job, record=replace(job.record, number=number), adopt=adopt))
    others = {r.raw.sha256: r.number for r in records.values() if r.state == "done" and r.raw.sha256}
    planned = [
        replace(job, others={digest: n for digest, n in others.items() if n != job.record.number})
        for job in plan["jobs"]
    ]
    notes = _mixed(wanted, records)
    return Plan(tuple(planned), tuple(plan["kept"]), tuple(plan["refused"]), tuple(notes))


def _known(job: Job, row: Row, records: Mapping[int, Record], folder: Path) -> Record | None:
    """The image's record, found by its raw file and the stack in it."""
    places = (job.record.raw, source_of("raw", row.former, folder))
    for record in records.values():
        same = all(record.settings.get(key) == job.record.settings[key] for key in _STACK)
        if same and any(same_file(record.raw, place) for place in places):
            return record
    return None


def _again(job: Job, known: Record, wanted: Wanted) -> tuple[str, Any]:
    """What has to be done for an image that the manifest knows."""
    redo, folder = wanted.request.redo, wanted.folder
    fresh = replace(job, record=replace(job.record, number=known.number))
    if known.state != "done":
        return "jobs", replace(fresh, remake=True)
    edited = changed_files(folder, known.files)
    differing = _difference(job.record, known)
    if redo and (edited or differing):
        return "jobs", replace(fresh, known=known, remake=True)
    name = f"img_{known.number:03d}"
    if edited:
        text = f"{', '.join(edited)} was changed since it was written: give --redo to replace it"
        return "refused", Refusal(job.raw, known.number, text)
    if differing:
        text = f"{name} was made with {differing}: give --redo to make it again"
        return "refused", Refusal(job.raw, known.number, text)
    stamps = [
        bool(now.stamp) and now.stamp == before.stamp
        for now, before in zip(job.record.sources, known.sources, strict=True)
    ]
    if all(stamps) and not missing_files(folder, known.files):
        return "kept", known
    return "jobs", replace(fresh, known=known)


def _difference(now: Record, before: Record) -> str:
    """How settings or kinds of files differ, empty if they do not."""
    keys = [key for key, value in now.settings.items() if before.settings.get(key) != value]
    if keys:
        key = keys[0]
        shown = json.dumps(before.settings.get(key), ensure_ascii=False)
        return f"other settings ({key} was {shown if len(shown) < 60 else 'another'})"
    roles = [[source.role for source in record.sources] for record in (now, before)]
    return "" if roles[0] == roles[1] else "other files"


def _noted(row: Row, folder: Path, claimed: set[int]) -> int | None:
    """The number that the decisions file has for an image, if there are files of this number that nobody else has."""
    text = row.decision.extra.get("number", "").strip()
    number = int(text) if text.isascii() and text.isdigit() else 0
    if (
        number == 0
        or number in claimed
        or not all(path.is_file() for path in TrainingSet(folder).paths(number))
    ):
        return None
    return number


def _mixed(wanted: Wanted, records: Mapping[int, Record]) -> list[str]:
    own = plain_recipe(wanted.recipe)
    others = {
        str(r.settings.get("normalization"))
        for r in records.values()
        if r.state == "done" and r.settings.get("normalization") != own
    }
    if not others:
        return []
    return [
        f"{wanted.folder} holds images normalised otherwise ({', '.join(sorted(others))}): a network needs one recipe "
        "for all of its images"
    ]
