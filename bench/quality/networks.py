"""A network trained on one part of a stack and the mask that it predicts."""

import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import tifffile
import yaml

from bench.environment import build_monai
from bench.machine import ROOT
from bench.quality.stacks import Stack, dice
from fastseg.io.writing import write_image
from fastseg.unet.normalization import normalize

HELD_OUT = "held_out"

Curve: TypeAlias = list[tuple[int, float, float | None]]


@dataclass(frozen=True)
class Trained:
    """What one run gave.

    Attributes
    ----------
    seed : int
    mask : (z, y, x) bool
        Of the whole stack.
    dice : float
        In the held-out part.
    seconds, cpu_seconds : float
        Of `fastseg train` from start to end, validation included; the latter of all its threads.
    curve : list of (epoch, training loss, Dice in the held-out part or None)
        Empty for programs that do not tell.
    """

    seed: int
    mask: np.ndarray
    dice: float
    seconds: float
    cpu_seconds: float
    curve: Curve


def prepare(stack: Stack, recipe: str, folder: Path) -> Path:
    """Write the normalised parts with their truth, a list of them, and the raw stack.

    The held-out part is there for the curves only: it decides nothing, the last model is the one that is judged.
    """
    folder.mkdir(parents=True)
    write_image(folder / "stack.ome.tif", stack.image, spacing=stack.spacing)
    normalised = normalize(stack.image, recipe)
    rows = ["name,image,truth"]
    for name, part in (("train", stack.train), (HELD_OUT, stack.test)):
        write_image(folder / f"{name}.ome.tif", normalised[part], spacing=stack.spacing)
        truth = (stack.labels[part] > 0).astype(np.uint8)
        write_image(folder / f"{name}_truth.ome.tif", truth, spacing=stack.spacing)
        rows.append(f"{name},{name}.ome.tif,{name}_truth.ome.tif")
    table = folder / "images.csv"
    table.write_text("\n".join(rows) + "\n")
    return table


def train(stack: Stack, table: Path, settings: dict[str, Any], seed: int) -> Trained:
    """Train with a seed, predict, and judge."""
    own = settings["network"]["name"] != "dynunet"
    mask, seconds, cpu, curve = (_fastseg if own else _dynunet)(table, settings, seed)
    return Trained(seed, mask, dice(mask[stack.test], stack.labels[stack.test] > 0), seconds, cpu, curve)


def _fastseg(table: Path, settings: dict[str, Any], seed: int) -> tuple[np.ndarray, float, float, Curve]:
    folder = table.parent
    run, output, file = (folder / f"seed-{seed}{end}" for end in ("", "-masks", ".yaml"))
    config = {**settings, "seed": seed, "data": {**settings["data"], "leaveout": [HELD_OUT]}}
    file.write_text(yaml.safe_dump(config))
    seconds, cpu = _timed("fastseg", "train", str(table), "--config", str(file), "-o", str(run))
    stack = str(folder / "stack.ome.tif")
    _timed("fastseg", "predict", stack, "--model", str(run / "last.model"), "-o", str(output))
    mask = tifffile.imread(next(output.glob("*.tif*"))) > 0
    return mask, seconds, cpu, _curve(run / "metrics.csv")


def _dynunet(table: Path, settings: dict[str, Any], seed: int) -> tuple[np.ndarray, float, float, Curve]:
    """Seconds include the prediction."""
    file, output = (table.parent / f"seed-{seed}{end}" for end in (".yaml", ".npz"))
    file.write_text(yaml.safe_dump(settings))
    path = os.pathsep.join([str(ROOT), str(build_monai())])
    program = "bench.quality.dynunet"
    seconds, cpu = _timed(program, str(table), str(file), str(seed), str(output), path=path)
    with np.load(output) as found:
        return found["mask"], seconds, cpu, []


def _timed(module: str, *arguments: str, path: str = "") -> tuple[float, float]:
    """Run a program: seconds on the clock and of the processor."""
    environment = {**os.environ, **({"PYTHONPATH": path} if path else {})}
    command = [sys.executable, "-m", module, *arguments]
    before, begun = os.times(), perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return perf_counter() - begun, cpu


def _curve(metrics: Path) -> Curve:
    with metrics.open(newline="") as file:
        return [
            (int(row["epoch"]), float(row["train_loss"]), float(row["dice"]) if row.get("dice") else None)
            for row in csv.DictReader(file)
        ]
