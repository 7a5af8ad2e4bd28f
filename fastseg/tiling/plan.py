"""Planning before running: tiles that fit a memory budget, bytes per task, passes, and a refusal where nothing fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil, prod

from fastseg.errors import UsageError
from fastseg.tiling.chunked import chunks_of
from fastseg.tiling.estimate import VOXEL, passes_of, task_bytes, voxels_read
from fastseg.tiling.grid import Grid
from fastseg.tiling.passes import on_axes
from fastseg.tiling.program import Node, Stage, base, stages
from fastseg.tiling.rules import Local, Objects, Reduce, Whole, kind_of

_SMALLEST = 16
"""Tiles are not made smaller than this along an axis, unless the volume is."""

_GOOD_SIZE = 1 << 20
"""Voxels of a tile whose halos do not weigh much; for less, fewer tasks run at one time."""

_TILES_A_TASK = 4
"""Tiles for each of the tasks that run at one time: the last ones to finish do not keep the others waiting long."""

PROCESS = 250 * 2**20
"""What a process takes before it has read a voxel: the interpreter, libraries and compiled kernels."""


@dataclass(frozen=True)
class StagePlan:
    """What a stage will do.

    Attributes
    ----------
    steps : tuple of str
        Steps of the workflow that take part.
    kind : str
        Tiling rule of a stage that is not fused; "Local" otherwise.
    shape : tuple of int
        Of the volumes.
    tile, halo : tuple of int
    tasks : int
        In every pass.
    passes : int
        How often the inputs are read: once, but for components and their tables.
    task_bytes : int
        Predicted memory of one task.
    read_bytes, written_bytes : int
        Of the whole stage, halos included.
    held_bytes : int
        Intermediate volumes that exist while the stage runs.
    """

    steps: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    tile: tuple[int, ...]
    halo: tuple[int, ...]
    tasks: int
    passes: int
    task_bytes: int
    read_bytes: int
    written_bytes: int
    held_bytes: int


@dataclass(frozen=True)
class Plan:
    """A program's stages over a volume.

    Attributes
    ----------
    shape, tile : tuple of int
        `tile` is the largest tile of any stage; it equals `shape` when everything fits in memory at once.
    stages : tuple of StagePlan
    room : int or None
        Bytes that a task may take; None where there is no budget.
    tasks : int
        Tasks that run at one time, in all processes together.
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    stages: tuple[StagePlan, ...]
    room: int | None = None
    tasks: int = 1

    @property
    def task_bytes(self) -> int:
        """Memory of the largest task."""
        return max(stage.task_bytes for stage in self.stages)

    @property
    def scratch_bytes(self) -> int:
        """Largest size of the intermediate volumes that exist at one time, uncompressed."""
        return max(stage.held_bytes for stage in self.stages)

    @property
    def whole(self) -> bool:
        return self.tile == self.shape


def make_plan(
    nodes: Sequence[Node], shape: Sequence[int], wanted: Sequence[str], tile: Sequence[int] | None = None
) -> Plan:
    """The plan of a program for a given tile.

    Parameters
    ----------
    nodes : sequence of Node
    shape : (z, y, x)
    wanted : sequence of str
    tile : 3 ints, optional
        One tile by default.
    """
    found = stages(nodes, wanted)
    shapes = _shapes(nodes, tuple(shape))
    last = {base(n): i for i, s in enumerate(found) for node in s.nodes for n in node.inputs}
    last |= {name: len(found) for name in wanted}
    held: dict[str, int] = {}
    chunks: dict[str, tuple[int, ...]] = {}
    plans = []
    for i, stage in enumerate(found):
        written = {name: int(prod(shapes[name]) * VOXEL) for name in stage.writes}
        held |= written
        plans.append(_stage_plan(stage, shapes, tile, written, held, chunks))
        chunks |= {name: chunks_of(plans[-1].tile, shapes[name]) for name in stage.writes}
        held = {name: size for name, size in held.items() if last.get(name, -1) > i}
    largest = Grid.over(shape, tile).tile
    return Plan(tuple(shape), largest, tuple(plans))


