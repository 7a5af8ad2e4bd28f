"""Whole commands: a process starts, reads a TIFF file, segments, writes, and ends."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import tifffile

from bench.arrays import Shape, load
from bench.cases import UNDEFINED_ORDER, UNDEFINED_TOLERANCE
from bench.compare import compare
from bench.lineup import FASTSEG, REFERENCE
from bench.machine import ROOT, module_path
from bench.runner import Effort, summary

RESULT = "_struct_segmentation.tiff"
_TARGET_VOXELS = 64 * 512 * 512
"""From here on a command has a target; of smaller stacks, most of the time is that of starting."""


@dataclass(frozen=True)
class Finished:
    """A command that ended: seconds, and why it failed if it did."""

    seconds: float
    error: str = ""


def write_stack(path: Path, shape: Shape) -> None:
    """A uint16 OME-TIFF stack with voxel sizes, as a microscope would store it."""
    counts = load("counts", shape).astype(np.uint16)
    scale = {"PhysicalSizeX": 0.108, "PhysicalSizeY": 0.108, "PhysicalSizeZ": 0.29}
    tifffile.imwrite(path, counts, ome=True, metadata={"axes": "ZYX", **scale})


def fastseg_command(workflow: str, files: list[Path], output: Path, device: str) -> list[str]:
    """The command line of fastseg."""
    names = [str(f) for f in files]
    return [
        *(sys.executable, "-m", "fastseg", "segment", *names),
        *("-w", workflow, "-o", str(output), "--device", device, "--overwrite"),
    ]


def reference_command(python: Path, workflow: str, file: Path, output: Path) -> list[str]:
    """The command line of the reference implementation, for one file."""
    return [
        *(
            str(python),
            "-m",
            "bench.peers.reference_command",
            "--workflow_name",
            workflow,
            "--struct_ch",
            "0",
        ),
        *("--output_dir", str(output), "per_img", "--input", str(file)),
    ]


def run(command: list[str], limit_s: float) -> Finished:
    """Run a command to its end, or end it after `limit_s` seconds."""
    environment = {**os.environ, "PYTHONPATH": module_path(command[0])}
    with tempfile.TemporaryFile("w+") as log:
        started = perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return Finished(limit_s, f"takes longer than {limit_s:g} s")
        seconds = perf_counter() - started
        log.seek(0)
        lines = log.read().strip().splitlines()
    error = "" if process.returncode == 0 else (lines or ["no message"])[-1]
    return Finished(seconds, error)


def measure_command(
    workflow: str, shape: Shape, device: str, peers: Path | None, effort: Effort
) -> dict[str, Any]:
    """fastseg and the reference in turns on one file: a row of the results."""
    entries: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        file = place / "stack.tiff"
        write_stack(file, shape)
        commands = {FASTSEG: fastseg_command(workflow, [file], place / FASTSEG, device)}
        if peers is not None:
            commands[REFERENCE] = reference_command(peers, workflow, file, place / REFERENCE)
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(effort.repeats + 1):
            for name, command in commands.items():
                if entries.get(name, {}).get("error") or sum(seconds[name]) > effort.budget_s:
                    continue
                (place / name).mkdir(exist_ok=True)
                done = run(command, effort.limit_s)
                if done.error:
                    entries[name] = {"error": done.error}
                elif turn == 0:
                    entries[name] = {"untimed_s": done.seconds}
                else:
                    seconds[name].append(done.seconds)
            if turn == 0:
                _agree(workflow, place, entries)
        for name, entry in entries.items():
            if entry.get("agrees"):
                entry |= summary(seconds[name] or [entry["untimed_s"]])
    return {
        "group": "commands",
        "name": f"command {workflow}",
        "shape": list(shape),
        "target": 5 if prod(shape) >= _TARGET_VOXELS else 0,
        "amount": 0,
        "bytes": 0,  # start-up has no floor
        "contenders": entries,
    }


def _agree(workflow: str, place: Path, entries: dict[str, dict[str, Any]]) -> None:
    """Compare what was written."""
    files = {name: place / name / f"stack{RESULT}" for name in entries if "error" not in entries[name]}
    for name, path in files.items():
        if not path.is_file():
            entries[name] = {"error": f"wrote no {path.name}"}
    if FASTSEG not in files or "error" in entries[FASTSEG]:
        return
    expected = tifffile.imread(files[FASTSEG])
    entries[FASTSEG] |= {"agrees": True, "agreement": "what others are compared with"}
    tolerance = UNDEFINED_TOLERANCE if workflow in UNDEFINED_ORDER else 5e-4
    if REFERENCE in files and "error" not in entries[REFERENCE]:
        agreement = compare(expected, tifffile.imread(files[REFERENCE]), "mask", tolerance)
        entries[REFERENCE] |= {"agrees": agreement.passed, "agreement": agreement.text}
