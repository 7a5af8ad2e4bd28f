"""What a training step takes, and the patch and batch that are made for the images and the memory."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from fastseg.arrays import Device, free_bytes
from fastseg.unet.cost import parameters
from fastseg.unet.graph import Graph, Triple
from fastseg.unet.networks.registry import Architecture
from fastseg.unet.torch_library import import_torch

_FLOAT = 4

_LIBRARY = 300 * 2**20

_SHARE = {"cpu": 0.5, "cuda": 0.8}
"""Part of the free memory that a step may take when no batch is given."""

_LARGEST = {"cpu": 2, "cuda": 8}
"""Patches of a step that are chosen at most: a CPU is busy with one, a second steadies the batch statistics."""

_PLANES, _PERIODS, _SIDE = 16, 7, 48
"""Output of the patch that is chosen: planes; pooling strides in the plane, and voxels at least. For the published
networks this is what the reference advises for GPUs of 12 GB."""


def step_bytes(
    graph: Graph, size_in: Triple, outputs: Sequence[int], batch: int, item_size: int = _FLOAT
) -> int:
    """Memory of a training step: weights, gradients and moments, and what the way back needs of the way there.

    Parameters
    ----------
    graph : Graph
    size_in : (z, y, x)
    outputs : sequence of int
        That the loss takes.
    batch : int
    item_size : int
        Bytes of a stored number: 4, or 2 in half precision.
    """
    layers = graph.needed(outputs)
    sizes = graph.sizes(size_in, outputs)
    readers: dict[str, set[str]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, set()).add(layer.kind)
    kept, largest = 0, 0
    for layer in layers:
        own = layer.channels * prod(sizes[layer.name])
        largest = max(largest, own)
        if layer.kind == "pool":
            kept += 3 * own  # values, and where they came from as 64-bit numbers
        elif layer.kind in ("relu", "join") or (
            layer.kind in ("conv", "up") and readers.get(layer.name) != {"relu"}
        ):
            kept += own
    # on the way back: gradients on both sides of the largest layer, and copies in the library's own layout
    activations = batch * item_size * (kept + 4 * largest)
    return activations + 5 * _FLOAT * parameters(graph) + _LIBRARY


def choose_patch(arch: Architecture, smallest: Triple) -> Triple:
    """An input size for images of which the smallest along each axis has `smallest` voxels.

    The output is no larger than any image, where the network has such a size.
    """
    found = []
    for axis, (rule, length) in enumerate(zip(arch.sizes.axes, smallest, strict=True)):
        target = min(length, max(_SIDE, _PERIODS * rule.period) if axis else _PLANES)
        steps = max(0, (target - rule.smallest_output) // rule.period)
        found.append(rule.smallest + steps * rule.period)
    z, y, x = found
    return z, y, x


def choose_batch(
    arch: Architecture,
    size_in: Triple,
    outputs: Sequence[int],
    device: Device,
    devices: int,
    item_size: int = _FLOAT,
) -> int:
    """Patches of a step: a power of two for each device, as far as memory goes; at least one for each."""
    free = _free(device)
    if device.kind == "cpu":
        free //= devices
    own = _LARGEST[device.kind]
    while own > 1 and step_bytes(arch.graph, size_in, outputs, own, item_size) > _SHARE[device.kind] * free:
        own //= 2
    if device.kind == "cpu":  # processes on one machine do not make it larger
        own = max(1, own // devices)
    return own * devices


def _free(device: Device) -> int:
    if device.kind == "cpu":
        return free_bytes(device)
    return int(import_torch().cuda.mem_get_info(device.index)[0])