def _shapes(nodes: Sequence[Node], shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shape of every node's volume; program inputs have the shape of the image, statistics none."""
    made = {node.name for node in nodes}
    found = {name: shape for node in nodes for name in node.inputs if base(name) not in made}
    for node in nodes:
        first = next((found[n] for n in node.inputs if found.get(n)), shape)
        if isinstance(node.rule, Local):
            found[node.name] = node.rule.output_shape(first, node.params)
        elif isinstance(node.rule, Reduce):
            found[node.name] = first[1:] if node.rule.volume else ()
        else:
            found[node.name] = first
    return found


def _shape_of_stage(stage: Stage, shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    return next(shapes[name] for name in stage.reads if shapes.get(name))


def _stage_plan(
    stage: Stage,
    shapes: Mapping[str, tuple[int, ...]],
    tile: Sequence[int] | None,
    written: Mapping[str, int],
    held: Mapping[str, int],
    chunks: Mapping[str, tuple[int, ...]],
) -> StagePlan:
    shape = _shape_of_stage(stage, shapes)
    node = stage.nodes[0]
    grid = Grid.over(shape, None if isinstance(node.rule, Whole) else tile)
    grid = grid.of_planes() if stage.planes else grid
    volumes = {name: h for name, h in stage.reads.items() if shapes.get(name)}
    halos = [on_axes(h, len(shape)) for h in volumes.values()]
    margin = node.rule.margin if isinstance(node.rule, Objects) else 0
    halo = tuple(max(margin, *(h[axis] for h in halos)) for axis in range(len(shape)))
    passes, of_labels = passes_of(node)
    labels = int(prod(shape) * VOXEL) if of_labels else 0
    read = passes * sum(voxels_read(grid, h) for h in halos) * VOXEL + of_labels * labels
    return StagePlan(
        steps=tuple(dict.fromkeys(n.step or n.name for n in stage.nodes)),
        kind="Planes" if stage.planes else "Local" if stage.fused else kind_of(node.rule),
        shape=grid.shape,
        tile=grid.tile,
        halo=halo,
        tasks=len(grid),
        passes=passes,
        task_bytes=int(task_bytes(stage, grid, volumes, chunks)),
        read_bytes=int(read),
        written_bytes=sum(written.values()) + labels,
        held_bytes=sum(held.values()) + labels,
    )


def fit(
    nodes: Sequence[Node],
    shape: Sequence[int],
    wanted: Sequence[str],
    budget: int,
    tasks: int = 1,
    processes: int | None = None,
) -> Plan:
    """The plan with the largest tiles of which `tasks` fit into a memory budget at one time.

    Parameters
    ----------
    nodes, shape, wanted
        As in `make_plan`.
    budget : int
        Bytes for all processes together.
    tasks : int
        Tasks that run at one time, in all processes together.
    processes : int, optional
        Processes that share them: one a task by default, fewer where tasks are threads.

    Raises
    ------
    UsageError
        If no tile fits; it names the step, what it needs and what would help.
    """
    processes = tasks if processes is None else processes
    room = (budget - processes * PROCESS) // tasks
    if room <= 0:
        raise UsageError(
            f"a memory budget of {readable(budget)} for {processes} process{'es' if processes > 1 else ''} is too "
            f"small: one takes {readable(PROCESS)} before it has read anything"
        )
    tile = _shared_out(tuple(int(n) for n in shape), tasks)
    while True:
        plan = make_plan(nodes, shape, wanted, tile)
        if plan.task_bytes <= room:
            return replace(plan, room=room, tasks=tasks)
        smaller = _halved(tile, plan, room)
        if smaller is None:
            raise UsageError(_refusal(plan, room, budget, tasks, processes))
        tile = smaller


def fit_threads(
    nodes: Sequence[Node], shape: Sequence[int], wanted: Sequence[str], budget: int, most: int
) -> Plan:
    """The plan for one process that runs several tasks at one time, as many as leave tiles of a good size.

    Parameters
    ----------
    nodes, shape, wanted, budget
        As in `fit`.
    most : int
        Tasks at one time at most.

    Raises
    ------
    UsageError
        If no tile fits, not even for one task.
    """
    tasks = max(1, most)
    while tasks > 1:
        with suppress(UsageError):
            plan = fit(nodes, shape, wanted, budget, tasks, processes=1)
            if prod(plan.tile) >= min(_GOOD_SIZE, prod(plan.shape) // tasks):
                return plan
        tasks //= 2
    return fit(nodes, shape, wanted, budget, 1)


def _shared_out(shape: tuple[int, ...], tasks: int) -> tuple[int, ...]:
    """The largest tile that gives each of several tasks some tiles, as far as tiles stay of a good size."""
    tile = shape
    while tasks > 1 and len(Grid.over(shape, tile)) < _TILES_A_TASK * tasks:
        smaller = half_tile(tile)
        if smaller is None or prod(smaller) < _GOOD_SIZE:
            break
        tile = smaller
    return tile


def _halved(tile: tuple[int, ...], plan: Plan, room: int) -> tuple[int, ...] | None:
    """The tile with its longest axis halved; None if that cannot help."""
    for stage in plan.stages:
        if stage.task_bytes > room and _smallest(stage):
            return None
    return half_tile(tile)


def half_tile(tile: tuple[int, ...]) -> tuple[int, ...] | None:
    """A tile with its longest axis halved; None if no axis can be."""
    axis = max(range(len(tile)), key=lambda a: (tile[a], -a))
    if tile[axis] <= _SMALLEST:
        return None
    sides = list(tile)
    step = 2 * _SMALLEST if tile[axis] > 4 * _SMALLEST else _SMALLEST  # sides that chunks divide
    sides[axis] = -(-tile[axis] // (2 * step)) * step
    return tuple(sides)


def _smallest(stage: StagePlan) -> bool:
    """Whether no tile makes the tasks of a stage smaller."""
    return stage.kind == "Whole" or (stage.kind == "Planes" and stage.tile[0] == 1)


def _refusal(plan: Plan, room: int, budget: int, tasks: int, processes: int) -> str:
    too_big = [stage for stage in plan.stages if stage.task_bytes > room]
    worst = max(too_big, key=lambda stage: (_smallest(stage), stage.task_bytes))
    reason = {
        "Whole": "it needs the whole volume at once",
        "Planes": "it needs whole planes",
    }.get(worst.kind, f"with the smallest tile {worst.tile} and a halo of {worst.halo}")
    needed = worst.task_bytes * tasks + PROCESS * processes
    help_ = f"give --memory at least {readable(needed, up=True)}"
    if tasks > 1:
        help_ += ", or fewer workers" if processes > 1 else ", or fewer threads"
    return (
        f"step '{', '.join(worst.steps)}' needs {readable(worst.task_bytes)} a task ({reason}) and {readable(room)} of "
        f"the budget of {readable(budget)} are left for it: {help_}"
    )


def readable(size: float, up: bool = False) -> str:
    """Bytes in the unit that fits, to one decimal; rounded up if asked for, so that the text is enough."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            shown = ceil(size * 10) / 10 if up else size
            return f"{shown:.0f} {unit}" if unit == "B" else f"{shown:.1f} {unit}"
        size /= 1024
    raise AssertionError
