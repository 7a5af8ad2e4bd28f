"""Stacks a second when several processes work at once, each with its share of a folder: what a scheduler does.

No environment variable is set, so threads that do not respect each other show.
"""

import subprocess
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.arrays import Shape
from bench.commands import fastseg_command, reference_command, write_stack
from bench.lineup import FASTSEG, REFERENCE
from bench.machine import ROOT, cores

WORKFLOW = "sec61b"
# Enough stacks that start-up does not hide the work.
STACKS_PER_CORE = 4
MOST_ON_DEVICE = 4
"""Processes that share a device: each takes some hundred MB of it before it has done anything."""


def measure_throughput(shape: Shape, device: str, peers: Path | None) -> dict[str, Any]:
    """Stacks a second against the number of processes: a row of the results."""
    most = cores() if device == "cpu" else min(cores(), MOST_ON_DEVICE // 2)
    counts = sorted({1, 2, most, 2 * most})
    number = STACKS_PER_CORE * most
    series: dict[str, dict[str, float]] = {FASTSEG: {}}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        first = place / "stack-0.tiff"
        write_stack(first, shape)
        files = [first, *(place / f"stack-{i}.tiff" for i in range(1, number))]
        for file in files[1:]:
            file.write_bytes(first.read_bytes())
        for count in counts:
            shares = [files[i::count] for i in range(count)]
            commands = [
                fastseg_command(WORKFLOW, share, place / FASTSEG, device) for share in shares if share
            ]
            series[FASTSEG][str(count)] = len(files) / together(commands)
            if peers is not None:
                # one stack for each process: the reference takes long, and starts anew for every file
                (place / REFERENCE).mkdir(exist_ok=True)
                each = [reference_command(peers, WORKFLOW, file, place / REFERENCE) for file in files[:count]]
                series.setdefault(REFERENCE, {})[str(count)] = count / together(each)
    return {
        "group": "throughput",
        "name": f"throughput {WORKFLOW}",
        "shape": list(shape),
        "contenders": {},
        "stacks_per_s": series,
        "stacks": number,
    }


def together(commands: list[list[str]]) -> float:
    """Seconds until commands that are started together have all ended.

    Raises
    ------
    RuntimeError
        If one of them fails.
    """
    started = perf_counter()
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT, text=True)
        for command in commands
    ]
    failures = [p.communicate()[1].strip().splitlines()[-1:] for p in processes if p.wait() != 0]
    if failures:
        raise RuntimeError(f"a command of the throughput measurement failed: {failures[0]}")
    return perf_counter() - started
