"""Planning before running: tiles that fit a memory budget, bytes per task, passes, and a refusal where nothing fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from fastseg.errors import UsageError
from fastseg.tiling.grid import Grid
from fastseg.tiling.passes import on_axes
from fastseg.tiling.program import Node, Stage, base, stages
from fastseg.tiling.rules import Labels, Local, Objects, Reduce, Whole, kind_of
from fastseg.types import Box

_VOXEL = 4.0
"""Bytes of a voxel of an intermediate image; masks take less."""

_LABEL_BYTES = 40.0
"""Bytes a voxel of a labelling task: mask, local labels, their int64 positions and the looked-up decisions."""

_OBJECT_BYTES = 40.0
"""Bytes a voxel of an object-wise task: labels, crops, distances, the queue of the flood."""

_SMALLEST = 16
"""Tiles are not made smaller than this along an axis, unless the volume is."""

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
    tile, halo : tuple of int
    tasks : int
    task_bytes : int
        Predicted memory of one task.
    read_bytes, written_bytes : int
        Of the whole stage, halos included.
    held_bytes : int
        Intermediate volumes that exist while the stage runs.
    """

    steps: tuple[str, ...]
    kind: str
    tile: tuple[int, ...]
    halo: tuple[int, ...]
    tasks: int
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
    """

    shape: tuple[int, ...]
    tile: tuple[int, ...]
    stages: tuple[StagePlan, ...]

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
    plans = []
    for i, stage in enumerate(found):
        written = {name: int(prod(shapes[name]) * _VOXEL) for name in stage.writes}
        held |= written
        plans.append(_stage_plan(stage, shapes, tile, written, held))
        held = {name: size for name, size in held.items() if last.get(name, -1) > i}
    largest = Grid.over(shape, tile).tile
    return Plan(tuple(shape), largest, tuple(plans))


def _shapes(nodes: Sequence[Node], shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shape of every node's volume; program inputs have the shape of the image, statistics none."""
    found: dict[str, tuple[int, ...]] = {}
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
    names = [shapes[n] for n in stage.reads if shapes.get(n)]
    if names:
        return names[0]
    own = shapes[stage.nodes[0].name]
    return own or max(shapes.values(), key=len)


def _stage_plan(
    stage: Stage,
    shapes: Mapping[str, tuple[int, ...]],
    tile: Sequence[int] | None,
    written: Mapping[str, int],
    held: Mapping[str, int],
) -> StagePlan:
    shape = _shape_of_stage(stage, shapes)
    node = stage.nodes[0]
    grid = Grid.over(shape, None if isinstance(node.rule, Whole) else tile)
    grid = grid.of_planes() if stage.planes else grid
    halo = tuple(
        max((on_axes(h, len(shape))[a] for h in stage.reads.values()), default=0) for a in range(len(shape))
    )
    if isinstance(node.rule, Objects):
        halo = (node.rule.margin,) * len(shape)
    core = _middle_tile(grid)
    read = sum(
        prod(core.grow(on_axes(h, len(shape)), shape).shape)
        for name, h in stage.reads.items()
        if shapes.get(name, shape)
    )
    volumes = max(1, len([n for n in stage.reads if shapes.get(n, shape)]))
    return StagePlan(
        steps=tuple(dict.fromkeys(n.step or n.name for n in stage.nodes)),
        kind="Planes" if stage.planes else "Local" if stage.fused else kind_of(node.rule),
        tile=grid.tile,
        halo=halo,
        tasks=len(grid),
        task_bytes=int(_task_bytes(stage, core, shape, volumes)),
        read_bytes=int(read * _VOXEL * len(grid)),
        written_bytes=sum(written.values()),
        held_bytes=sum(held.values()),
    )


