"""Running a network a few planes at a time: in which order, and what is held between.

Where nothing strides along Z, or strides divide what arrives, every layer can work on planes as they come: a
convolution keeps the last two planes that it has seen, the short way of a skip connection waits in a queue for the long
one. The result is that of the whole patch, no plane is computed twice, and memory grows with the area of a patch but
hardly with its depth; deep patches waste nothing at tile borders along Z, and wide ones less in the plane.

The schedule is plain data: the network follows it with tensors, the memory model with numbers of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod

from fastseg.unet.graph import INPUT, Graph, Layer, Triple

DEPTH = 8
"""Planes of the input that arrive at one time. Fewer save little memory and cost copies; more bring no speed."""

_FLOAT = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class Edge:
    """The way of a result into a layer.

    Attributes
    ----------
    layer, slot : str, int
        The layer, and which of its inputs this is.
    source : str
    planes : (start, stop)
        The planes of the source that the layer uses: a skip connection leaves out some at both ends.
    area : (y, x)
        Rows and columns that it uses, in the middle.
    """

    layer: str
    slot: int
    source: str
    planes: tuple[int, int]
    area: tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One run of a layer.

    Attributes
    ----------
    layer : Layer
    takes, drops : tuple of int
        Planes read from the front of each input's queue, and how many of them are needed no longer.
    start, stop : int
        The planes of the layer's result that this gives.
    """

    layer: Layer
    takes: tuple[int, ...]
    drops: tuple[int, ...]
    start: int
    stop: int

    @property
    def gives(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Schedule:
    """How a patch goes through a network.

    Attributes
    ----------
    graph : Graph
        Without normalisations.
    size : (z, y, x)
        Of the patch.
    outputs : tuple of int
    sizes : dict of str to (z, y, x)
        Of the whole result of every layer.
    edges : dict of str to tuple of Edge
        By source.
    rounds : tuple of tuple of Step
        What is done after each arrival of `depth` planes of the image.
    depth : int
    """

    graph: Graph
    size: Triple
    outputs: tuple[int, ...]
    sizes: dict[str, Triple] = field(repr=False)
    edges: dict[str, tuple[Edge, ...]] = field(repr=False)
    rounds: tuple[tuple[Step, ...], ...] = field(repr=False)
    depth: int = DEPTH

    def arrivals(self) -> Iterator[tuple[int, int]]:
        """The planes of the image that come before each round."""
        for start in range(0, self.size[0], self.depth):
            yield start, min(start + self.depth, self.size[0])


@lru_cache(maxsize=256)
def make_schedule(graph: Graph, size: Triple, outputs: tuple[int, ...], depth: int = DEPTH) -> Schedule:
    """The order in which a patch is computed `depth` planes at a time.

    Parameters
    ----------
    graph : Graph
        Without normalisations; transposed convolutions do not overlap along Z, as in all networks here.
    size : (z, y, x)
        A valid size; SizeError otherwise.
    outputs : tuple of int
        Those that are wanted.
    depth : int
    """
    layers = graph.needed(outputs)
    sizes = graph.sizes(size, outputs)
    edges: dict[str, list[Edge]] = {}
    for layer in layers:
        for slot, source in enumerate(layer.inputs):
            edges.setdefault(source, []).append(_edge(layer, slot, source, sizes))
    queue = {(e.layer, e.slot): 0 for found in edges.values() for e in found}
    seen = dict.fromkeys(sizes, 0)

    def arrive(source: str, start: int, stop: int) -> None:
        for edge in edges.get(source, ()):
            low, high = edge.planes
            queue[edge.layer, edge.slot] += max(0, min(stop, high) - max(start, low))
        seen[source] = stop

    rounds = []
    for start in range(0, size[0], depth):
        arrive(INPUT, start, min(start + depth, size[0]))
        steps = []
        for layer in layers:
            waiting = [queue[layer.name, slot] for slot in range(len(layer.inputs))]
            gives, takes, drops = _run(layer, waiting)
            if gives < 1:
                continue
            for slot, dropped in enumerate(drops):
                queue[layer.name, slot] -= dropped
            first = seen[layer.name]
            steps.append(Step(layer, takes, drops, first, first + gives))
            arrive(layer.name, first, first + gives)
        rounds.append(tuple(steps))
    return Schedule(
        graph, size, outputs, sizes, {k: tuple(v) for k, v in edges.items()}, tuple(rounds), depth
    )


def _edge(layer: Layer, slot: int, source: str, sizes: dict[str, Triple]) -> Edge:
    have = sizes[source]
    used = have
    if layer.kind == "crop" or slot == 1:
        used = sizes[layer.name]
    start = (have[0] - used[0]) // 2
    return Edge(layer.name, slot, source, (start, start + used[0]), used[1:])


def _run(layer: Layer, waiting: Sequence[int]) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Planes that a layer can give, those it takes for them from each queue, and those it then drops."""
    kernel, stride = layer.kernel[0], layer.stride[0]
    if layer.kind == "conv":
        gives = max(0, waiting[0] - kernel + 1)
        return gives, (gives + kernel - 1,), (gives,)
    if layer.kind == "pool":
        gives = waiting[0] // stride
        return gives, (gives * stride,), (gives * stride,)
    if layer.kind == "up":
        return waiting[0] * stride, (waiting[0],), (waiting[0],)
    both = min(waiting)
    return both, (both,) * len(waiting), (both,) * len(waiting)


def streamed_bytes(graph: Graph, size_in: Triple, outputs: tuple[int, ...] = (0,)) -> int:
    """Memory of one float32 patch at the worst moment of its schedule, without weights.

    Image and scores of the patch are whole; between them there are queues, the inputs and the result of the layer
    that runs, and what it needs to join them.
    """
    z, y, x = size_in
    scores = graph.sizes(size_in, outputs)
    whole = graph.channels * z * y * x
    whole += sum(graph.channels_of(graph.outputs[i]) * prod(scores[graph.outputs[i]]) for i in outputs)
    # once every layer has had its first planes, all rounds are alike: deeper patches hold no more between the layers
    period = prod(layer.stride[0] for layer in graph.layers if layer.kind == "pool")
    margin = z - scores[graph.outputs[outputs[0]]][0]
    beyond = max(0, z - margin - 4 * DEPTH) // period * period
    return _FLOAT * whole + _between(graph, (z - beyond, y, x), outputs)


@lru_cache(maxsize=1024)
def _between(graph: Graph, size_in: Triple, outputs: tuple[int, ...]) -> int:
    """Bytes of queues and of the layer that runs."""
    plan = make_schedule(graph, size_in, outputs)

    def plane(name: str, area: Sequence[int]) -> int:
        return _FLOAT * graph.channels_of(name) * prod(area)

    one = {
        (e.layer, e.slot): 0 if source == INPUT else plane(source, e.area)
        for source, found in plan.edges.items()
        for e in found
    }
    held = peak = 0
    for steps in plan.rounds:
        for step in steps:
            name = step.layer.name
            coming = sum(
                one[e.layer, e.slot] * max(0, min(step.stop, e.planes[1]) - max(step.start, e.planes[0]))
                for e in plan.edges.get(name, ())
            )
            going = sum(n * one[name, slot] for slot, n in enumerate(step.drops))
            if step.layer.kind not in ("relu", "crop"):  # those work in place
                result = step.gives * plane(name, plan.sizes[name][1:])
                # what was waiting and what has come are put together before a layer that needs neighbours runs
                joined = sum(n * one[name, slot] for slot, n in enumerate(step.takes))
                peak = max(peak, held + joined + max(result, coming))
            held += coming - going
            peak = max(peak, held)
    return peak
