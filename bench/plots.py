"""The results as SVG plots; needs matplotlib (the `bench` extra)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.lineup import FASTSEG, REFERENCE
from bench.report import Row, largest, memory_of, seconds_of, speedup, target_of, voxels

# Colour-blind safe (Okabe and Ito); one colour for each contender in all plots.
COLOURS = {
    FASTSEG: "#0072B2",
    REFERENCE: "#D55E00",
    "fixed": "#009E73",
    "scikit-image": "#CC79A7",
    "ITK": "#E69F00",
    "dask-image": "#56B4E9",
    "cc3d": "#000000",
    "CuPy composition": "#009E73",
    "cuCIM": "#E69F00",
    "pyclesperanto": "#56B4E9",
}


def draw(folder: Path, device: str, rows: Iterable[Row]) -> list[Path]:
    """Write every plot for which there are results, and give their files."""
    import matplotlib

    matplotlib.use("svg")
    # text stays text, and two runs of equal results give equal files
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastseg", "font.size": 9})
    found = list(rows)
    drawn = []
    for name, plot in (
        ("speedup", _speedups),
        ("workflows", _workflows),
        ("time", _time),
        ("memory", _memory),
        ("objects", _objects),
        ("throughput", _throughput),
    ):
        figure = plot(found, device)
        if figure is not None:
            path = folder / f"{name}.svg"
            figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
            drawn.append(path)
    return drawn


def _figure(width: float, height: float, title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _shape_text(row: Row) -> str:
    return "x".join(str(n) for n in row["shape"])


def _speedups(rows: list[Row], device: str) -> Any:
    chosen = [r for r in rows if r["group"] in ("operators", "objects") and _timed_others(r)]
    if not chosen:
        return None
    others = list(dict.fromkeys(name for row in chosen for name in _timed_others(row)))
    figure, axes = _figure(
        7, 0.9 + 0.5 * len(chosen), f"Times faster than others, {_shape_text(chosen[0])}\n{device}"
    )
    height = 0.8 / len(others)
    for other in others:
        # the bars of a case stand together, whoever takes no part in it; they begin at 1: to the left is slower
        mine = [(i, _timed_others(row), row) for i, row in enumerate(chosen)]
        bars = [
            (i + (names.index(other) - (len(names) - 1) / 2) * height, (speedup(row, other) or 1) - 1)
            for i, names, row in mine
            if other in names
        ]
        axes.barh(*zip(*bars, strict=True), height, left=1, label=other, color=COLOURS.get(other))
    for i, row in enumerate(chosen):
        if target := target_of(row)[0]:
            axes.plot([target] * 2, [i - 0.45, i + 0.45], color="black", linewidth=1.5)
    axes.plot([], [], color="black", linewidth=1.5, label="target")
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("speed-up of fastseg")
    axes.set_yticks(range(len(chosen)), [r["name"] for r in chosen])
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.35, 1.06), ncols=3)
    return figure


def _timed_others(row: Row) -> list[str]:
    return [name for name in row["contenders"] if name != FASTSEG and speedup(row, name)]


def _workflows(rows: list[Row], device: str) -> Any:
    series = [
        (group, largest((r for r in rows if r["group"] == group), speedup))
        for group in ("workflows", "commands")
    ]
    if not any(found for _, found in series):
        return None
    names = sorted(
        {r["name"].partition(" ")[2] for _, found in series for r in found},
        key=lambda n: (
            -max(speedup(r) or 0 for _, found in series for r in found if r["name"].endswith(f" {n}"))
        ),
    )
    figure, axes = _figure(
        7, 0.9 + 0.17 * len(names), f"Workflows: times faster than the reference\n{device}"
    )
    for (group, found), marker, label in zip(series, "os", ("array to array", "whole command"), strict=True):
        if found:
            axes.plot(
                [speedup(r) for r in found],
                [names.index(r["name"].partition(" ")[2]) for r in found],
                marker,
                color=COLOURS[FASTSEG if group == "workflows" else REFERENCE],
                label=f"{label}, {_shape_text(found[0])}",
                markersize=5,
            )
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.axvline(3, color="black", linewidth=0.8, linestyle=":", label="3x")
    axes.set_xscale("log")
    axes.set_xlabel("speed-up of fastseg")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.legend(frameon=False)
    return figure


def _by_size(rows: list[Row], device: str, title: str, label: str, value: Any) -> Any:
    sized = {r["name"] for r in rows if r["group"] == "sizes"}
    chosen = [r for r in rows if r["name"] in sized and r["group"] in ("sizes", "operators")]
    if not chosen:
        return None
    from matplotlib.figure import Figure

    names = sorted(sized)
    figure = Figure(figsize=(3.0 * len(names), 3.2))
    for number, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), number + 1)
        axes.set_title(name, fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        mine = sorted((r for r in chosen if r["name"] == name), key=voxels)
        for contender in dict.fromkeys(c for r in mine for c in r["contenders"]):
            points = [(voxels(r) / 1e6, v) for r in mine if (v := value(r, contender)) is not None]
            if points:
                axes.plot(
                    *zip(*points, strict=True),
                    "o-",
                    color=COLOURS.get(contender),
                    label=contender,
                    markersize=4,
                )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("Mvoxel")
        if number == 0:
            axes.set_ylabel(label)
    handles = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.suptitle(f"{title}\n{device}", x=0.01, y=1.04, ha="left", fontsize=10)
    figure.legend(
        handles.values(),
        handles.keys(),
        frameon=False,
        loc="lower center",
        bbox_to_anchor=(0.5, -0.08),
        ncols=max(1, len(handles)),
    )
    figure.tight_layout()
    return figure


def _time(rows: list[Row], device: str) -> Any:
    return _by_size(rows, device, "Time against volume", "seconds", seconds_of)


def _memory(rows: list[Row], device: str) -> Any:
    def value(row: Row, contender: str) -> float | None:
        stacks = memory_of(row, contender)
        return None if not stacks else stacks * voxels(row) * 4 / 2**20

    return _by_size(rows, device, "Peak memory above the input against volume", "MiB", value)


def _objects(rows: list[Row], device: str) -> Any:
    chosen = sorted((r for r in rows if r["group"] == "objects"), key=lambda r: r["amount"])
    if not chosen:
        return None
    figure, axes = _figure(5, 3.2, f"Masked-object threshold, {_shape_text(chosen[0])}\n{device}")
    for contender in dict.fromkeys(c for r in chosen for c in r["contenders"]):
        points = [(r["amount"], s) for r in chosen if (s := seconds_of(r, contender))]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=COLOURS.get(contender), label=contender)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("objects")
    axes.set_ylabel("seconds")
    axes.legend(frameon=False)
    return figure


def _throughput(rows: list[Row], device: str) -> Any:
    chosen = [r for r in rows if r["group"] == "throughput"]
    if not chosen:
        return None
    row = chosen[-1]
    figure, axes = _figure(5, 3.2, f"{row['name']}, {_shape_text(row)}\n{device}")
    for name, values in row["stacks_per_s"].items():
        counts = sorted(values, key=int)
        axes.plot(
            [int(c) for c in counts], [values[c] for c in counts], "o-", color=COLOURS.get(name), label=name
        )
    axes.set_yscale("log")
    axes.set_xlabel("processes")
    axes.set_ylabel("stacks a second, whole command")
    axes.set_xticks(sorted({int(c) for v in row["stacks_per_s"].values() for c in v}))
    axes.legend(frameon=False)
    return figure
