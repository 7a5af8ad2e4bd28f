"""Times every operator case and every library workflow, and writes the figures beside the device they belong to.

    python -m bench.run [--size Z,Y,X] [--repeats N] [--device cpu|cuda] [--smoke]

Cold is the first call of the process (compilation or its cache included), warm the median of the others. Peak memory is
that of the whole process so far, in multiples of the float32 stack.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import fastseg
from bench.phantom import phantom
from fastseg.arrays import parse_device, to_device
from fastseg.arrays.device import Device, cuda_devices
from fastseg.errors import InputError
from fastseg.operators.functions import function_of
from fastseg.workflow.load import library_names
from fastseg.workflow.segment import segment

RESULTS = Path(__file__).parent / "results"

OPERATORS: list[tuple[str, dict[str, Any]]] = [
    ("intensity_normalize", {"scaling": [1, 10]}),
    ("gaussian_smooth", {"sigma": 1.0}),
    ("edge_preserving_smooth", {}),
    ("laplacian_of_gaussian", {"sigma": 1.0}),
    ("laplacian_of_gaussian_slices", {"sigma": 1.0}),
    ("jerman_vesselness", {"sigmas": [1]}),
    ("jerman_vesselness_slices", {"sigmas": [1]}),
    ("masked_object_threshold", {"method": "triangle", "min_size": 20}),
]


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def describe(device: Device) -> str:
    """Name of the device for the report."""
    return cuda_devices()[device.index].name if device.kind == "cuda" else processor()


def _finish(device: Device) -> None:
    if device.kind == "cuda":
        import cupy

        cupy.cuda.Device(device.index).synchronize()


def measure(call: Any, repeats: int, device: Device) -> dict[str, float]:
    """Seconds of the first call and of the following ones."""
    seconds = []
    for _ in range(repeats + 1):
        _finish(device)
        started = perf_counter()
        call()
        _finish(device)
        seconds.append(perf_counter() - started)
    warm = seconds[1:]
    return {
        "cold_s": seconds[0],
        "median_s": statistics.median(warm),
        "min_s": min(warm),
        "max_s": max(warm),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="32,256,256")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--smoke", action="store_true", help="a tiny stack, nothing written")
    options = parser.parse_args()
    z, y, x = (int(n) for n in options.size.split(","))
    shape = (8, 48, 48) if options.smoke else (z, y, x)
    repeats = 1 if options.smoke else options.repeats
    device = parse_device(options.device)
    stack = to_device(phantom(shape), device)
    unit = stack.nbytes
    cases: dict[str, Any] = {
        name: (lambda n=name, p=parameters: function_of(n)(stack, **p)) for name, parameters in OPERATORS
    }
    cases |= {f"workflow {name}": (lambda n=name: segment(stack, n, str(device))) for name in library_names()}
    rows = {}
    for name, call in cases.items():
        try:
            rows[name] = measure(call, repeats, device)
        except InputError as error:
            print(f"{name:44s} not applicable: {error}", flush=True)
            continue
        rows[name]["ns_per_voxel"] = rows[name]["median_s"] / stack.size * 1e9
        print(f"{name:44s} {rows[name]['median_s']:9.4f} s  cold {rows[name]['cold_s']:8.3f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform == "linux" else 1)
    report = {
        "device": describe(device),
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"python -m bench.run --size {options.size} --repeats {repeats} --device {options.device}",
        "fastseg": fastseg.__version__,
        "numpy": np.__version__,
        "shape": shape,
        "peak_memory_stacks": peak / unit,
        "cases": rows,
    }
    if not options.smoke:
        folder = RESULTS / "".join(c if c.isalnum() else "-" for c in report["device"]).strip("-").lower()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "operators.json").write_text(json.dumps(report, indent=1) + "\n")
        (folder / "operators.md").write_text(table(report))
        print(f"written to {folder}")


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    shape = "x".join(str(n) for n in report["shape"])
    lines = [
        f"# fastseg {report['fastseg']}, {report['device']}, {report['date']}",
        "",
        f"`{report['command']}`; stack {shape} float32. Warm: median (min to max); cold: first call.",
        f"Peak memory of the process after all cases: {report['peak_memory_stacks']:.0f} stacks.",
        "",
        "| case | warm, s | ns/voxel | cold, s |",
        "|---|---|---|---|",
    ]
    for name, row in report["cases"].items():
        warm = f"{row['median_s']:.4f} ({row['min_s']:.4f} to {row['max_s']:.4f})"
        lines.append(f"| {name} | {warm} | {row['ns_per_voxel']:.1f} | {row['cold_s']:.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
