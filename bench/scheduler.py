"""Sends very many tasks that do nothing: what an executor costs a task, and whether its memory stays flat.

    python -m bench.scheduler [--tasks 1000000] [--workers 2] [--most 256] [--executors serial,threads,local,separate]

Every executor runs in a process of its own. "local" is what ``--workers`` gives: the scheduler lives in the process of
the client. "separate" is what ``--scheduler`` meets: scheduler and workers are started by Dask's command line. Written
to bench/results/<device>/scheduler.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any

import psutil

import fastseg
from bench.machine import folder_of, module_path, processor
from fastseg.arrays import usable_cores
from fastseg.tiling.executors import Executor, Serial, Threads
from fastseg.types import Box

WHEN = (0.0, 0.1, 0.5, 1.0)
"""Parts of the run after which resident memory is noted."""


def nothing(core: Box) -> None:
    """The task: its item is what a pass over tiles sends."""


def boxes(count: int) -> Iterator[Box]:
    for i in range(count):
        yield Box((i, 0, 0), (i + 128, 256, 256))


class Peak:
    """Largest resident memory of processes while the context lasts, looked at ten times a second."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self.processes = processes
        self.bytes = dict.fromkeys(processes, 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def now(self) -> dict[str, int]:
        found = {name: int(process.memory_info().rss) for name, process in self.processes.items()}
        self.bytes = {name: max(self.bytes[name], size) for name, size in found.items()}
        return found

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.now()

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Counted:
    """Calls `submit` of a client, counting messages and the bytes of their items."""

    def __init__(self, submit: Callable[..., Any]) -> None:
        self.submit = submit
        self.messages = self.bytes = 0

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.messages += 1
        self.bytes += sum(len(a) for a in arguments if isinstance(a, bytes))
        return self.submit(function, *arguments)


@contextmanager
def separate_processes(workers: int) -> Iterator[tuple[str, psutil.Process]]:
    """A scheduler and workers in processes of their own: its address and its process."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        file = Path(folder) / "scheduler.json"
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        quiet["env"] = {**os.environ, "PYTHONPATH": module_path()}  # workers import this module

        def start(*arguments: str) -> psutil.Popen:
            command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
            process = psutil.Popen(command, **quiet)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process

        scheduler = start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        until = monotonic() + 60
        while not file.exists():
            if monotonic() > until or scheduler.poll() is not None:
                raise RuntimeError("the scheduler did not start")
            sleep(0.1)
        start(
            *("worker", "--scheduler-file", str(file), "--nworkers", str(workers), "--nthreads", "1"),
            *("--no-dashboard", "--local-directory", folder),
        )
        sleep(0.2)  # the file is written in one go, a moment after it appears
        yield json.loads(file.read_text())["address"], psutil.Process(scheduler.pid)


@contextmanager
def executor_of(
    kind: str, workers: int, most: int
) -> Iterator[tuple[Executor, dict[str, psutil.Process], Counted | None]]:
    """The executor, the processes to watch, and what counts its messages."""
    client = {"client": psutil.Process()}
    if kind == "serial":
        yield Serial(), client, None
        return
    if kind == "threads":
        yield Threads(workers), client, None
        return
    from fastseg.tiling.cluster import existing_cluster, local_workers

    with ExitStack() as stack:
        if kind == "local":
            executor = stack.enter_context(local_workers(workers, usable_cores()))
            client = {"client and scheduler": psutil.Process()}
        else:
            address, scheduler = stack.enter_context(separate_processes(workers))
            wait_for_workers(address, workers)
            executor = stack.enter_context(existing_cluster(address))
            client |= {"scheduler": scheduler}
        executor.most = most
        counted = Counted(executor._submit)
        executor._submit = counted  # type: ignore[method-assign]
        yield executor, client, counted


def wait_for_workers(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=60)


def measure(kind: str, tasks: int, workers: int, most: int) -> dict[str, Any]:
    """Run all tasks on one executor."""
    with executor_of(kind, workers, most) as (executor, processes, counted):
        for _ in executor.map(nothing, boxes(1000)):  # libraries are loaded, compiled loops are ready
            pass
        if counted is not None:
            counted.messages = counted.bytes = 0
        marks = {max(1, round(part * tasks)): f"{part:.0%}" for part in WHEN}
        resident = {}
        with Peak(processes) as peak:
            started = perf_counter()
            for number, _ in enumerate(executor.map(nothing, boxes(tasks)), start=1):
                if number in marks:
                    resident[marks[number]] = peak.now()
            seconds = perf_counter() - started
    row = {
        "tasks": tasks,
        "seconds": seconds,
        "tasks_per_second": tasks / seconds,
        "resident_bytes": resident,
        "peak_bytes": peak.bytes,
    }
    if counted is not None:
        row |= {
            "messages": counted.messages,
            "bytes_per_message": counted.bytes / counted.messages,
            "bytes_per_task": counted.bytes / tasks,
        }
    return row


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--most", type=int, default=256, help="tasks of a message at most")
    parser.add_argument("--executors", default="serial,threads,local,separate")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        from bench import scheduler  # workers know the task by the name of its module, not as __main__

        print(json.dumps(scheduler.measure(options.one, options.tasks, options.workers, options.most)))
        return
    rows = {}
    for kind in options.executors.split(","):
        command = [
            *(sys.executable, "-m", "bench.scheduler", "--one", kind, "--tasks", str(options.tasks)),
            *("--workers", str(options.workers), "--most", str(options.most)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        rows[kind] = json.loads(done.stdout.splitlines()[-1])
        print(kind, json.dumps(rows[kind]), flush=True)
    report = {
        "device": processor(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python -m bench.scheduler " + " ".join(sys.argv[1:]),
        "fastseg": fastseg.__version__,
        "workers": options.workers,
        "most_tasks_a_message": options.most,
        "executors": rows,
    }
    place = folder_of(processor())
    place.mkdir(parents=True, exist_ok=True)
    name = "scheduler.json" if options.most > 1 else "scheduler-one-by-one.json"
    (place / name).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
