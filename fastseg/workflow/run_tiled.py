"""Running a workflow on a volume that need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from fastseg.arrays import to_host
from fastseg.errors import InputError
from fastseg.tiling import Engine, Volume
from fastseg.tiling.block import Block
from fastseg.tiling.journal import Journal
from fastseg.tiling.plan import Plan, fit, fit_threads, make_plan
from fastseg.tiling.program import Node, Stage
from fastseg.tiling.rules import Reduce
from fastseg.tiling.statistics import kept, pieces
from fastseg.workflow.program import FOREGROUND, program_of, result_node
from fastseg.workflow.run import check_ratio
from fastseg.workflow.schema import Workflow

CHECK = "check the input"
COUNT = "count the foreground"


@dataclass(frozen=True)
class _Scan:
    """What was seen of an image: voxels, NaN and infinite ones, extremes of the others."""

    voxels: int
    nan: int
    infinite: int
    low: float
    high: float


def _scan_chunk(block: Block) -> _Scan:
    xp = block.ns.xp
    voxels = nan = infinite = 0
    low, high = np.inf, -np.inf
    for piece in pieces(kept(block)):
        finite = xp.isfinite(piece)
        bad = int(piece.size - xp.count_nonzero(finite))
        voxels += int(piece.size)
        if bad:
            nans = int(xp.count_nonzero(xp.isnan(piece)))
            nan, infinite = nan + nans, infinite + bad - nans
            piece = piece[finite]
        if piece.size:
            low, high = min(low, float(to_host(piece.min()))), max(high, float(to_host(piece.max())))
    return _Scan(voxels, nan, infinite, low, high)


def _scan_combine(a: _Scan, b: _Scan) -> _Scan:
    return _Scan(
        a.voxels + b.voxels, a.nan + b.nan, a.infinite + b.infinite, min(a.low, b.low), max(a.high, b.high)
    )


def _scan_finalize(scan: _Scan, values: tuple[Any, ...], params: Any) -> _Scan:
    if scan.nan or scan.infinite:
        raise InputError(
            f"the image holds {scan.nan} NaN and {scan.infinite} infinite voxels of {scan.voxels}; replace them first"
        )
    if scan.low == scan.high:
        raise InputError(f"the image is constant (every voxel is {scan.low:g}): there is nothing to segment")
    return scan


_SCAN = Reduce(_scan_chunk, _scan_combine, _scan_finalize)


def _count_chunk(block: Block) -> int:
    return int(block.ns.xp.count_nonzero(kept(block)))


def _count_combine(a: int, b: int) -> int:
    return a + b


def _count_finalize(count: int, values: tuple[Any, ...], params: Any) -> int:
    return count


_COUNT = Reduce(_count_chunk, _count_combine, _count_finalize)


@dataclass
class TiledOutcome:
    """What a tiled run produced.

    Attributes
    ----------
    result : Volume
    foreground : int
        Voxels of the result that are not 0.
    resumed : int
        Stages that an earlier run had finished.
    notes : list of str
        Remarks for the user.
    seconds : list of (steps, float)
        Time of every stage that was run.
    """

    result: Volume
    foreground: int
    resumed: int = 0
    notes: list[str] = field(default_factory=list)
    seconds: list[tuple[tuple[str, ...], float]] = field(default_factory=list)


@dataclass(frozen=True)
class StageEvent:
    """A stage is about to run: the steps that take part, its number from 0, and how many there are."""

    steps: tuple[str, ...]
    number: int
    total: int


def _quiet(event: StageEvent) -> None:
    pass


def program_for(
    workflow: Workflow, rescale: float | None = None, compat: bool = False
) -> tuple[list[Node], list[str]]:
    """The whole program of a workflow, with the check of its input, and what is wanted of it."""
    if workflow.rescale == "ignored":
        rescale = None
    nodes, names = program_of(workflow, workflow.ordered(), rescale, compat)
    source = workflow.inputs[0]
    check = Node(CHECK, _SCAN, (source,), None)
    result = result_node(workflow, names[workflow.result.step])
    count = Node(COUNT, _COUNT, (FOREGROUND,), None, workflow.result.step)
    return [check, *nodes, result, count], [FOREGROUND, CHECK, COUNT]


def plan_workflow(
    workflow: Workflow,
    shape: tuple[int, ...],
    *,
    rescale: float | None = None,
    compat: bool = False,
    tile: tuple[int, int, int] | None = None,
    memory: int | None = None,
    tasks: int = 1,
    processes: int | None = None,
) -> Plan:
    """The stages of a workflow on a volume, without running it.

    Parameters
    ----------
    workflow : Workflow
    shape : (z, y, x)
    rescale, compat
        As in `run_workflow`.
    tile : 3 ints, optional
        Forces the tile; otherwise the largest that fits `memory` is taken.
    memory : int, optional
        Bytes for all processes together; no limit by default.
    tasks : int
        Tasks that run at one time, in all processes together.
    processes : int, optional
        Processes that share them. By default this one alone, whose threads may then be fewer than `tasks`.

    Raises
    ------
    UsageError
        If nothing fits.
    """
    nodes, wanted = program_for(workflow, rescale, compat)
    if tile is not None or memory is None:
        return make_plan(nodes, shape, wanted, tile)
    if processes is None:
        return fit_threads(nodes, shape, wanted, memory, tasks)
    return fit(nodes, shape, wanted, memory, tasks, processes)


def run_tiled(
    workflow: Workflow,
    source: Volume,
    engine: Engine,
    *,
    rescale: float | None = None,
    compat: bool = False,
    output: Volume | None = None,
    on_stage: Callable[[StageEvent], None] = _quiet,
    journal: Journal | None = None,
    resumed: int | None = None,
) -> TiledOutcome:
    """Run a workflow stage by stage on a volume; the result is that of `run_workflow`, voxel by voxel.

    Parameters
    ----------
    workflow : Workflow
        Validated.
    source : Volume
        (Z, Y, X) float32, never written to.
    engine : Engine
        Its tile, executor and storage decide where and how the work is done.
    rescale, compat
        As in `run_workflow`.
    output : Volume, optional
        Where the result is written; a new volume of the engine's storage by default.
    on_stage : callable
        Called before every stage that is run.
    journal : Journal, optional
        Of an earlier run of the same workflow, parameters and image, whose finished stages are not run again; finished
        stages are recorded in it.
    resumed : int, optional
        How many of the finished stages an earlier run finished, where the journal holds some of this one's, too.

    Raises
    ------
    InputError
        If the image is unsuitable.
    UsageError
        If the ratio is out of range.
    GpuMemoryError
        If the memory of a GPU runs out. With the journal, and on smaller tiles, the run can go on.
    """
    check_ratio(rescale)
    notes = []
    if rescale is not None and workflow.rescale == "ignored":
        notes.append(f"workflow '{workflow.name}' does not rescale: the ratio {rescale:g} has no effect")
    nodes, wanted = program_for(workflow, rescale, compat)
    if resumed is None:
        resumed = 0 if journal is None else journal.read().stages
    if resumed:
        notes.append(f"stages 1 to {resumed} were finished by an earlier run")
    seconds: list[tuple[tuple[str, ...], float]] = []
    running: list[tuple[tuple[str, ...], float]] = []

    def begin(stage: Stage, number: int, total: int) -> None:
        _finish(running, seconds)
        steps = tuple(dict.fromkeys(node.step or node.name for node in stage.nodes))
        running.append((steps, perf_counter()))
        on_stage(StageEvent(steps, number, total))

    outputs = {} if output is None else {FOREGROUND: output}
    found = engine.run_program(nodes, {workflow.inputs[0]: source}, wanted, outputs, begin, journal)
    _finish(running, seconds)
    return TiledOutcome(found[FOREGROUND], found[COUNT], resumed, notes, seconds)


def _finish(
    running: list[tuple[tuple[str, ...], float]], seconds: list[tuple[tuple[str, ...], float]]
) -> None:
    if running:
        steps, started = running.pop()
        seconds.append((steps, perf_counter() - started))
