"""Runs workflows on a rule-made volume under a memory budget, as a user would, beside the same workflows in memory.

    python -m bench.large [--side 512] [--memory 2GiB] [--workflows sec61b,npm1,cetn2] [--workers 0,1,2]
                          [--threads N] [--small 256] [--compare] [--volumes DIR]

Every run is a process of its own. Seconds are those of the image (reading, computing, writing), as the command prints
them; peak memory is the largest resident size that the system recorded for each process, workers one by one. `--small`
is the side of the volume that is segmented in memory, for the seconds per voxel; `--compare` also segments the large
one in memory and compares voxel by voxel. 0 workers are the threads of one process. Written to
bench/results/<device>/large-<side>.json and .md, beside the workflows that were measured before.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import psutil

import fastseg
from bench.machine import folder_of, processor
from bench.phantom import phantom

BLOCK = (128, 256, 256)


def make_volume(path: Path, side: int) -> None:
    """Write a (side, side, side) uint16 OME-Zarr volume, block by block; blocks differ in their seed."""
    import zarr

    group = zarr.open_group(path, mode="w")
    array = group.create_array("0", shape=(side,) * 3, chunks=(64, 128, 128), dtype=np.uint16)
    numbers = [range(0, side, step) for step in BLOCK]
    seed = 0
    for z in numbers[0]:
        for y in numbers[1]:
            for x in numbers[2]:
                stop = [min(side, a + b) for a, b in zip((z, y, x), BLOCK, strict=True)]
                shape = (stop[0] - z, stop[1] - y, stop[2] - x)
                seed += 1
                array[z : stop[0], y : stop[1], x : stop[2]] = phantom(shape, seed).astype(np.uint16)
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    scale = {"type": "scale", "scale": [0.29, 0.108, 0.108]}
    levels = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": levels, "name": "phantom"}],
    }


def peaks_of(process: psutil.Process, found: dict[int, int]) -> None:
    """Note the largest resident size, so far, of a process and its children."""
    for one in (process, *process.children(recursive=True)):
        try:
            text = Path(f"/proc/{one.pid}/status").read_text()
        except OSError:
            continue
        match = re.search(r"VmHWM:\s+(\d+) kB", text)
        if match:
            found[one.pid] = max(found.get(one.pid, 0), int(match.group(1)) * 1024)


def segment(
    image: Path, workflow: str, output: Path, extra: list[str], threads: int | None = None
) -> dict[str, Any]:
    """Segment in a process of its own: seconds, and the peak memory of every process, the largest first."""
    environment = {**os.environ, **({"NUMBA_NUM_THREADS": str(threads)} if threads else {})}
    command = [
        *(sys.executable, "-m", "fastseg", "segment", str(image), "-w", workflow),
        *("-o", str(output), "--format", "ome-zarr", *extra),
    ]
    with tempfile.TemporaryFile("w+") as log:
        running = psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        peaks: dict[int, int] = {}
        while running.poll() is None:
            try:
                peaks_of(running, peaks)
            except psutil.NoSuchProcess:
                break
            sleep(0.05)
        log.seek(0)
        text = log.read()
    seconds = re.search(r": ([\d.]+) s, foreground", text)
    if running.wait() or seconds is None:
        return {"error": text.strip().splitlines()[-1] if text.strip() else f"exit code {running.returncode}"}
    return {"seconds": float(seconds.group(1)), "peak_bytes": sorted(peaks.values(), reverse=True)}


def same(a: Path, b: Path) -> bool:
    """Whether two segmentations are equal, read slab by slab."""
    import zarr

    first, second = (zarr.open_array(next(p.glob("*.zarr")) / "0", mode="r") for p in (a, b))
    return all(np.array_equal(first[z : z + 64], second[z : z + 64]) for z in range(0, first.shape[0], 64))


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    side, budget = report["side"], report["memory"]
    lines = [
        f"# Larger than memory: {side}^3 voxels under {budget}",
        "",
        f"fastseg {report['fastseg']}, {report['device']}, latest run {report['date']}: `{report['command']}`.",
        "Input: rule-made uint16 OME-Zarr. Time per voxel includes reading and writing.",
        "",
        "| workflow | run | date | seconds | ns/voxel | against in memory | largest process | all processes | equal |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    gib = 2**30
    for name, row in report["workflows"].items():
        base = None
        for label, run in row.items():
            if "error" in run:
                lines.append(f"| {name} | {label} | {run['date']} | {run['error']} | | | | | |")
                continue
            rate = run["seconds"] / run["side"] ** 3 * 1e9
            base = base or rate
            peaks = run["peak_bytes"]
            lines.append(
                f"| {name} | {label} | {run['date']} | {run['seconds']:.1f} | {rate:.0f} | {rate / base:.2f} "
                f"| {peaks[0] / gib:.2f} GiB | {sum(peaks) / gib:.2f} GiB | {run.get('equal', '')} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--small", type=int, default=256)
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--workflows", default="sec61b,npm1,cetn2")
    parser.add_argument("--workers", default="0", help="numbers of worker processes, with commas")
    parser.add_argument("--threads", type=int, help="cores of every process, by default its share of all")
    parser.add_argument("--compare", action="store_true", help="segment the large volume in memory, too")
    parser.add_argument("--folder", type=Path, help="where volumes and results are made")
    parser.add_argument("--volumes", type=Path, help="where volumes are kept for later runs")
    options = parser.parse_args()
    report: dict[str, Any] = {
        "device": processor(),
        "date": today(),
        "command": " ".join(["python -m bench.large", *_without_folder(sys.argv[1:])]),
        "fastseg": fastseg.__version__,
        "side": options.side,
        "memory": options.memory,
        "workflows": _before(options),
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        volumes = options.volumes or folder
        image, small = (volumes / f"phantom-{side}.zarr" for side in (options.side, options.small))
        for path, side in ((small, options.small), (image, options.side)):
            if not path.exists():
                make_volume(path, side)
        for workflow in options.workflows.split(","):
            report["workflows"][workflow] = measure(workflow, image, small, folder, options)
            write(report)


def measure(workflow: str, image: Path, small: Path, folder: Path, options: Any) -> dict[str, Any]:
    """All runs of one workflow."""
    rows: dict[str, Any] = {}

    def run(label: str, source: Path, side: int, output: Path, extra: list[str], threads: Any = None) -> None:
        rows[label] = {"side": side, "date": today(), **segment(source, workflow, output, extra, threads)}
        print(workflow, label, json.dumps(rows[label]), flush=True)

    segment(small, workflow, folder / f"{workflow}-first", [])  # kernels are compiled
    run(f"in memory, {options.small}^3", small, options.small, folder / f"{workflow}-small", [])
    whole = folder / f"{workflow}-whole"
    if options.compare:
        run(f"in memory, {options.side}^3", image, options.side, whole, [])
    for workers in map(int, options.workers.split(",")):
        label = f"{options.memory}, {workers} workers" if workers else f"{options.memory}, threads"
        output = folder / f"{workflow}-{workers}"
        extra = ["--memory", options.memory, "--scratch", str(folder)]
        label += f", cores: {options.threads} each" if options.threads else ""
        extra += ["--workers", str(workers)] if workers else []
        run(label, image, options.side, output, extra, options.threads)
        if options.compare and "error" not in rows[label]:
            rows[label]["equal"] = same(whole, output)
    return rows


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def _before(options: Any) -> dict[str, Any]:
    """What was measured before on this device, with the same budget."""
    file = folder_of(processor()) / f"large-{options.side}.json"
    if not file.exists():
        return {}
    report = json.loads(file.read_text())
    return report["workflows"] if report["memory"] == options.memory else {}


def write(report: dict[str, Any]) -> None:
    place = folder_of(report["device"])
    place.mkdir(parents=True, exist_ok=True)
    (place / f"large-{report['side']}.json").write_text(json.dumps(report, indent=1) + "\n")
    (place / f"large-{report['side']}.md").write_text(table(report))


def _without_folder(arguments: list[str]) -> list[str]:
    """The command as published: where the volumes were is nobody's business."""
    for option in ("--folder", "--volumes"):
        if option in arguments:
            place = arguments.index(option)
            arguments = arguments[:place] + arguments[place + 2 :]
    return arguments


if __name__ == "__main__":
    main()
