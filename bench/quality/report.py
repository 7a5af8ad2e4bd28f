"""The page of the study: docs/training_quality.md, with a plot and a picture for each stack."""

from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from bench.quality.stacks import Stack

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "training_quality"
MARGIN = 0.03
"""Dice by which a network has to be better than the best classic workflow."""

_PLANES = (0.35, 0.65)
_RIGHT, _MISSED, _WRONG = (235, 235, 235), (213, 94, 0), (0, 114, 178)
"""Colours that the colour-blind tell apart: right, missed and wrong foreground."""


def picture(stack: Stack, name: str, classic: np.ndarray, network: np.ndarray) -> Path:
    """Two planes of the held-out part: raw, truth, and what the best classic and a network got right and wrong."""
    from PIL import Image

    raw, found = stack.image[stack.test], [mask[stack.test] for mask in (classic, network)]
    true = stack.labels[stack.test] > 0
    low, high = np.quantile(raw, [0.01, 0.998])
    rows = []
    for z in (int(part * len(raw)) for part in _PLANES):
        grey = np.clip((raw[z] - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        panels = [
            np.repeat(grey[..., None], 3, 2),
            np.where(true[z][..., None], np.uint8(235), np.uint8(0)).repeat(3, 2),
            *(_errors(mask[z], true[z]) for mask in found),
        ]
        if grey.shape[0] > grey.shape[1]:
            panels = [np.swapaxes(p, 0, 1) for p in panels]
        rows.append(np.concatenate([_framed(p.repeat(2, 0).repeat(2, 1)) for p in panels], axis=1))
    PICTURES.mkdir(exist_ok=True)
    file = PICTURES / f"{stack.name}_{name}.png"
    Image.fromarray(np.concatenate(rows, axis=0)).save(file, optimize=True)
    return file


def _errors(mask: np.ndarray, true: np.ndarray) -> np.ndarray:
    shown = np.zeros((*mask.shape, 3), np.uint8)
    shown[mask & true], shown[~mask & true], shown[mask & ~true] = _RIGHT, _MISSED, _WRONG
    return shown


def _framed(panel: np.ndarray) -> np.ndarray:
    return np.pad(panel, ((3, 3), (3, 3), (0, 0)), constant_values=128)


def curves(name: str, found: dict[str, Any]) -> Path:
    """Dice in the held-out part while training, of every run, beside the best classic and what is asked."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastseg", "font.size": 9})
    from matplotlib import pyplot

    best = found["classics"][0]
    figure, axes = pyplot.subplots(figsize=(6, 3.2), layout="constrained")
    colours = ["#0072B2", "#009E73", "#CC79A7", "#E69F00"]
    names = list(dict.fromkeys(run["network"] for run in found["runs"]))
    for run in found["runs"]:
        points = [(epoch, value) for epoch, _, value in run["curve"] if value is not None]
        first = run["seed"] == min(r["seed"] for r in found["runs"] if r["network"] == run["network"])
        label = run["network"] if first else None
        axes.plot(*zip(*points, strict=True), color=colours[names.index(run["network"]) % 4], label=label)
    axes.axhline(best["dice"], color="#D55E00", label=f"best classic ({best['name']})")
    axes.axhline(best["dice"] + MARGIN, color="#D55E00", linestyle=":", label=f"best classic + {MARGIN}")
    axes.set(xlabel="epoch", ylabel="Dice, held-out part", title=found["title"])
    axes.legend(frameon=False, fontsize=8)
    PICTURES.mkdir(exist_ok=True)
    file = PICTURES / f"{name}.svg"
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return file


def write_report(report: dict[str, Any]) -> None:
    """Write the page and its plots."""
    lines = [
        "# Trained networks beside classic workflows",
        "",
        "A network is trained on one part of a stack and judged on another that shares no object with it; beside it",
        "stand all classic workflows (the library's and those of `docs/workflows`), plain and with enclosed holes",
        "filled, of which the best *in the held-out part* is taken, in its favour. Everything sees the whole image;",
        "only truth is held back. The held-out part decides nothing: the last model is judged, not the best.",
        "Dice of foreground; `small` is `bench/quality/settings/small.yaml`, one for all.",
        "",
        f"{report['device']}, `{report['command']}`.",
    ]
    for name, found in report["stacks"].items():
        curves(name, found)
        lines += ["", f"## {found['title']}", "", *_stack(name, found)]
    page = DOCS / "training_quality.md"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _stack(name: str, found: dict[str, Any]) -> list[str]:
    best = found["classics"][0]["dice"]
    lines = [
        f"{found['train_objects']} nuclei reach into the training part, {found['test_objects']} into the held-out one,",
        f"of which {found['foreground']:.1%} is foreground.",
        "",
        "| | Dice | over the best classic | seconds | CPU seconds | date, commit |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {classic['name']} | {classic['dice']:.4f} | {classic['dice'] - best:+.4f} | | | |"
        for classic in found["classics"][:3]
    ]
    lines += [
        f"| {run['network']}, seed {run['seed']} | {run['dice']:.4f} | {run['dice'] - best:+.4f} "
        f"| {run['seconds']:.0f} | {run['cpu_seconds']:.0f} | {run['date']}, {run['revision']} |"
        for run in found["runs"]
    ]
    for network in dict.fromkeys(run["network"] for run in found["runs"]):
        values = [run["dice"] for run in found["runs"] if run["network"] == network]
        if len(values) > 1:
            lines.append(
                f"| {network}, mean of {len(values)} seeds | {mean(values):.4f} | {mean(values) - best:+.4f} | | | |"
            )
    return [
        *lines,
        "",
        f"![Dice while training](training_quality/{name}.svg)",
        "",
        f"![Two planes of the held-out part](training_quality/{name}_small.png)",
        "",
        "Two planes of the held-out part. From the left: image, truth, best classic, network (seed 0); white is right,",
        "orange missed, blue wrong.",
    ]
