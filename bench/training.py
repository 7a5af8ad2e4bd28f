"""Training beside a plain loop of the reference's recipe: same network, patches, batch and machine, in turns.

    python -m bench.training [--network unet_xy] [--patch 36,108,108] [--batch 1] [--rounds 5]
                             [--device cpu] [--precisions float32,bfloat16]

Both take the same batch from the same weights first, and have to give the same loss. Then their steps are timed in
turns, and what it takes each to prepare a patch. Written to bench/results/<device>/training.json and training.md.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import tifffile
import torch

import fastseg
from bench import training_loop
from bench.machine import folder_of, processor, revision
from bench.phantom import phantom
from fastseg.arrays import usable_cores
from fastseg.unet.module import Network
from fastseg.unet.networks.registry import architecture
from fastseg.unet.runner import check_precision
from fastseg.unet.torch_library import torch_device
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.items import find_items
from fastseg.unet.training.losses import make_loss
from fastseg.unet.training.optimize import Optimization, freeze
from fastseg.unet.training.sampling import SamplingSettings
from fastseg.unet.training.settings import LossSettings, OptimizerSettings
from fastseg.unet.training.stream import Batch, PatchStream

SHAPE = (48, 256, 256)
IMAGES = 4

LOOP = "loop"


def volumes() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Normalised phantoms, what is bright in them, and costs."""
    found = []
    for seed in range(IMAGES):
        image = phantom(SHAPE, seed)
        image = (image - image.min()) / (image.max() - image.min())
        cost = np.ones(SHAPE, np.float32)
        cost[:, :32] = 0
        found.append((image.astype(np.float32), (image > np.quantile(image, 0.97)).astype(np.uint8), cost))
    return found


