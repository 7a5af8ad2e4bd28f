"""A run over images as it is watched from the shell: progress, what failed, a line at the end, the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from fastseg.cli.guard import DEBUG_HINT, say_error, settings

if TYPE_CHECKING:
    from fastseg.cli.progress import Reporter
    from fastseg.screen import ItemOutcome


def watched(run: Callable[[Reporter], list[ItemOutcome]], done: str) -> int:
    """Run, report, and give the exit code.

    Parameters
    ----------
    run : callable
        ``run(on_event) -> outcomes``.
    done : str
        What has become of the images when all went well, such as "segmented".

    Raises
    ------
    KeyboardInterrupt
        With a message that says how far it came.
    """
    from fastseg.cli.progress import Reporter

    started = perf_counter()
    reporter = Reporter()
    try:
        with reporter:
            outcomes = run(reporter)
    except KeyboardInterrupt as stop:
        finished, total = sum(o.ok for o in reporter.outcomes), reporter.total
        raise type(stop)(
            f"stopped: {finished} of {total} images are finished, nothing half-written is left"
        ) from None
    return _conclude(outcomes, done, perf_counter() - started)


def _conclude(outcomes: list[ItemOutcome], done: str, seconds: float) -> int:
    """Report what failed, sum up, and give the exit code."""
    failed = [outcome for outcome in outcomes if not outcome.ok]
    for outcome in failed:
        if settings.debug:
            print(outcome.traceback, file=sys.stderr, end="")
        say_error(outcome.message)
    if not settings.debug and any(not outcome.expected for outcome in failed):
        print(f"({DEBUG_HINT})", file=sys.stderr)
    if len(outcomes) == 1:
        return outcomes[0].exit_code
    from fastseg.cli.console import print_lines

    count = f"{len(outcomes) - len(failed)} of {len(outcomes)}" if failed else f"{len(outcomes)}"
    print_lines(f"{count} images {done} in {seconds:.1f} s" + (f", {len(failed)} failed" if failed else ""))
    return 1 if failed else 0
