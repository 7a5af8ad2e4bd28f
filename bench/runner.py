"""Measuring one case: answers first, then times in turns, then memory and compilation in processes of their own."""

import statistics
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.arrays import path_of
from bench.cases import Case
from bench.compare import compare
from bench.lineup import COMPOSITION, FASTSEG, REFERENCE
from bench.protocol import Worker, WorkerError

# Contenders whose memory is worth a process of its own.
WEIGHED = (FASTSEG, REFERENCE, "fixed", COMPOSITION)


@dataclass(frozen=True)
class Effort:
    """How much time is spent.

    Attributes
    ----------
    repeats : int
        Timed rounds, in each of which every contender runs once.
    budget_s : float
        A contender that has used this much on a case leaves the rounds.
    limit_s : float
        A call that takes longer is ended and reported as such.
    memory, first : bool
        Whether peak memory and compilation are measured.
    first_in : tuple of str
        Groups whose compilation is measured; empty for all.
    first_counts : bool
        Whether the first call is taken for one like the others. Not on a CUDA device, where it waits for compilers.
    """

    repeats: int = 5
    budget_s: float = 45.0
    limit_s: float = 240.0
    memory: bool = True
    first: bool = True
    first_in: tuple[str, ...] = ()
    first_counts: bool = True


def summary(seconds: list[float]) -> dict[str, Any]:
    """Median and spread of timed calls."""
    return {
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "calls": len(seconds),
    }


class Runner:
    """Measures cases with the processes of a session.

    Parameters
    ----------
    workers : dict of Worker
        From `bench.lineup`; fastseg is the one that others are compared with.
    effort : Effort
    """

    def __init__(self, workers: Mapping[str, Worker], effort: Effort) -> None:
        self.workers = workers
        self.effort = effort
        self._known: dict[str, dict[str, Any]] = {}
        self._seen: dict[tuple[str, str], tuple[int, float]] = {}

    def versions(self, name: str) -> dict[str, str]:
        """Versions that a contender reports; an empty dictionary if it does not start."""
        return self._hello(name).get("versions", {})

    def _hello(self, name: str) -> dict[str, Any]:
        if name not in self._known:
            try:
                self._known[name] = self.workers[name].ask(do="hello")
            except WorkerError as error:
                print(f"  {name} takes no part: {error}", flush=True)
                self._known[name] = {"operations": []}
        return self._known[name]

    def measure(self, case: Case) -> dict[str, Any]:
        """Everything about a case: a row of the results."""
        for worker in self.workers.values():  # all of them at once: libraries take long to import
            worker.start()
        inputs = [str(path_of(name, case.shape)) for name in case.inputs]
        entries: dict[str, dict[str, Any]] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in self.workers:
                if case.operation in self._hello(name)["operations"]:
                    entry = self._answer(case, name, inputs, Path(folder))
                    if entry is not None:
                        entries[name] = entry
        running = [name for name, entry in entries.items() if entry.get("agrees")]
        self._time(case, entries, running)
        if self.effort.memory:
            for name in running:
                if name in WEIGHED and entries[name]["median_s"] <= self.effort.budget_s:
                    entries[name]["peak_bytes"] = self._peak(case, name, inputs)
        moved = sum(np.load(path, mmap_mode="r").nbytes for path in inputs)
        row: dict[str, Any] = {
            "group": case.group,
            "name": case.name,
            "shape": list(case.shape),
            "target": case.target,
            "target_s": case.target_s,
            "amount": case.amount,
            "bytes": moved + entries.get(FASTSEG, {}).get("bytes", 0),
            "contenders": entries,
        }
        if self.effort.first and FASTSEG in running and case.group in (self.effort.first_in or (case.group,)):
            row["first"] = self._first(case, inputs)
        return row

    def _answer(self, case: Case, name: str, inputs: list[str], folder: Path) -> dict[str, Any] | None:
        """The first call: checked against fastseg's answer. None where the contender has no such operation."""
        expected, found = folder / "fastseg.npy", folder / "answer.npy"
        projected = self._projected(case, name)
        if projected > self.effort.limit_s:
            return {"error": f"not run: about {projected:.0f} s expected from fewer objects"}
        save = expected if name == FASTSEG else found
        try:
            self.workers[name].ask(do="load", inputs=inputs)
            reply = self.workers[name].ask(
                self.effort.limit_s,
                do="run",
                operation=case.operation,
                parameters=case.parameters,
                save=str(save),
            )
        except WorkerError as error:
            return None if str(error).startswith("NotImplementedError") else {"error": str(error)}
        entry = {"untimed_s": reply["seconds"], "bytes": reply["bytes"]}
        if name == FASTSEG:
            return entry | {"agrees": True, "agreement": "what others are compared with"}
        if not expected.is_file():
            return entry | {"agrees": False, "agreement": "fastseg gave no answer"}
        agreement = compare(
            np.load(expected), np.load(found), case.kind, case.tolerances.get(name, case.tolerance)
        )
        return entry | {"agrees": agreement.passed, "agreement": agreement.text}

    def _projected(self, case: Case, name: str) -> float:
        """Seconds that the reference, which scans the volume once for every object, will take; 0 if unknown."""
        amount, seconds = self._seen.get((name, case.operation), (0, 0.0))
        return seconds * case.amount / amount if name == REFERENCE and case.amount and amount >= 100 else 0.0

    def _time(self, case: Case, entries: dict[str, dict[str, Any]], running: list[str]) -> None:
        seconds: dict[str, list[float]] = {name: [] for name in running}
        for _ in range(self.effort.repeats):
            for name in list(running):
                spent = sum(seconds[name]) + entries[name]["untimed_s"] * self.effort.first_counts
                if spent > self.effort.budget_s:
                    continue
                try:
                    reply = self.workers[name].ask(
                        self.effort.limit_s, do="run", operation=case.operation, parameters=case.parameters
                    )
                except WorkerError as error:
                    running.remove(name)
                    entries[name] = {"error": str(error)}
                    continue
                seconds[name].append(reply["seconds"])
        for name in running:
            # so slow that its first call is its only one
            entries[name] |= summary(seconds[name] or [entries[name]["untimed_s"]])
            if case.amount:
                self._seen[name, case.operation] = (case.amount, entries[name]["median_s"])

    def _peak(self, case: Case, name: str, inputs: list[str]) -> int | None:
        limit = 2 * self.effort.limit_s
        alone = self._hello(name).get("weighed_alone", True)
        with self.workers[name].twin() if alone else nullcontext(self.workers[name]) as worker:
            try:
                worker.ask(do="load", inputs=inputs)
                reply = worker.ask(limit, do="memory", operation=case.operation, parameters=case.parameters)
            except WorkerError:
                return None
        return int(reply["peak_bytes"])

    def _first(self, case: Case, inputs: list[str]) -> dict[str, float]:
        """Seconds of compilation: with an empty cache of compiled code, and in the next process."""
        found = {}
        with tempfile.TemporaryDirectory() as cache:
            for name in ("installed_s", "later_s"):
                with self.workers[FASTSEG].twin({"NUMBA_CACHE_DIR": cache}) as worker:
                    worker.ask(do="load", inputs=inputs)
                    reply = worker.ask(do="first", operation=case.operation, parameters=case.parameters)
                found[name] = max(0.0, reply["first_s"] - reply["second_s"])
        return found

    def bandwidth(self) -> float:
        """Bytes per second of a copy on fastseg's device, now."""
        return float(self.workers[FASTSEG].ask(do="bandwidth")["bytes_per_s"])

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers.values():
            worker.close()