def store(folder: Path, made: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    for number, arrays in enumerate(made, 1):
        for suffix, array in zip(("", "_GT", "_CM"), arrays, strict=True):
            path = folder / f"img_{number:03d}{suffix}.ome.tif"
            tifffile.imwrite(path, array, ome=True, metadata={"axes": "ZYX"}, compression="zlib")


def timed(call: Callable[[], Any], device: str) -> float:
    begun = perf_counter()
    call()
    if device != "cpu":
        torch.cuda.synchronize()
    return perf_counter() - begun


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of steps and patches of both.

    Raises
    ------
    SystemExit
        If the losses differ.
    """
    arch = architecture(options.network)
    size_in = tuple(int(n) for n in options.patch.split(","))
    arch.sizes.check(size_in)
    size_out = arch.sizes.size_out(size_in)
    device = str(torch_device(options.device))
    torch.set_num_threads(usable_cores())
    made = volumes()
    torch.manual_seed(0)
    plain = Network(arch.graph).to(device).train()
    runs = {name: optimization_of(plain, name) for name in options.precisions.split(",")}
    adam = torch.optim.Adam(plain.parameters(), lr=1e-5, weight_decay=0.005)
    patches = training_loop.buffer(made, size_in, size_out, max(8, options.batch), 0)
    image, truth, cost = next(training_loop.batches(patches, options.batch, 0))
    batch = Batch(image.to(device), truth.long().to(device), cost.to(device))
    losses = {LOOP: training_loop.step(plain, adam, (image, truth, cost), device)}
    for name, run in runs.items():
        losses[name] = float(run.step(batch, 1e-5))
        tolerance = 1e-4 if name == "float32" else 3e-2
        if abs(losses[name] - losses[LOOP]) > tolerance * abs(losses[LOOP]):
            sys.exit(f"the losses differ: {losses[LOOP]} by the plain loop, {losses[name]} in {name}")
    # reading the loss is part of a step; in a run, fastseg reads that of the step before
    calls: dict[str, Callable[[], Any]] = {
        LOOP: lambda: training_loop.step(plain, adam, (image, truth, cost), device),
        **{name: lambda r=run: float(r.step(batch, 1e-5)) for name, run in runs.items()},  # type: ignore[misc]
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.rounds):
        for name, call in calls.items():
            seconds[name].append(timed(call, device))
    return {
        "losses": losses,
        "step": {name: {"median": median(s), "least": min(s)} for name, s in seconds.items()},
        "patch": patch_seconds(made, size_in, size_out, options, device),
        "size_out": size_out,
    }


def optimization_of(plain: Network, precision: str) -> Optimization:
    """Fastseg's training of a copy of a network, in the layout that it takes in this precision."""
    device = next(plain.parameters()).device
    network = Network(plain.graph)
    network.load_state_dict(plain.state_dict())
    loss = make_loss(LossSettings(), len(plain.graph.outputs))
    freeze(network, loss.outputs, False)
    half = check_precision(precision, torch_device(str(device))) in ("bfloat16", "float16")
    order = torch.channels_last_3d if half else torch.contiguous_format
    network = network.to(device, memory_format=order).train()
    return Optimization(network, network, loss, OptimizerSettings(), precision)


def patch_seconds(
    made: Any, size_in: Any, size_out: Any, options: argparse.Namespace, device: str
) -> dict[str, float]:
    """Seconds to prepare a patch: the loop's in one refill, fastseg's with its own variations and with the loop's."""
    count = 8 * max(1, options.batch)
    found = {"loop": timed(lambda: training_loop.buffer(made, size_in, size_out, count, 1), device) / count}
    kinds = {
        "fastseg": (SamplingSettings(patches=count), AugmentationSettings()),
        "fastseg, the reference's variations": (
            SamplingSettings.reference(patches=count),
            AugmentationSettings.reference(),
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder), made)
        items = find_items(folder)
        for name, (sampling, augmentation) in kinds.items():
            with PatchStream(
                items,
                sampling,
                augmentation,
                size_in=size_in,
                size_out=size_out,
                channels=1,
                batch=options.batch,
                seed=0,
                device=device,
            ) as stream:
                list(stream.epoch(0))  # decodes the files
                found[name] = timed(lambda s=stream: list(s.epoch(1)), device) / count  # type: ignore[misc]
    return found


def table(report: dict[str, Any]) -> str:
    """The figures for people."""
    step, patch = report["step"], report["patch"]
    batch = report["batch"]
    lines = [
        "# Training",
        "",
        f"{report['network']}, patches of {report['patch_size']}, {batch} a step, {report['device']}, "
        f"{report['date']}, {report['revision']}, PyTorch {report['torch']};",
        f"median of {report['rounds']} rounds in turns.",
        "",
        "| | seconds a step | images (patches) a second |",
        "|---|---|---|",
    ]
    for name, times in step.items():
        label = "plain loop of the reference's recipe" if name == LOOP else f"fastseg, {name}"
        lines.append(f"| {label} | {times['median']:.3f} | {batch / times['median']:.3f} |")
    lines += ["", "| | seconds to prepare a patch |", "|---|---|"]
    lines += [
        f"| {'plain loop of the reference' if name == LOOP else name} | {seconds:.4f} |"
        for name, seconds in patch.items()
    ]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="unet_xy", choices=("unet_xy", "unet_xy_zoom"))
    parser.add_argument("--patch", default="36,108,108")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", default="float32,bfloat16")
    options = parser.parse_args()
    cpu = str(torch_device(options.device)) == "cpu"
    device = processor() if cpu else torch.cuda.get_device_name()
    report = {
        "device": device,
        "date": datetime.now(UTC).date().isoformat(),
        "revision": revision(),
        "command": "python -m bench.training " + " ".join(sys.argv[1:]),
        "fastseg": fastseg.__version__,
        "torch": torch.__version__,
        "network": options.network,
        "patch_size": options.patch,
        "batch": options.batch,
        "rounds": options.rounds,
        **measure(options),
    }
    place = folder_of(device)
    place.mkdir(parents=True, exist_ok=True)
    (place / "training.json").write_text(json.dumps(report, indent=1) + "\n")
    (place / "training.md").write_text(table(report))
    print(table(report))


if __name__ == "__main__":
    main()
