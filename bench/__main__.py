"""Benchmark of fastseg beside its peers; results under bench/results/<device>/.

python -m bench [--only PATTERN] [--groups operators,workflows] [--size Z,Y,X] [--device cpu|cuda] [--no-peers]
python -m bench --smoke      tiny arrays: answers only
python -m bench --report     write the report and the plots again from the saved results
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import cases, environment, machine
from bench.arrays import Shape
from bench.cases import Case
from bench.commands import measure_command
from bench.lineup import FASTSEG, LOOP, REFERENCE, lineup
from bench.protocol import WorkerError
from bench.report import markdown, memory_of, seconds_of, speedup
from bench.runner import Effort, Runner
from bench.smoke import smoke
from bench.store import Store
from bench.throughput import WORKFLOW, measure_throughput

GROUPS = ("operators", "objects", "sizes", "workflows", "unet", "commands", "throughput")
# One of each kind: filaments, spots, objects, cutting, seeded watershed, and the slowest.
COMMANDS = ("sec61b", "tomm20", "npm1", "cetn2", "lmnb1_interphase", "son", "actb", "nup153")


def _shape(text: str) -> Shape:
    numbers = tuple(int(n) for n in text.split(",")) if re.fullmatch(r"\d+,\d+,\d+", text) else ()
    if len(numbers) != 3 or min(numbers) < 4:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no size: three numbers of at least 4, such as 64,512,512"
        )
    return numbers


def _groups(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in GROUPS:
            raise argparse.ArgumentTypeError(f"'{name}' is no group: {', '.join(GROUPS)}")
    return names


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--groups", type=_groups, default=list(GROUPS), help=f"some of {', '.join(GROUPS)}; all by default")
    add("--only", default="", metavar="PATTERN", help="cases whose name contains this regular expression")
    add("--size", type=_shape, default=(64, 512, 512), metavar="Z,Y,X", help="of operators; 64,512,512")
    add("--workflow-size", type=_shape, default=(32, 256, 256), metavar="Z,Y,X", help="32,256,256")
    add("--network-size", type=_shape, default=(38, 200, 200), metavar="Z,Y,X", help="38,200,200")
    add("--repeats", type=int, default=5, help="timed rounds; 5")
    add(
        "--budget",
        type=float,
        default=45.0,
        help="seconds of a contender on a case before it leaves the rounds; 45",
    )
    add("--limit", type=float, default=240.0, help="seconds after which a call is ended; 240")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--no-peers", action="store_true", help="only what this environment holds")
    add("--no-memory", action="store_true", help="do not measure peak memory")
    add("--no-first", action="store_true", help="do not measure compilation")
    add("--resume", action="store_true", help="skip cases that have results")
    add("--list", action="store_true", help="print the names of the cases")
    add(
        "--report", action="store_true", help="write report and plots from the saved results, measure nothing"
    )
    add("--smoke", action="store_true", help="tiny arrays: compare answers, write nothing")
    return parser.parse_args(arguments)


def device_of(kind: str) -> str:
    """Name of the device for the report.

    Raises
    ------
    SystemExit
        If there is no CUDA device.
    """
    if kind == "cpu":
        return machine.processor()
    from fastseg.arrays.device import cuda_devices, why_no_cuda

    found = cuda_devices()
    if not found:
        sys.exit(f"--device cuda: {why_no_cuda()}")
    return found[0].name


def peers_of(options: argparse.Namespace) -> Path | None:
    """Interpreter of the peers, built if need be; None if they are not wanted.

    Raises
    ------
    SystemExit
        If they are wanted and cannot be had.
    """
    if options.no_peers or options.groups == ["unet"] or (options.smoke and not environment.is_built()):
        return None
    try:
        return environment.build()
    except environment.NoPeersError as error:
        sys.exit(str(error))


def monai_of(options: argparse.Namespace) -> Path | None:
    """Folder of MONAI, installed if need be; None where no network is run or no peers are wanted."""
    if options.no_peers or options.smoke or "unet" not in options.groups:
        return None
    try:
        return environment.build_monai()
    except environment.NoPeersError as error:
        sys.exit(str(error))


Measure = Callable[[], dict[str, Any]]


def plan(options: argparse.Namespace, runner: Runner, peers: Path | None) -> Iterator[tuple[str, Measure]]:
    """Keys of the wanted results, each with the call that measures it."""
    from fastseg.workflow.load import library_names

    small, effort = options.workflow_size, runner.effort
    chosen: list[Case] = []
    for group, made in (
        ("operators", cases.operators(options.size)),
        ("objects", cases.objects(options.size)),
        ("sizes", cases.sizes(options.size)),
        ("workflows", cases.workflows(small, library_names())),
        ("unet", cases.networks(options.network_size)),
    ):
        chosen += made if group in options.groups else []
    every: list[tuple[str, Measure]] = [(case.key, lambda c=case: runner.measure(c)) for case in chosen]  # type: ignore[misc]
    text = "x".join(str(n) for n in small)
    if "commands" in options.groups:
        every += [
            (
                f"command {name} @ {text}",
                lambda n=name: measure_command(n, small, options.device, peers, effort),  # type: ignore[misc]
            )
            for name in COMMANDS
        ]
    if "throughput" in options.groups:
        every.append(
            (f"throughput {WORKFLOW} @ {text}", lambda: measure_throughput(small, options.device, peers))
        )
    return ((key, measure) for key, measure in every if re.search(options.only, key))


def line(key: str, row: dict[str, Any]) -> str:
    """One result in one line for the screen."""
    ours, other = seconds_of(row, FASTSEG), LOOP if row["group"] == "unet" else REFERENCE
    times = speedup(row, other)
    words = [f"{key:58s}", f"{ours:9.4f} s" if ours else "  no time  "]
    words.append(f"{times:7.1f}x {other}" if times else " " * 18)
    memory = memory_of(row)
    words.append(f"{memory:5.1f} stacks" if memory is not None else "")
    return "  ".join(words).rstrip()


def write(store: Store) -> None:
    """Report and plots of all saved results."""
    (store.folder / "benchmark.md").write_text(markdown(store.device, store.rows.values()))
    try:
        from bench.plots import draw

        draw(store.folder, store.device, store.rows.values())
    except ImportError:
        print("no plots: matplotlib is not installed (the 'bench' extra)")
    print(f"written to {store.folder}")


def main() -> None:
    """Run what was asked for."""
    options = parse()
    peers = None if options.report or options.list else peers_of(options)
    if options.smoke:
        problems = smoke(lineup(options.device, peers), options.only)
        sys.exit("\n".join(problems) if problems else 0)
    device = device_of(options.device)
    store = Store(machine.folder_of(device), device)
    effort = Effort(
        options.repeats, options.budget, options.limit, not options.no_memory, not options.no_first
    )
    monai = None if options.report or options.list else monai_of(options)
    runner = Runner(lineup(options.device, peers, monai), effort)
    wanted = list(plan(options, runner, peers)) if not options.report else []
    if options.list:
        print("\n".join(key for key, _ in wanted))
        return
    common: dict[str, Any] = {}
    try:
        for key, measure in wanted:
            if options.resume and key in store:
                continue
            if not common:
                common = {
                    "revision": machine.revision(),
                    "threads": machine.cores(),
                    "bandwidth": runner.bandwidth(),
                }
            try:
                row = measure() | common
            except (WorkerError, RuntimeError) as error:
                print(f"{key}: {error}", flush=True)
                continue
            row["versions"] = {name: runner.versions(name) for name in row["contenders"]}
            store.add(key, row)
            print(line(key, row), flush=True)
    finally:
        runner.close()
    write(store)


if __name__ == "__main__":
    main()
