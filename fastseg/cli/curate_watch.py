"""A curation as it is watched from the shell: a line an image, what failed, a sum at the end, the exit code."""

from __future__ import annotations

import sys
from math import prod
from typing import TYPE_CHECKING

from fastseg.cli.console import amount, print_lines
from fastseg.cli.guard import DEBUG_HINT, say_error, settings

if TYPE_CHECKING:
    from fastseg.curation.run import CurationOutcome, CurationReport


class CurationWatch:
    """Tells of images as they are done, and in the end of those that failed."""

    def __init__(self) -> None:
        self.outcomes: list[CurationOutcome] = []
        self.total = 0

    def __call__(self, outcome: CurationOutcome, done: int, total: int) -> None:
        self.outcomes.append(outcome)
        self.total = total
        head = f"[{done}/{total}] {outcome.raw.name}"
        for note in outcome.notes:
            print_lines(f"{head}: note: {note}")
        print_lines(f"{head}: {_said(outcome)}")

    def conclude(self, report: CurationReport, decisions: str) -> int:
        """Say what has become of the request, and give the exit code."""
        for note in report.notes:
            print_lines(f"note: {note}")
        if report.begun is not None:
            print_lines(f"{report.begun}: made, {amount(report.undecided, 'image')} to decide about")
            return 0
        if decisions:
            print_lines(f"{decisions}: {report.good} good, {report.bad} bad, {report.undecided} undecided")
        failed = [o for o in report.outcomes if not o.ok]
        for outcome in failed:
            assert outcome.failure is not None
            if settings.debug:
                print(outcome.failure.traceback, file=sys.stderr, end="")
            say_error(outcome.failure.message)
        if not settings.debug and any(o.failure and not o.failure.expected for o in failed):
            print(f"({DEBUG_HINT})", file=sys.stderr)
        kinds = {name: sum(o.done == name for o in report.outcomes) for name in _WORDS}
        counts = ", ".join(f"{count} {_WORDS[name]}" for name, count in kinds.items() if count)
        print_lines(f"{report.folder}: {counts or 'no image is good, nothing to do'}")
        return 1 if failed else 0


_WORDS = {
    "written": "written",
    "redone": "made again",
    "completed": "completed",
    "kept": "already there",
    "failed": "failed",
}


def _said(outcome: CurationOutcome) -> str:
    if not outcome.ok or outcome.facts is None:
        return "failed"
    voxels = prod(outcome.facts["shape"])
    shares = [f"{100 * outcome.facts[key] / voxels:.3g} % {key}" for key in ("foreground", "excluded")]
    return f"img_{outcome.number:03d} {_WORDS[outcome.done]}, {', '.join(shares)}"
