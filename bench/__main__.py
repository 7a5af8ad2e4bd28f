"""Benchmark of fastseg beside its peers; results under bench/results/<device>/.

python -m bench [--only PATTERN] [--groups operators,workflows] [--size Z,Y,X] [--device cpu|cuda] [--no-peers]
python -m bench --device cuda --no-peers --minutes 25    the most telling cases first, and no case after 25 minutes
python -m bench --smoke      tiny arrays: answers only
python -m bench --report     write reports and plots again from the saved results of all devices
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any

from bench import cases, environment, machine
from bench.arrays import Shape
from bench.cases import Case
from bench.commands import measure_command
from bench.disk import measure_disk
from bench.lineup import COMPOSITION, FASTSEG, LOOP, REFERENCE, lineup
from bench.protocol import WorkerError
from bench.report import markdown, memory_of, seconds_of, speedup
from bench.runner import Effort, Runner
from bench.smoke import smoke
from bench.store import Store, saved_stores
from bench.throughput import WORKFLOW, measure_throughput

GROUPS = {
    "cpu": ("operators", "objects", "sizes", "workflows", "unet", "commands", "throughput"),
    "cuda": (
        "resident",
        "operators",
        "disk",
        "objects",
        "throughput",
        "workflows",
        "sizes",
        "unet",
        "commands",
    ),
}
"""Measured by default on a kind of device, in this order."""
KNOWN = tuple(dict.fromkeys((*GROUPS["cpu"], *GROUPS["cuda"])))
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
        if name not in KNOWN:
            raise argparse.ArgumentTypeError(f"'{name}' is no group: {', '.join(KNOWN)}")
    return names


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--groups",
        type=_groups,
        help=f"some of {', '.join(KNOWN)}; by default all but resident and disk, on a CUDA device all",
    )
    add("--only", default="", metavar="PATTERN", help="cases whose name contains this regular expression")
    add(
        "--size",
        type=_shape,
        default=(64, 512, 512),
        metavar="Z,Y,X",
        help="of operators and commands; 64,512,512",
    )
    add("--workflow-size", type=_shape, default=(32, 256, 256), metavar="Z,Y,X", help="32,256,256")
    add("--field-size", type=_shape, default=cases.FIELD, metavar="Z,Y,X", help="of whole fields; 65,624,924")
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
    add("--minutes", type=float, default=float("inf"), help="begin no case after so many; all of them")
    add("--no-peers", action="store_true", help="only what this environment holds")
    add("--no-memory", action="store_true", help="do not measure peak memory")
    add("--no-first", action="store_true", help="do not measure compilation")
    add("--resume", action="store_true", help="skip cases that have results")
    add("--list", action="store_true", help="print the names of the cases")
    add(
        "--report",
        action="store_true",
        help="write reports and plots from the saved results of all devices, measure nothing",
    )
    add("--smoke", action="store_true", help="tiny arrays: compare answers, write nothing")
    options = parser.parse_args(arguments)
    options.groups = options.groups or list(GROUPS[options.device])
    return options


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
    """Folder of MONAI, installed if need be; None where no network is run.

    Without peers, that which this environment has, if it has one.
    """
    if options.smoke or "unet" not in options.groups:
        return None
    if options.no_peers:
        here = find_spec("monai")
        return Path(str(here.origin)).parents[1] if here else None
    try:
        return environment.build_monai()
    except environment.NoPeersError as error:
        sys.exit(str(error))


Measure = Callable[[], dict[str, Any]]


def plan(options: argparse.Namespace, runner: Runner, peers: Path | None) -> Iterator[tuple[str, Measure]]:
    """Keys of the wanted results, each with the call that measures it."""
    from fastseg.workflow.load import library_names

    small, effort = options.workflow_size, runner.effort
    field, on_device = options.field_size, options.device == "cuda"
    made: dict[str, list[Case]] = {
        "resident": cases.resident(field),
        "operators": cases.operators(options.size)
        + (cases.more_operators(options.size) if on_device else []),
        "objects": cases.objects(options.size),
        "sizes": cases.sizes(options.size),
        "workflows": cases.workflows(small, library_names()),
        "unet": cases.networks(options.network_size, on_device),
    }
    text, large, whole = ("x".join(str(n) for n in shape) for shape in (small, options.size, field))
    every: list[tuple[str, Measure]] = []
    for group in options.groups:
        every += [(case.key, partial(runner.measure, case)) for case in made.get(group, [])]
        if group == "commands":
            every += [
                (
                    f"command {name} @ {large}",
                    partial(measure_command, name, options.size, options.device, peers, effort),
                )
                for name in COMMANDS
            ]
        elif group == "throughput":
            key = f"throughput {WORKFLOW} @ {text}"
            every.append((key, lambda: measure_throughput(small, options.device, peers)))
        elif group == "disk":
            every += [
                (f"disk {name} @ {whole}", partial(measure_disk, name, field, options.device))
                for name, _ in cases.RESIDENT.values()
            ]
    return ((key, measure) for key, measure in every if re.search(options.only, key))


def line(key: str, row: dict[str, Any]) -> str:
    """One result in one line for the screen."""
    others = {"unet": LOOP, "resident": COMPOSITION}
    ours, other = seconds_of(row, FASTSEG), others.get(row["group"], REFERENCE)
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
    if options.report:
        for store in saved_stores():
            write(store)
        return
    peers = None if options.list else peers_of(options)
    if options.smoke:
        problems = smoke(lineup(options.device, peers), options.only)
        sys.exit("\n".join(problems) if problems else 0)
    effort = Effort(
        options.repeats,
        options.budget,
        options.limit,
        not options.no_memory,
        not options.no_first,
        # every process compiles CUDA kernels anew: measured where a whole workflow needs them
        ("resident",) if options.device == "cuda" else (),
        options.device != "cuda",
    )
    monai = None if options.list else monai_of(options)
    runner = Runner(lineup(options.device, peers, monai), effort)
    wanted = list(plan(options, runner, peers))
    if options.list:
        print("\n".join(key for key, _ in wanted))
        return
    device = device_of(options.device)
    store = Store(machine.folder_of(device), device)
    common: dict[str, Any] = {}
    begun = monotonic()
    try:
        for key, measure in wanted:
            if options.resume and key in store:
                continue
            if monotonic() - begun > 60 * options.minutes:
                print(f"{options.minutes:g} minutes are over before {key}: --resume goes on from there")
                break
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
