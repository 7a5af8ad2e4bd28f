"""The results as Markdown: every figure beside its target and its limit."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from bench.lineup import COMPOSITION, FASTSEG, LOOP, MONAI, MONAI_LARGE, REFERENCE

Row = dict[str, Any]
FLOAT32 = 4
GPU_OTHERS = (COMPOSITION, "cuCIM")
GPU_TARGET = 3


def markdown(device: str, rows: Iterable[Row]) -> str:
    """The report of a device."""
    all_rows = list(rows)
    parts = [f"# Benchmark, {device}", "", *_legend(all_rows)]
    for group, title, table in _SECTIONS:
        chosen = [row for row in all_rows if row["group"] == group]
        if chosen:
            parts += ["", f"## {title}", "", *table(chosen)]
    parts += _disagreements(all_rows)
    return "\n".join(parts) + "\n"


def _legend(rows: list[Row]) -> list[str]:
    lines = [
        "Seconds are medians of calls in turns on the same arrays (smallest to largest in parentheses), timed inside",
        "the process; answers were compared first. *Limit*: bytes of the inputs and the output, each moved once, over",
        "the copy bandwidth of the same run. *Memory*: peak of a process of its own above its inputs, in float32",
        "stacks, result included. *Compiling*: what the first call takes more than the second, after installation and",
        "in later processes.",
        "",
        "| run | fastseg | copy, GB/s |",
        "|---|---|---|",
    ]
    runs = {}
    for row in rows:
        if "bandwidth" in row:
            runs[row["date"], row.get("revision", "")] = row
    for (date, revision), row in runs.items():
        version = row.get("versions", {}).get(FASTSEG, {}).get("fastseg", "")
        lines.append(f"| {date} | {version} {revision} | {row['bandwidth'] / 1e9:.1f} |")
    versions: dict[str, dict[str, str]] = {}
    for row in rows:
        versions |= row.get("versions", {})
    lines.append("")
    lines += [
        f"- {name}: {', '.join(f'{k} {v}' for k, v in found.items())}" for name, found in versions.items()
    ]
    return lines


def _others(rows: list[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name in row["contenders"])
    return [name for name in names if name != FASTSEG]


def seconds_of(row: Row, name: str) -> float | None:
    """Median of a contender; None where it was not timed."""
    return row["contenders"].get(name, {}).get("median_s")


def speedup(row: Row, other: str = REFERENCE) -> float | None:
    """How many times faster fastseg is; None where one of both was not timed."""
    ours, theirs = seconds_of(row, FASTSEG), seconds_of(row, other)
    return theirs / ours if ours and theirs else None


def limit_of(row: Row) -> float | None:
    """How many times the limit fastseg takes; None where none is declared."""
    ours, bandwidth = seconds_of(row, FASTSEG), row.get("bandwidth")
    return ours / (row["bytes"] / bandwidth) if ours and bandwidth and row["bytes"] else None


def memory_of(row: Row, name: str = FASTSEG) -> float | None:
    """Peak memory above the input, in float32 stacks."""
    peak = row["contenders"].get(name, {}).get("peak_bytes")
    return None if peak is None else peak / (FLOAT32 * voxels(row))


def voxels(row: Row) -> int:
    """Voxels of the stack."""
    z, y, x = row["shape"]
    return int(z * y * x)


def largest(rows: Iterable[Row], value: Callable[[Row], Any]) -> list[Row]:
    """Of each name, the row of the largest stack that has a value."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=voxels):
        if value(row) is not None:
            found[row["name"]] = row
    return list(found.values())


def target_of(row: Row, other: str = REFERENCE) -> tuple[float, float | None]:
    """How many times faster fastseg shall be, 0 where nothing is asked for, and how many times it is.

    On a GPU, where the reference does not run, the fastest of the others counts.
    """
    on_gpu = [s for name in GPU_OTHERS if (s := speedup(row, name)) is not None]
    if row["group"] == "operators" and REFERENCE not in row["contenders"] and on_gpu:
        return GPU_TARGET, min(on_gpu)
    return row.get("target") or 0, speedup(row, other)


