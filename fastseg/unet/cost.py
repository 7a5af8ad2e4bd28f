"""What a network costs: parameters, arithmetic, memory, and how far its outputs see."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from fastseg.unet.graph import INPUT, Graph, Layer, Triple
from fastseg.unet.sizes import SizeRule

_FLOAT = 4
"""Bytes of a float32."""


def parameters(graph: Graph) -> int:
    """Number of learnable parameters."""
    total = 0
    for layer in graph.layers:
        if layer.kind in ("conv", "up"):
            total += layer.channels * (graph.channels_of(layer.inputs[0]) * prod(layer.kernel) + 1)
        elif layer.kind == "norm" and layer.affine:
            total += 2 * layer.channels
    return total


def multiplications(graph: Graph, size_in: Sequence[int], outputs: Iterable[int] = (0,)) -> int:
    """Multiply-accumulate operations of one patch; normalisation, ReLU and pooling are not counted."""
    outputs = tuple(outputs)
    sizes = graph.sizes(size_in, outputs)
    return sum(_work(graph, layer, sizes) for layer in graph.needed(outputs))


def _work(graph: Graph, layer: Layer, sizes: dict[str, Triple]) -> int:
    if layer.kind not in ("conv", "up"):
        return 0
    # every output voxel of a convolution, and every input voxel of a transposed one, meets the whole kernel
    voxels = prod(sizes[layer.name] if layer.kind == "conv" else sizes[layer.inputs[0]])
    return voxels * graph.channels_of(layer.inputs[0]) * layer.channels * prod(layer.kernel)


def activation_bytes(graph: Graph, size_in: Sequence[int], outputs: Iterable[int] = (0,)) -> int:
    """Memory of one float32 patch at the network's worst moment, without weights.

    Follows the life of every result. ReLU works in place; a convolution or a concatenation holds its inputs and its
    result, and convolutions have their input once more, in the layout that the library computes in.
    """
    outputs = tuple(outputs)
    layers = graph.needed(outputs)
    sizes = graph.sizes(size_in, outputs)
    last = {name: i for i, layer in enumerate(layers) for name in layer.inputs}
    last |= {graph.outputs[i]: len(layers) for i in outputs}

    def held_by(name: str) -> int:
        return _FLOAT * graph.channels_of(name) * prod(sizes[name])

    alive = {INPUT: held_by(INPUT)}
    peak = 0
    for i, layer in enumerate(layers):
        own = held_by(layer.name)
        in_place = layer.kind in ("relu", "norm", "crop") and last[layer.inputs[0]] == i
        extra = 0
        if layer.kind in ("conv", "up"):
            extra = held_by(layer.inputs[0]) + own
        peak = max(peak, sum(alive.values()) + (0 if in_place else own) + extra)
        alive = {name: size for name, size in alive.items() if last.get(name, -1) > i}
        if last.get(layer.name, -1) > i:
            alive[layer.name] = own
    return peak


def largest_array(graph: Graph, size_in: Sequence[int], outputs: Iterable[int] = (0,)) -> int:
    """Numbers in the largest array of one patch, its image included."""
    outputs = tuple(outputs)
    sizes = graph.sizes(size_in, outputs)
    names = [INPUT, *(layer.name for layer in graph.needed(outputs))]
    return max(graph.channels_of(name) * prod(sizes[name]) for name in names)


def reach(graph: Graph, rule: SizeRule, axis: int, output: int = 0) -> list[tuple[int, int]]:
    """How far an output sees along an axis, for every phase of the pooling grid.

    Returns
    -------
    list of (int, int)
        For output voxels 0, 1, ... up to the period: voxels below and above the one it lies on.
    """
    margin = rule.axes[axis].margin
    found = []
    for voxel in range(rule.axes[axis].period):
        low, high = _seen(graph, rule, axis, output, voxel)
        found.append((voxel + margin - low, high - voxel - margin))
    return found


def _seen(graph: Graph, rule: SizeRule, axis: int, output: int, voxel: int) -> tuple[int, int]:
    """First and last input voxel that an output voxel depends on, in a patch that is as long as it takes."""
    lengths = graph.sizes(rule.smallest)  # only differences count, which are the same for all sizes
    need: dict[str, tuple[int, int]] = {graph.outputs[output]: (voxel, voxel)}
    for layer in reversed(graph.needed((output,))):
        low, high = need[layer.name]
        kernel, stride = layer.kernel[axis], layer.stride[axis]
        if layer.kind == "conv":
            high += kernel - 1
        elif layer.kind == "pool":
            low, high = low * stride, high * stride + stride - 1
        elif layer.kind == "up":
            low, high = -(-(low - kernel + 1) // stride), high // stride
        elif layer.kind == "crop":
            low, high = low + layer.crop[axis], high + layer.crop[axis]
        for name in layer.inputs:
            shift = 0
            if len(layer.inputs) == 2 and name == layer.inputs[1]:
                shift = (lengths[name][axis] - lengths[layer.name][axis]) // 2
            before = need.get(name, (low + shift, high + shift))
            need[name] = min(before[0], low + shift), max(before[1], high + shift)
    return need[INPUT]
