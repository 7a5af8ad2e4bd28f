"""Programs: rules joined by names, cut into stages that read each tile once and write it once.

A workflow, or a single operator, becomes a list of nodes. Nodes that need only a halo are fused into one stage as far
as they do not wait for a statistic of the whole volume; a stage reads its inputs with the halo that all of its nodes
need together. Components and whole-volume rules are stages of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastseg.errors import InputError
from fastseg.tiling.rules import Chain, Halo, Local, Reduce, Rule


@dataclass(frozen=True)
class Node:
    """One rule of a program.

    Attributes
    ----------
    name : str
        Unique; what other nodes call its result.
    rule : Rule
        Any but a chain.
    inputs : tuple of str
        Names of nodes or of the program's inputs; ``"<node>.emitted"`` is the statistic that a node emits.
    params : object
    step : str
        The step of the workflow that it belongs to.
    scratch : float
        Bytes per voxel that its array code needs beside inputs and output.
    """

    name: str
    rule: Any
    inputs: tuple[str, ...]
    params: Any
    step: str = ""
    scratch: float = 0.0


def flatten(
    name: str, rule: Rule, inputs: Mapping[str, str], params: Any, *, step: str = "", scratch: float = 0.0
) -> list[Node]:
    """The nodes of a rule.

    Parameters
    ----------
    name : str
        Name of the result.
    rule : Rule
        A chain becomes one node a link.
    inputs : mapping of str to str
        The operator's input names and what they are called in the program.
    params : object
    """
    if not isinstance(rule, Chain):
        return [Node(name, rule, tuple(inputs.values()), params, step, scratch)]
    links = list(rule.links(params, tuple(inputs)))
    names = dict(inputs)
    nodes = []
    for number, link in enumerate(links):
        own = name if number == len(links) - 1 else f"{name}/{link.name}"
        wanted = tuple(names[i] for i in link.inputs)
        names[link.name] = own
        names[f"{link.name}.emitted"] = f"{own}.emitted"
        nodes.append(
            Node(own, link.rule, wanted, params if link.params is None else link.params, step, scratch)
        )
    return nodes


def fusible(node: Node) -> bool:
    """Whether a node can share a stage: it needs a halo only, and does not change the shape."""
    if isinstance(node.rule, Local):
        return node.rule.output_shape is Local.output_shape
    return isinstance(node.rule, Reduce)


@dataclass
class Stage:
    """Nodes that are computed in one pass over the tiles.

    Attributes
    ----------
    nodes : list of Node
        In order. A node that cannot be fused is alone.
    reads : dict of str to Halo
        Volumes that are read, and with which halo.
    writes : tuple of str
        Nodes whose results later stages need as volumes.
    growth : dict of str to Halo
        How far beyond the core each node's result is needed inside the stage.
    planes : bool
        Tiles span whole planes.
    """

    nodes: list[Node]
    reads: dict[str, Halo] = field(default_factory=dict)
    writes: tuple[str, ...] = ()
    growth: dict[str, Halo] = field(default_factory=dict)
    planes: bool = False

    @property
    def fused(self) -> bool:
        return fusible(self.nodes[0])


@contextmanager
def blaming(node: Node) -> Iterator[None]:
    """Errors about the input say which step of the workflow found them."""
    try:
        yield
    except InputError as error:
        if not node.step or str(error).startswith("step '"):
            raise
        raise InputError(f"step '{node.step}': {error}") from error


def base(name: str) -> str:
    """The node that a name refers to."""
    return name.removesuffix(".emitted")


def _wider(a: Halo, b: Halo) -> Halo:
    return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2])


def summed(a: Halo, b: Halo) -> Halo:
    """Two halos, one beyond the other."""
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def levels(nodes: Sequence[Node], values: Iterable[str]) -> dict[str, int]:
    """The earliest pass in which each node can be computed.

    Parameters
    ----------
    nodes : sequence of Node
        In an order in which inputs come first.
    values : iterable of str
        Program inputs that are values, not volumes; they are there from the start, as all program inputs.
    """
    found: dict[str, int] = {}
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        level = 0
        for name in node.inputs:
            source = by_name.get(base(name))
            if source is None:
                continue
            same_pass = (
                fusible(node)
                and isinstance(source.rule, Local)
                and fusible(source)
                and source.rule.emits is None
                and not name.endswith(".emitted")
            )
            level = max(level, found[source.name] + (0 if same_pass else 1))
        found[node.name] = level
    return found


def stages(nodes: Sequence[Node], wanted: Iterable[str], fuse: bool = True) -> list[Stage]:
    """Cut a program into stages.

    Parameters
    ----------
    nodes : sequence of Node
        In an order in which inputs come first.
    wanted : iterable of str
        Nodes whose results are asked for.
    fuse : bool
        Put nodes of one pass into one stage; otherwise every node is a stage.

    Returns
    -------
    list of Stage
        In the order of execution.
    """
    level = levels(nodes, ())
    groups: dict[tuple[Any, ...], list[Node]] = {}
    order = {node.name: i for i, node in enumerate(nodes)}
    by_name = {node.name: node for node in nodes}
    users: dict[str, set[str]] = {}
    for node in nodes:
        for name in node.inputs:
            users.setdefault(name, set()).add(node.name)
    for node in nodes:
        key: tuple[Any, ...] = (level[node.name], order[node.name])
        if fuse and fusible(node):
            key = (level[node.name], -1, _shape_class(node, by_name))
        groups.setdefault(key, []).append(node)
    found = [
        Stage(group, planes=any(isinstance(n.rule, Local) and n.rule.planes for n in group))
        for _, group in sorted(groups.items(), key=lambda item: (item[0][0], order[item[1][0].name]))
    ]
    asked = set(wanted)
    for stage in found:
        _complete(stage, users, asked)
    return found


def _shape_class(node: Node, by_name: Mapping[str, Node]) -> str:
    """A name shared by nodes whose volumes have one shape: the last ancestor that may have changed it."""
    name = node.inputs[0]
    while True:
        source = by_name.get(name)
        if source is None or not isinstance(source.rule, Local) or not fusible(source):
            return name if source is None or _changes_shape(source) else _shape_class(source, by_name)
        name = source.inputs[0]


def _changes_shape(node: Node) -> bool:
    rule = node.rule
    return (isinstance(rule, Local) and not fusible(node)) or (isinstance(rule, Reduce) and rule.volume)


def _complete(stage: Stage, users: Mapping[str, set[str]], asked: set[str]) -> None:
    """Fill in what a stage reads and writes, and how far beyond the core each result is needed."""
    inside = {node.name for node in stage.nodes}
    stage.writes = tuple(
        node.name
        for node in stage.nodes
        if (node.name in asked or users.get(node.name, inside) - inside or not fusible(node))
        and not _gives_value(node)
    )
    growth: dict[str, Halo] = {node.name: (0, 0, 0) for node in stage.nodes}
    reads: dict[str, Halo] = {}
    for node in reversed(stage.nodes):
        halo = node.rule.halo(node.params) if isinstance(node.rule, Local | Reduce) else (0, 0, 0)
        need = summed(growth[node.name], halo)
        for name in node.inputs:
            if name in inside:
                growth[name] = _wider(growth[name], need)
            else:
                reads[name] = _wider(reads.get(name, (0, 0, 0)), need)
    stage.growth, stage.reads = growth, reads


def _gives_value(node: Node) -> bool:
    return isinstance(node.rule, Reduce) and not node.rule.volume
