"""Making a training set: every image is written whole or reported, and a second run adds nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Literal, TypeAlias

from fastseg.curation.build import Built, Job, build
from fastseg.curation.collect import Collected, collect, new_places
from fastseg.curation.manifest import Record, read_manifest, write_manifest
from fastseg.curation.plan import Plan, number_jobs
from fastseg.curation.request import CurationRequest, Wanted, check_request
from fastseg.curation.resume import same_path
from fastseg.curation.sketch import sketch_jobs
from fastseg.curation.tracker import Decision, read_tracker, write_tracker
from fastseg.curation.training_set import TrainingSet
from fastseg.curation.workers import Failure, each_image, worker_count

_EVERY = 1.0
"""Seconds between two versions of the manifest while images are made; what is planned is in it from the start."""


@dataclass(frozen=True)
class CurationOutcome:
    """What has become of an image.

    Attributes
    ----------
    raw : Path
    number : int
        Of its training files.
    done : {"written", "redone", "completed", "kept", "failed"}
    notes : tuple of str
        Remarks for the user.
    failure : Failure or None
        Why it failed.
    facts : dict
        Shape, voxel size, foreground and excluded voxels; empty if it failed.
    """

    raw: Path
    number: int
    done: Literal["written", "redone", "completed", "kept", "failed"]
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    facts: dict[str, Any] | None = None

    @property
    def ok(self) -> bool:
        return self.failure is None


@dataclass(frozen=True)
class CurationReport:
    """What has become of a request.

    Attributes
    ----------
    folder : Path
        The training folder.
    outcomes : tuple of CurationOutcome
    good, bad, undecided : int
        Scores of all images.
    notes : tuple of str
    begun : Path or None
        A decisions file that was made since there was none; then nothing else was done.
    """

    folder: Path
    outcomes: tuple[CurationOutcome, ...] = ()
    good: int = 0
    bad: int = 0
    undecided: int = 0
    notes: tuple[str, ...] = ()
    begun: Path | None = None


OnImage: TypeAlias = Callable[[CurationOutcome, int, int], None]
"""Called after each image with its outcome, how many are through, and how many there are."""


def quiet(outcome: CurationOutcome, done: int, total: int) -> None:
    pass


def curate(request: CurationRequest, on_image: OnImage = quiet) -> CurationReport:
    """Make a training set, or add to one.

    Images are numbered on from the highest that is there. The folder's ``manifest.json`` knows what each was made of:
    a second run leaves alone what is as it should be, completes what a killed run left, and refuses what would be made
    otherwise now, unless `request.redo` says to make it again.

    Parameters
    ----------
    request : CurationRequest
    on_image : callable
        An exception that it raises ends the run; what is finished then stays.

    Returns
    -------
    CurationReport
        With an outcome for every image that is to be learnt from. Images that fail do not stop the others.

    Raises
    ------
    Problems
        Everything that is wrong with the request, missing files included. Nothing has been written then.
    UsageError
        If another process works on the folder, or it cannot be written to.
    """
    wanted = check_request(request)
    found = collect(request)
    if found.begun is not None:
        return CurationReport(wanted.folder, undecided=found.undecided, begun=found.begun)
    jobs, remarks = sketch_jobs(wanted, found)
    notes = (*found.notes, *remarks)
    outcomes: list[CurationOutcome] = []
    if jobs:
        with TrainingSet(wanted.folder).locked():
            records = read_manifest(wanted.folder)
            plan = number_jobs(wanted, jobs, found, records)
            notes += plan.notes
            outcomes = _run(wanted, found, plan, records, on_image)
    return CurationReport(wanted.folder, tuple(outcomes), found.good, found.bad, found.undecided, notes)


def _run(
    wanted: Wanted, found: Collected, plan: Plan, records: dict[int, Record], on_image: OnImage
) -> list[CurationOutcome]:
    outcomes: list[CurationOutcome] = []
    total = len(plan.jobs) + len(plan.kept) + len(plan.refused)

    def say(outcome: CurationOutcome) -> None:
        outcomes.append(outcome)
        on_image(outcome, len(outcomes), total)

    # Numbers are given before images are made: a run that is killed goes on with the same ones.
    for job in plan.jobs:
        if job.known is None or job.remake:
            records[job.record.number] = replace(job.record, state="planned")
    if plan.jobs:
        write_manifest(wanted.folder, records.values())
    try:
        for record in plan.kept:
            say(CurationOutcome(Path(record.raw.path), record.number, "kept", facts=record.facts))
        for refusal in plan.refused:
            say(CurationOutcome(refusal.raw, refusal.number, "failed", (), Failure(refusal.message, True)))
        written = monotonic()
        for job, attempt in each_image(
            build, plan.jobs, worker_count(wanted.request.workers, len(plan.jobs))
        ):
            if isinstance(attempt, Failure):
                # what was there before is still there
                records[job.record.number] = job.known or replace(job.record, state="failed")
                say(_failed(job, attempt))
            else:
                records[job.record.number] = attempt.value.record
                say(_done(job, attempt.value))
            if monotonic() - written > _EVERY:
                write_manifest(wanted.folder, records.values())
                written = monotonic()
    finally:
        if plan.jobs:
            write_manifest(wanted.folder, records.values())
        _note_numbers(wanted, found, outcomes)
    return outcomes


def _done(job: Job, built: Built) -> CurationOutcome:
    return CurationOutcome(job.raw, built.record.number, built.done, built.notes, facts=built.record.facts)


def _failed(job: Job, failure: Failure) -> CurationOutcome:
    named = str(job.raw) in failure.message or job.raw.name in failure.message
    message = failure.message if named else f"{job.raw}: {failure.message}"
    return CurationOutcome(job.raw, job.record.number, "failed", (), replace(failure, message=message))


def _note_numbers(wanted: Wanted, found: Collected, outcomes: Sequence[CurationOutcome]) -> None:
    """Write the numbers of finished images, and where relocated images are, into the decisions file.

    The file is read again: somebody may have decided about more images meanwhile.
    """
    if wanted.request.decisions is None:
        return
    numbers = {same_path(o.raw): str(o.number) for o in outcomes if o.ok}
    places = new_places(found.rows) if wanted.request.relocate else {}
    tracker = read_tracker(wanted.request.decisions)
    changed: list[Decision] = []
    for decision in tracker.decisions:
        now = places.get(same_path(decision.raw))
        if now is not None:
            decision = replace(
                decision,
                raw=now.raw,
                segmentations=now.segmentations,
                merging_mask=now.merging_mask,
                excluding_mask=now.excluding_mask,
            )
        number = numbers.get(same_path(decision.raw))
        if number is not None and decision.extra.get("number") != number:
            decision = decision.with_extra(number=number)
        changed.append(decision)
    if tuple(changed) != tracker.decisions:
        write_tracker(wanted.request.decisions, replace(tracker, decisions=tuple(changed)))
