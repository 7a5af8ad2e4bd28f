"""A cost model of large runs: predicted seconds for a volume on a number of GPUs, stage by stage.

    python -m bench.model [--side 10000] [--workflows sec61b,npm1,cetn2] [--gpus 1,8,64] [--memory 64GiB]

Bytes, tasks and passes are those of the planner. Constants that this machine can give are measured: bandwidth of
scratch volumes, seconds a message costs the scheduler (from scheduler.json). Those of a GPU node are assumptions, named
as such in the report. Written to bench/results/<device>/model.md.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import numpy as np

from bench.machine import folder_of, processor
from fastseg.arrays import Device, namespace_for
from fastseg.cli.parsing import memory_size
from fastseg.tiling.plan import PROCESS, Plan, StagePlan, readable
from fastseg.tiling.scratch import Scratch
from fastseg.types import Box
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run_tiled import plan_workflow


@dataclass(frozen=True)
class Constants:
    """What a node does in a second.

    Attributes
    ----------
    voxels : float
        Voxels of one step that a GPU computes: its memory bandwidth over the bytes of the fused kernels.
    gpu_io : float
        Bytes that one worker reads from or writes to scratch.
    store_io : float
        Bytes that the store of all workers together delivers.
    message : float
        Seconds that a message to a worker and back costs the scheduler; short tasks share one.
    label : float
        Seconds that the caller spends on one provisional label: joining, numbering, tables.
    labels : float
        Provisional labels a voxel.
    """

    voxels: float = 4e9
    gpu_io: float = 3e9
    store_io: float = 100e9
    message: float = 5e-3
    label: float = 0.6e-6
    labels: float = 1e-4


def scratch_bandwidth(side: int = 256) -> tuple[float, float]:
    """Bytes a second of writing and reading a scratch volume that fits into the page cache."""
    ns = namespace_for(Device("cpu"))
    data = np.random.default_rng(0).normal(size=(side,) * 3).astype(np.float32)
    box = Box.whole(data.shape)
    with tempfile.TemporaryDirectory() as folder, Scratch(folder) as scratch:
        seconds = []
        for _ in range(3):
            volume = scratch.volume(data.shape, (side // 2,) * 3, ns)
            started = perf_counter()
            volume.write(box, data)
            between = perf_counter()
            volume.read(box)
            seconds.append((between - started, perf_counter() - between))
            scratch.release(volume)
    write, read = (min(column) for column in zip(*seconds, strict=True))
    return data.nbytes / write, data.nbytes / read


def stage_seconds(stage: StagePlan, workers: int, constants: Constants) -> dict[str, float]:
    """What limits a stage, in seconds: each part alone; parts overlap, so the stage takes the largest."""
    voxels = float(np.prod(stage.shape, dtype=np.float64))
    halo = float(np.prod([(t + 2 * h) / t for t, h in zip(stage.tile, stage.halo, strict=True)]))
    moved = stage.read_bytes + stage.written_bytes
    compute = voxels * halo * stage.passes * max(1, len(stage.steps)) / constants.voxels
    a_task = max(compute, moved / constants.gpu_io) / (stage.tasks * stage.passes)
    shared = min(256.0, max(1.0, 0.1 / a_task))  # tasks of a message, as fastseg.tiling.waves deals them out
    serial = constants.label * constants.labels * voxels if stage.kind in ("Labels", "Objects") else 0.0
    return {
        "compute": compute / workers,
        "own I/O": moved / (constants.gpu_io * workers),
        "shared I/O": moved / constants.store_io,
        "scheduler": stage.tasks * stage.passes / shared * constants.message,
        "caller": serial,
    }


def predict(plan: Plan, workers: int, constants: Constants) -> tuple[float, dict[str, float]]:
    """Seconds of a run, and the seconds of the stages that each part limits."""
    total, limited = 0.0, dict.fromkeys(("compute", "own I/O", "shared I/O", "scheduler", "caller"), 0.0)
    for stage in plan.stages:
        parts = stage_seconds(stage, workers, constants)
        waits = parts.pop("caller")  # it comes between passes, and nothing overlaps with it
        worst = max(parts, key=lambda name: parts[name])
        limited[worst] += parts[worst]
        limited["caller"] += waits
        total += parts[worst] + waits
    return total, limited


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=10_000)
    parser.add_argument("--workflows", default="sec61b,npm1,cetn2")
    parser.add_argument("--gpus", default="1,8,64")
    parser.add_argument("--memory", default="64GiB", help="of one GPU's worker")
    options = parser.parse_args(arguments)
    place = folder_of(processor())
    measured = json.loads((place / "scheduler.json").read_text())
    runs = [measured["executors"][name] for name in ("local", "separate")]
    message = min(run["seconds"] / run["messages"] for run in runs)
    write, read = scratch_bandwidth()
    constants = Constants(message=message)
    memory = memory_size(options.memory)
    assert memory is not None
    shape = (options.side,) * 3
    lines = [
        f"# Predicted: {options.side}^3 = {float(options.side) ** 3:.3g} voxels",
        "",
        f"{datetime.now(UTC).date().isoformat()}, `python -m bench.model`, {options.memory} a worker.",
        "",
        f"Measured here ({processor()}): scratch {write / 1e9:.1f} GB/s to write and {read / 1e9:.1f} GB/s to read "
        f"(page cache), {message * 1e3:.1f} ms of the scheduler a message.",
        f"Assumed of a GPU node, not measured: {constants.voxels / 1e9:g} Gvoxel/s a step and GPU, "
        f"{constants.gpu_io / 1e9:g} GB/s of scratch a worker, {constants.store_io / 1e9:g} GB/s of a store shared by "
        f"all, {constants.labels:g} labels a voxel at {constants.label * 1e6:g} us each.",
        "",
        "| workflow | stages | tile | tasks | read and written | scratch | GPUs | hours | limited by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in options.workflows.split(","):
        plan = plan_workflow(get_workflow(name), shape, memory=memory - PROCESS, tasks=1, processes=1)
        moved = sum(s.read_bytes + s.written_bytes for s in plan.stages)
        tasks = sum(s.tasks * s.passes for s in plan.stages)
        for gpus in map(int, options.gpus.split(",")):
            seconds, limited = predict(plan, gpus, constants)
            shares = sorted(limited.items(), key=lambda item: -item[1])
            by = ", ".join(f"{part} {100 * s / seconds:.0f} %" for part, s in shares if s > 0.05 * seconds)
            tile = "x".join(map(str, plan.tile))
            lines.append(
                f"| {name} | {len(plan.stages)} | {tile} | {tasks:,} | {moved / 1e12:.0f} TB "
                f"| {readable(plan.scratch_bytes)} | {gpus} | {seconds / 3600:.2f} | {by} |"
            )
    text = "\n".join(lines) + "\n"
    print(text)
    (place / "model.md").write_text(text)


if __name__ == "__main__":
    main()
