"""Runs workflows on a rule-made volume under a memory budget, as a user would, and compares with the in-memory result.

    python -m bench.large [--side 512] [--memory 2GiB] [--workflows sec61b,npm1,cetn2] [--workers N] [--no-check]

Every run is a process of its own; peak memory is that of the process (workers are counted one by one by the system and
not included). Written to bench/results/<device>/large.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import fastseg
from bench.phantom import phantom
from bench.run import RESULTS, processor

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


def segment(image: Path, workflow: str, output: Path, extra: list[str]) -> dict[str, Any]:
    """Segment in a process of its own: seconds and peak memory."""
    command = [
        *(sys.executable, "-m", "fastseg", "segment", str(image), "-w", workflow),
        *("-o", str(output), "--format", "ome-zarr", *extra),
    ]
    script = (
        f"import subprocess, sys, resource; r = subprocess.run({command!r}, capture_output=True, text=True); \
print(r.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); print(r.stderr)"
    )
    started = perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seconds = perf_counter() - started
    first, _, rest = done.stdout.partition("\n")
    code, peak = first.split()
    if code != "0":
        return {"error": rest.strip()}
    return {"seconds": seconds, "peak_bytes": int(peak) * 1024}


def same(a: Path, b: Path) -> bool:
    """Whether two segmentations are equal, read slab by slab."""
    import zarr

    first, second = (zarr.open_array(next(p.glob("*.zarr")) / "0", mode="r") for p in (a, b))
    return all(
        np.array_equal(first[..., z : z + 64, :, :], second[..., z : z + 64, :, :])
        for z in range(0, first.shape[-3], 64)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--workflows", default="sec61b,npm1,cetn2")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--no-check", action="store_true", help="do not run in memory for comparison")
    parser.add_argument("--folder", type=Path, help="where volumes and results are made")
    options = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        image = Path(folder) / "phantom.zarr"
        make_volume(image, options.side)
        for workflow in options.workflows.split(","):
            large = Path(folder) / f"{workflow}-large"
            extra = ["--memory", options.memory, "--scratch", folder]
            extra += ["--workers", str(options.workers)] if options.workers else []
            row: dict[str, Any] = {"out_of_core": segment(image, workflow, large, extra)}
            if not options.no_check:
                whole = Path(folder) / f"{workflow}-whole"
                row["in_memory"] = segment(image, workflow, whole, [])
                if "error" not in row["in_memory"] and "error" not in row["out_of_core"]:
                    row["equal"] = same(whole, large)
            rows[workflow] = row
            print(workflow, json.dumps(row), flush=True)
    report = {
        "device": processor(),
        "date": datetime.now(UTC).date().isoformat(),
        "command": "python -m bench.large " + " ".join(sys.argv[1:]),
        "fastseg": fastseg.__version__,
        "side": options.side,
        "memory": options.memory,
        "own_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "workflows": rows,
    }
    place = RESULTS / "".join(c if c.isalnum() else "-" for c in processor()).strip("-").lower()
    place.mkdir(parents=True, exist_ok=True)
    (place / f"large-{options.side}.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
