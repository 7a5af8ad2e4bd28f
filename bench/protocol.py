"""The other side of `bench.worker`: start a contender's process, ask it, and end it if it takes too long."""

import contextlib
import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

from bench.machine import ROOT, module_path

LOGS = ROOT / ".cache" / "bench" / "logs"


class WorkerError(Exception):
    """A contender's process failed, died or ran out of time; the message says which."""


class Worker:
    """The process of one contender.

    Parameters
    ----------
    python : str or Path
        Interpreter of the environment.
    contender : str
        Module in `bench.contenders`.
    variables : dict
        Environment variables on top of this process's own.
    """

    def __init__(self, python: str | Path, contender: str, variables: dict[str, str] | None = None) -> None:
        self.contender = contender
        self._command = [str(python), "-m", "bench.worker", contender]
        self._variables = {**os.environ, "PYTHONPATH": module_path(python), **(variables or {})}
        self._process: subprocess.Popen[str] | None = None
        self._inputs: list[str] = []

    def twin(self, variables: dict[str, str] | None = None) -> "Worker":
        """A fresh process of the same contender, with more environment variables."""
        twin = Worker(self._command[0], self.contender)
        twin._variables = {**self._variables, **(variables or {})}
        return twin

    def ask(self, limit: float | None = None, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the reply.

        Parameters
        ----------
        limit : float, optional
            Seconds after which the process is ended; the next request starts a new one with the same arrays.
        **request
            See `bench.worker`.

        Raises
        ------
        WorkerError
            If the process reports an error, dies or takes longer than `limit`.
        """
        if self._process is None:
            self.start()
            if self._inputs and request["do"] != "load":
                self._exchange({"do": "load", "inputs": self._inputs}, None)
        if request["do"] == "load":
            self._inputs = request["inputs"]
        return self._exchange(request, limit)

    def start(self) -> None:
        """Start the process without waiting for it; without effect if it runs."""
        if self._process is not None:
            return
        LOGS.mkdir(parents=True, exist_ok=True)
        with (LOGS / f"{self.contender}.log").open("a") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._variables,
                cwd=ROOT,
                text=True,
                bufsize=1,
            )

    def _exchange(self, request: dict[str, Any], limit: float | None) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self.close()
            raise WorkerError(self._last_words("died")) from None
        ready, _, _ = select.select([process.stdout], [], [], limit)
        if not ready:
            self.close()
            raise WorkerError(f"takes longer than {limit:g} s")
        line = process.stdout.readline()
        if not line:
            self.close()
            raise WorkerError(self._last_words("died"))
        reply = json.loads(line)
        if "error" in reply:
            raise WorkerError(reply["error"])
        return reply

    def _last_words(self, what: str) -> str:
        log = LOGS / f"{self.contender}.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
        return f"{what}: {lines[-1]}" if lines else what

    def close(self) -> None:
        """End the process; without effect if there is none."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):  # a request that was never read
                    pipe.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
