"""A network on a patch, a few planes at a time: follows a `fastseg.unet.schedule.Schedule` with tensors."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fastseg.unet.graph import INPUT
from fastseg.unet.module import Network
from fastseg.unet.schedule import Edge, Schedule

_Z = 2
"""The axis of planes in (N, C, Z, Y, X)."""


class _Queue:
    """Planes that wait for a layer. In channels-last order planes lie one after another: parts of them are views."""

    def __init__(self, edge: Edge, owned: bool) -> None:
        self.edge = edge
        self.owned = owned
        self.parts: list[Tensor] = []

    def push(self, result: Tensor, start: int) -> None:
        """Keep what the layer uses of planes `start` and following."""
        low, high = (
            max(start, self.edge.planes[0]),
            min(start + result.shape[_Z], self.edge.planes[1]),
        )
        if low >= high:
            return
        part = result.narrow(_Z, low - start, high - low)
        for axis, length in zip((3, 4), self.edge.area, strict=True):
            part = part.narrow(axis, (part.shape[axis] - length) // 2, length)
        # a view would keep all of the result alive while it waits
        smaller = self.owned and part.shape != result.shape
        self.parts.append(_copied(part) if smaller else part)

    def take(self, planes: int) -> Tensor:
        """The first planes, in one tensor."""
        found = []
        for part in self.parts:
            if planes > 0:
                found.append(part.narrow(_Z, 0, min(planes, part.shape[_Z])))
                planes -= found[-1].shape[_Z]
        return found[0] if len(found) == 1 else torch.cat(found, _Z)

    def drop(self, planes: int) -> None:
        """Forget the first planes."""
        while planes:
            part = self.parts.pop(0)
            if part.shape[_Z] > planes:
                rest = part.narrow(_Z, planes, part.shape[_Z] - planes)
                self.parts.insert(0, _copied(rest) if self.owned else rest)
                return
            planes -= part.shape[_Z]


def _copied(part: Tensor) -> Tensor:
    return part.clone(memory_format=torch.preserve_format)


def stream(network: Network, image: Tensor, schedule: Schedule) -> Iterator[tuple[int, int, Tensor]]:
    """Run a network in evaluation mode, planes by planes.

    Parameters
    ----------
    network : Network
        Whose graph is that of the schedule.
    image : Tensor (N, C, Z, Y, X)
        Of the schedule's size.
    schedule : Schedule

    Yields
    ------
    output : int
    start : int
        The first plane of the output that this is.
    scores : Tensor (N, classes, planes, Y', X')
        Class scores before softmax.
    """
    queues = {
        (edge.layer, edge.slot): _Queue(edge, source != INPUT)
        for source, edges in schedule.edges.items()
        for edge in edges
    }
    wanted = {schedule.graph.outputs[i]: i for i in schedule.outputs}
    for (start, stop), steps in zip(schedule.arrivals(), schedule.rounds, strict=True):
        for edge in schedule.edges[INPUT]:
            queues[edge.layer, edge.slot].push(image.narrow(_Z, start, stop - start), start)
        for step in steps:
            name = step.layer.name
            inputs = [queues[name, slot].take(n) for slot, n in enumerate(step.takes)]
            for slot, n in enumerate(step.drops):
                queues[name, slot].drop(n)
            source = step.layer.inputs[0]
            free = source != INPUT and len(schedule.edges[source]) == 1
            result = inputs[0] if step.layer.kind == "crop" else network.apply_layer(step.layer, inputs, free)
            del inputs
            if name in wanted:
                yield wanted[name], step.start, result
            for edge in schedule.edges.get(name, ()):
                queues[edge.layer, edge.slot].push(result, step.start)
            del result
