"""Does a small network, trained on part of a stack, beat every classic workflow on the rest of it?

    python -m bench.quality --data FOLDER [--stacks nuclei_hipsc,blastocyst_laminb1] [--seeds 0,1,2]
                            [--networks small,unet_xy,dynunet] [--work DIR] [--report]

FOLDER holds the stacks with their truth (see `stacks.py`). Every workflow segments the whole stack, plain and with
holes filled; the best is chosen in the held-out part, in its favour. Networks are trained on the other part, which
shares no object with it, by `fastseg train`, and the last model is judged. Results are saved run by run in
bench/results/<device>/quality.json; what is there is not run again. `--report` writes docs/training_quality.md and its
plots from them.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

import fastseg
from bench.machine import folder_of, processor, revision
from bench.quality import networks
from bench.quality.classics import classics, segment
from bench.quality.report import picture, write_report
from bench.quality.stacks import STACKS, Stack

SETTINGS = Path(__file__).with_name("settings")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stacks", default=",".join(STACKS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--networks", default="small", help=f"files of {SETTINGS.name}/, with commas")
    parser.add_argument("--work", type=Path, help="where runs are kept; a temporary folder by default")
    parser.add_argument("--report", action="store_true", help="write the page from the saved results")
    options = parser.parse_args(arguments)
    place = folder_of(processor()) / "quality.json"
    if options.report:
        write_report(json.loads(place.read_text()))
        return
    report = json.loads(place.read_text()) if place.exists() else {"device": processor(), "stacks": {}}
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        for name in options.stacks.split(","):
            stack = STACKS[name](options.data)
            stack.check()
            _study(stack, report, options, work, place)


def _study(stack: Stack, report: dict[str, Any], options: Any, work: Path, place: Path) -> None:
    """Everything that is not in the report yet, of one stack."""
    found = report["stacks"].setdefault(stack.name, {"title": stack.title, "runs": []})
    if "classics" not in found:
        found |= {
            "train_objects": stack.objects(stack.train),
            "test_objects": stack.objects(stack.test),
            "foreground": float((stack.labels[stack.test] > 0).mean()),
            "classics": [{"name": c.name, "dice": c.dice} for c in classics(stack)],
        }
        _save(report, place)
    for network in options.networks.split(","):
        settings = yaml.safe_load((SETTINGS / f"{network}.yaml").read_text())
        folder = work / f"{stack.name}-{network}"
        table = None
        for seed in map(int, options.seeds.split(",")):
            if any((run["network"], run["seed"]) == (network, seed) for run in found["runs"]):
                continue
            if table is None:
                shutil.rmtree(folder, ignore_errors=True)
                table = networks.prepare(stack, settings["data"]["normalization"], folder)
            run = networks.train(stack, table, settings, seed)
            found["runs"].append(
                {
                    "network": network,
                    "settings": settings,
                    "seed": seed,
                    "dice": run.dice,
                    "seconds": run.seconds,
                    "cpu_seconds": run.cpu_seconds,
                    "curve": run.curve,
                    "date": datetime.now(UTC).date().isoformat(),
                    "revision": revision(),
                    "fastseg": fastseg.__version__,
                }
            )
            print(
                f"{stack.name}, {network}, seed {seed}: Dice {run.dice:.4f}, {run.seconds:.0f} s", flush=True
            )
            _save(report, place)
            if seed == 0:
                picture(stack, network, segment(stack, found["classics"][0]["name"]), run.mask)


def _save(report: dict[str, Any], place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    report["command"] = " ".join(["python -m bench.quality --data FOLDER"])
    place.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