def _middle_tile(grid: Grid) -> Box:
    """A tile with as many neighbours as any."""
    return grid.box(tuple(max(0, c // 2 - (1 if c == 2 else 0)) for c in grid.counts))


def _task_bytes(stage: Stage, core: Box, shape: tuple[int, ...], volumes: int) -> float:
    node = stage.nodes[0]
    voxels = prod(core.shape)
    if isinstance(node.rule, Labels):
        return voxels * (_LABEL_BYTES + _VOXEL * volumes)
    if isinstance(node.rule, Objects):
        return voxels * (_OBJECT_BYTES + node.scratch + _VOXEL * volumes)
    if isinstance(node.rule, Whole):
        return voxels * (node.scratch + _VOXEL * (volumes + 1))
    return _fused_bytes(stage, core, shape)


def _fused_bytes(stage: Stage, core: Box, shape: tuple[int, ...]) -> float:
    """Peak of what a fused task holds, following the life of every block."""
    ndim = len(shape)

    def size(halo: tuple[int, ...]) -> float:
        return prod(core.grow(on_axes(halo, ndim), shape).shape) * _VOXEL  # type: ignore[arg-type]

    held: dict[str, float] = {name: size(h) for name, h in stage.reads.items()}
    last = {name: i for i, node in enumerate(stage.nodes) for name in node.inputs}
    peak = sum(held.values())
    for i, node in enumerate(stage.nodes):
        own = node.rule.halo(node.params)
        wide = tuple(a + b for a, b in zip(stage.growth[node.name], own, strict=True))
        working = size(wide) * (1 + node.scratch / _VOXEL)
        result = 0.0 if isinstance(node.rule, Reduce) else size(stage.growth[node.name])
        peak = max(peak, sum(held.values()) + working + result)
        if result:
            held[node.name] = result
        held = {name: n for name, n in held.items() if last.get(name, -1) > i}
    return peak


def fit(
    nodes: Sequence[Node], shape: Sequence[int], wanted: Sequence[str], budget: int, tasks: int = 1
) -> Plan:
    """The plan with the largest tiles of which `tasks` fit into a memory budget at one time.

    Parameters
    ----------
    nodes, shape, wanted
        As in `make_plan`.
    budget : int
        Bytes for all processes together.
    tasks : int
        Processes that run at one time.

    Raises
    ------
    UsageError
        If no tile fits; it names the step, what it needs and what would help.
    """
    room = budget // tasks - PROCESS
    if room <= 0:
        raise UsageError(
            f"a memory budget of {readable(budget)} for {tasks} process{'es' if tasks > 1 else ''} is too small: one "
            f"takes {readable(PROCESS)} before it has read anything"
        )
    tile = tuple(int(n) for n in shape)
    while True:
        plan = make_plan(nodes, shape, wanted, tile)
        if plan.task_bytes <= room:
            return plan
        smaller = _halved(tile, plan, room)
        if smaller is None:
            raise UsageError(_refusal(plan, room, budget, tasks))
        tile = smaller


def _halved(tile: tuple[int, ...], plan: Plan, room: int) -> tuple[int, ...] | None:
    """The tile with its longest axis halved; None if that cannot help."""
    too_big = [stage for stage in plan.stages if stage.task_bytes > room]
    if any(stage.kind == "Whole" for stage in too_big):
        return None
    axes = range(1) if all(stage.kind == "Planes" for stage in too_big) else range(len(tile))
    axis = max(axes, key=lambda a: (tile[a], -a))
    if tile[axis] <= (1 if len(axes) == 1 else _SMALLEST):
        return None
    sides = list(tile)
    sides[axis] = -(-tile[axis] // 2)
    return tuple(sides)


def _refusal(plan: Plan, room: int, budget: int, tasks: int) -> str:
    worst = max(plan.stages, key=lambda stage: stage.task_bytes)
    reason = {
        "Whole": "it needs the whole volume at once",
        "Planes": "it needs whole planes",
    }.get(worst.kind, f"with the smallest tile {worst.tile} and a halo of {worst.halo}")
    help_ = f"give --memory at least {readable((worst.task_bytes + PROCESS) * tasks)}"
    if tasks > 1:
        help_ += ", or fewer workers"
    return (
        f"step '{', '.join(worst.steps)}' needs {readable(worst.task_bytes)} a task ({reason}) and {readable(room)} of "
        f"the budget of {readable(budget)} are left for it: {help_}"
    )


def readable(size: float) -> str:
    """Bytes in the unit that fits."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError
