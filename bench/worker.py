"""A process that holds one contender, runs its operations and times them where they run.

    python -m bench.worker CONTENDER

Requests come on standard input, replies go to what was standard output when the process started: JSON, one a line.
Arrays travel as .npy files. Only NumPy and the contender's own packages are imported.

    {"do": "load", "inputs": [paths]}                    {}
    {"do": "run", "operation", "parameters", "save"}     {"seconds", "bytes"}
    {"do": "memory", "operation", "parameters"}          {"peak_bytes"}
    {"do": "first", "operation", "parameters"}           {"first_s", "second_s"}
    {"do": "bandwidth"}                                  {"bytes_per_s"}
    {"do": "hello"}                                      {"title", "versions", "operations", "weighed_alone"}
"""

import importlib
import json
import os
import sys
import traceback
from time import perf_counter
from typing import Any

import numpy as np

from bench.contenders.base import Contender

# Small enough to cost nothing beside compilation, large enough for every workflow to run on it.
CROP = (16, 64, 64)


class Session:
    """The arrays of the current case and the calls made on them."""

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self.arrays: list[np.ndarray] = []

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request."""
        return getattr(self, f"_{request.pop('do')}")(**request)

    def _hello(self) -> dict[str, Any]:
        contender = self.contender
        return {
            "title": contender.title,
            "versions": contender.versions(),
            "operations": sorted(contender.operations),
            "weighed_alone": contender.weighed_alone,
        }

    def _load(self, inputs: list[str]) -> dict[str, Any]:
        self.arrays = [np.load(path) for path in inputs]
        self.contender.forget()
        return {}

    def _run(self, operation: str, parameters: dict[str, Any], save: str | None = None) -> dict[str, Any]:
        contender = self.contender
        arrays = contender.place(self.arrays)  # a copy: the reference writes into its input
        timer = contender.timer()
        result = contender.operations[operation](*arrays, **parameters)
        seconds = timer()
        array = contender.fetch(result)
        if save is not None:
            np.save(save, array)
        return {"seconds": seconds, "bytes": array.nbytes}

    def _memory(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        contender = self.contender
        self._try(operation, parameters)
        arrays = contender.place(self.arrays)
        self.arrays = []
        call = contender.operations[operation]
        return {"peak_bytes": contender.peak(lambda: call(*arrays, **parameters))}

    def _first(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"first_s": self._try(operation, parameters), "second_s": self._try(operation, parameters)}

    def _try(self, operation: str, parameters: dict[str, Any]) -> float:
        """Seconds of a call on a corner of the arrays, whatever it answers there."""
        corner = [
            np.ascontiguousarray(array[tuple(slice(0, n) for n in CROP[-array.ndim :])])
            for array in self.arrays
        ]
        arrays = self.contender.place(corner)
        started = perf_counter()
        try:
            self.contender.fetch(self.contender.operations[operation](*arrays, **parameters))
        except Exception:
            # a corner may hold no object at all, which some operations refuse; imports and compilation are done
            traceback.print_exc()
        finally:
            self.contender.forget()
        return perf_counter() - started

    def _bandwidth(self) -> dict[str, Any]:
        return {"bytes_per_s": self.contender.bandwidth()}


def main() -> None:
    """Answer requests until the other side closes."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the replies
    session = Session(importlib.import_module(f"bench.contenders.{sys.argv[1]}").CONTENDER)
    for line in sys.stdin:
        try:
            reply = session.answer(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main()