def _number(value: float | None, form: str = ".3g") -> str:
    return "-" if value is None else f"{value:{form}}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}x"


def _spread(row: Row, name: str) -> str:
    entry = row["contenders"].get(name, {})
    if "median_s" not in entry:
        return (
            "-"
            if "error" not in entry
            else "failed"
            if not entry["error"].startswith("not run")
            else "not run"
        )
    if entry["calls"] == 1:
        return f"{entry['median_s']:.3g} (once)"
    return f"{entry['median_s']:.3g} ({entry['min_s']:.3g} to {entry['max_s']:.3g})"


def _target(row: Row, other: str = REFERENCE) -> str:
    wanted, found = target_of(row, other)
    if not wanted or found is None:
        return "-"
    return f"{wanted:g}x, {'met' if found >= wanted else '**missed**'}"


def _case(row: Row) -> str:
    return f"{row['name']}, {'x'.join(str(n) for n in row['shape'])}"


def _operator_table(rows: list[Row]) -> list[str]:
    others = [name for name in _others(rows) if name != REFERENCE]
    beside = any(REFERENCE in row["contenders"] for row in rows)
    head = ["case", "fastseg, s", "ns/voxel", "of the limit"]
    head += ["reference, s", "speed-up"] if beside else []
    head += ["target", *(f"against {name}" for name in others), "memory"]
    head += ["reference's", "compiling, s"] if beside else ["compiling, s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        ours = seconds_of(row, FASTSEG)
        first = row.get("first", {})
        compiling = f"{first['installed_s']:.1f}; {first['later_s']:.2f}" if first else "-"
        cells = [
            _case(row),
            _spread(row, FASTSEG),
            _number(ours / voxels(row) * 1e9 if ours else None),
            _times(limit_of(row)),
            *((_spread(row, REFERENCE), _times(speedup(row))) if beside else ()),
            _target(row),
            *(_times(speedup(row, name)) for name in others),
            _number(memory_of(row), ".1f"),
            *((_number(memory_of(row, REFERENCE), ".1f"),) if beside else ()),
            compiling,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _workflow_table(rows: list[Row]) -> list[str]:
    lines = []
    if fast := largest(rows, speedup):
        slowest = min(fast, key=speedup)
        mean = statistics.geometric_mean([speedup(row) for row in fast])
        lines.append(
            f"Geometric mean of {len(fast)} speed-ups {mean:.1f}x; least {speedup(slowest):.1f}x ({_case(slowest)})."
        )
    if measured := largest(rows, memory_of):
        most = max(measured, key=memory_of)
        lines.append(f"Most memory: {memory_of(most):.1f} stacks ({_case(most)}).")
    if len({tuple(row["shape"]) for row in rows}) > 1:
        lines.append("Of each case, the largest stack for which there is the figure counts.")
    return [*lines, "", *_operator_table(rows)] if lines else _operator_table(rows)


def _objects_table(rows: list[Row]) -> list[str]:
    ordered = sorted(rows, key=lambda row: row["amount"])
    found = [s for row in ordered if (s := seconds_of(row, FASTSEG))]
    lines = (
        [f"Slowest over fastest of fastseg, whatever the number of objects: {max(found) / min(found):.2f}."]
        if found
        else []
    )
    return [*lines, "", *_operator_table(ordered)]


def _throughput_table(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        series = row["stacks_per_s"]
        counts = list(series[FASTSEG])
        head = [
            f"{row['name']}, {'x'.join(map(str, row['shape']))}, stacks/s",
            *(f"{c} processes" for c in counts),
        ]
        lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for name, values in series.items():
            lines.append("| " + " | ".join([name, *(f"{values[c]:.3g}" for c in counts)]) + " |")
        lines.append("")
    return lines


def _disagreements(rows: list[Row]) -> list[str]:
    lines = []
    for row in rows:
        for name, entry in row["contenders"].items():
            if "error" in entry:
                lines.append(f"- {_case(row)}: {name}: {entry['error']}")
            elif not entry.get("agrees"):
                what = entry.get("agreement", "not compared")
                lines.append(f"- {_case(row)}: {name} answers differently: {what}")
    return ["", "## Not timed", "", *lines] if lines else []


def _network_table(rows: list[Row]) -> list[str]:
    lines = [
        "The reference's loop: patches of its documented size one by one, all outputs computed, in single precision. "
        "In the default mode patches begin elsewhere, so answers may differ; with the reference's they agree. MONAI: "
        "the same network by `sliding_window_inference` (the valid output in the middle of its window, overlap by "
        "the rim), with windows of the documented size and with those that fastseg takes, in single precision; "
        "answers agree. Memory in GB, above the image.",
        "",
        "| case | fastseg, s | loop, s | speed-up | target | MONAI, s | speed-up | target | MONAI, large windows, s | "
        "speed-up | memory |",
        "|" + "---|" * 11,
    ]
    for row in rows:
        peak = row["contenders"].get(FASTSEG, {}).get("peak_bytes")
        other = speedup(row, MONAI)
        # at least as fast as MONAI wherever the reference's loop has to be beaten
        wanted = (
            "-"
            if not row.get("target") or other is None
            else "1x, " + ("met" if other >= 1 else "**missed**")
        )
        cells = [
            _case(row),
            _spread(row, FASTSEG),
            _spread(row, LOOP),
            _times(speedup(row, LOOP)),
            _target(row, LOOP),
            _spread(row, MONAI),
            _times(other),
            wanted,
            _spread(row, MONAI_LARGE),
            _times(speedup(row, MONAI_LARGE)),
            "-" if peak is None else f"{peak / 1e9:.2g}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.3g}"


def _resident_table(rows: list[Row]) -> list[str]:
    head = ["case", "fastseg, ms", "asked for, ms", "of the limit", "composition, ms", "speed-up", "memory"]
    head += ["composition's", "compiling, s"]
    lines = [
        "Counts in, mask out, both on the device. The composition is the same workflow in calls of CuPy.",
        "",
    ]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        ours, wanted = seconds_of(row, FASTSEG), row.get("target_s")
        verdict = "" if ours is None else ", met" if ours <= (wanted or 0) else ", **missed**"
        first = row.get("first", {})
        cells = [
            _case(row),
            _milliseconds(ours),
            f"{_milliseconds(wanted)}{verdict}" if wanted else "-",
            _times(limit_of(row)),
            _milliseconds(seconds_of(row, COMPOSITION)),
            _times(speedup(row, COMPOSITION)),
            _number(memory_of(row), ".1f"),
            _number(memory_of(row, COMPOSITION), ".1f"),
            _number(first.get("later_s"), ".1f"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _disk_table(rows: list[Row]) -> list[str]:
    lines = [
        "One command for a folder; TIFF in, TIFF out. *Start* is what the command takes beside its stacks.",
        "",
        "| case | start, s | a stack, s | stacks/s | read and written, MB/s |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        each = seconds_of(row, FASTSEG)
        rates = (None, None) if each is None else (1 / each, row["stack_bytes"] / each / 1e6)
        cells = [_case(row), _number(row["start_s"]), _number(each), *(_number(rate) for rate in rates)]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


_SECTIONS: list[tuple[str, str, Callable[[list[Row]], list[str]]]] = [
    ("resident", "Workflows on a whole field, on the device", _resident_table),
    ("operators", "Operators", _operator_table),
    ("objects", "Masked-object threshold against the number of objects", _objects_table),
    ("sizes", "Smaller volumes", _operator_table),
    ("workflows", "Workflows, array to array", _workflow_table),
    ("unet", "Prediction with trained networks, array to array", _network_table),
    ("commands", "Whole commands: process start, reading, segmenting, writing", _workflow_table),
    ("disk", "From disk to disk", _disk_table),
    ("throughput", "Throughput of several processes", _throughput_table),
]
