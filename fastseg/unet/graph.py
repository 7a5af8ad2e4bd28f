"""A network as data: its layers, and what follows from them without running anything.

Axis order is (z, y, x) throughout. All convolutions are valid (no padding), so every result is exact and a patch of
the output depends on the same patch of the input and a margin, never on zeros that padding would bring in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

Triple: TypeAlias = tuple[int, int, int]

Kind: TypeAlias = Literal["conv", "norm", "relu", "pool", "up", "join", "add", "crop"]

INPUT = "image"
"""What layers call the input of the network."""

_ONE = (1, 1, 1)


@dataclass(frozen=True)
class Layer:
    """One layer.

    Attributes
    ----------
    name : str
        Unique. Tensors are called ``<name>.weight`` and so on, which makes it part of the file format.
    kind : str
        ``conv`` (with bias, stride 1), ``norm`` (batch normalisation), ``relu``, ``pool`` (maximum, kernel equal to
        stride), ``up`` (transposed convolution with bias), ``join`` (concatenation) and ``add`` of the first input
        with the middle of the second, ``crop``.
    inputs : tuple of str
        Names of layers, or `INPUT`.
    channels : int
        Of the result.
    kernel, stride : (z, y, x)
    crop : (z, y, x)
        What `crop` takes off at both ends of each axis.
    affine : bool
        Whether `norm` has a scale and a shift of its own.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    channels: int
    kernel: Triple = _ONE
    stride: Triple = _ONE
    crop: Triple = (0, 0, 0)
    affine: bool = False


class SizeError(ValueError):
    """A patch size that does not go through the network."""


@dataclass(frozen=True)
class Graph:
    """Layers in an order in which inputs come first.

    Attributes
    ----------
    channels : int
        Of the input.
    layers : tuple of Layer
    outputs : tuple of str
        The layers whose results are the class scores (logits) of each output.
    """

    channels: int
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Layer]:
        return {layer.name: layer for layer in self.layers}

    @property
    def classes(self) -> tuple[int, ...]:
        """Number of classes of each output."""
        return tuple(self.by_name[name].channels for name in self.outputs)

    def channels_of(self, name: str) -> int:
        return self.channels if name == INPUT else self.by_name[name].channels

    def needed(self, outputs: Iterable[int]) -> tuple[Layer, ...]:
        """The layers that these outputs need, in order."""
        wanted = {self.outputs[i] for i in outputs}
        found = []
        for layer in reversed(self.layers):
            if layer.name in wanted:
                found.append(layer)
                wanted.update(layer.inputs)
        return tuple(reversed(found))

    def without_norms(self) -> Graph:
        """The graph with every normalisation folded into the convolution before it."""
        renamed: dict[str, str] = {}
        kept = []
        for layer in self.layers:
            if layer.kind == "norm":
                renamed[layer.name] = layer.inputs[0]
            else:
                kept.append(replace(layer, inputs=tuple(renamed.get(n, n) for n in layer.inputs)))
        outputs = tuple(renamed.get(n, n) for n in self.outputs)
        return Graph(self.channels, tuple(kept), outputs)

    def sizes(self, size: Sequence[int], outputs: Iterable[int] | None = None) -> dict[str, Triple]:
        """Size of every layer's result for a patch of `size`.

        Raises
        ------
        SizeError
            If a pooling leaves a rest, or nothing is left.
        """
        layers = self.layers if outputs is None else self.needed(outputs)
        found: dict[str, Triple] = {INPUT: (size[0], size[1], size[2])}
        for layer in layers:
            axes = [length_after(layer, [found[n][axis] for n in layer.inputs], axis) for axis in range(3)]
            found[layer.name] = (axes[0], axes[1], axes[2])
        if len({found[n] for n in self.outputs if n in found}) > 1:
            raise SizeError("the outputs differ in size")
        return found

    def output_size(self, size: Sequence[int]) -> Triple:
        """Size of the outputs for a patch of `size`; raises SizeError if it is not valid."""
        return self.sizes(size)[self.outputs[0]]


def length_after(layer: Layer, lengths: Sequence[int], axis: int) -> int:
    """Length of a layer's result along one axis, from the lengths of its inputs; SizeError if there is none."""
    (length, *others), kernel, stride = lengths, layer.kernel[axis], layer.stride[axis]
    if layer.kind == "conv":
        length -= kernel - 1
    elif layer.kind == "pool":
        if length % stride:
            raise SizeError(f"{layer.name} cannot divide {length} voxels by {stride}")
        length //= stride
    elif layer.kind == "up":
        length = (length - 1) * stride + kernel
    elif layer.kind == "crop":
        length -= 2 * layer.crop[axis]
    elif others and ((others[0] - length) % 2 or others[0] < length):
        raise SizeError(f"{layer.name} cannot take {length} voxels out of the middle of {others[0]}")
    if length < 1:
        raise SizeError(f"nothing is left of the patch at {layer.name}")
    return length


class GraphBuilder:
    """Adds layers one by one; every method gives the name of its result."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        self.layers: list[Layer] = []
        self._channels = {INPUT: channels}

    def _add(self, layer: Layer) -> str:
        self.layers.append(layer)
        self._channels[layer.name] = layer.channels
        return layer.name

    def conv(self, name: str, source: str, channels: int, kernel: int = 3) -> str:
        return self._add(Layer(name, "conv", (source,), channels, (kernel,) * 3))

    def norm(self, name: str, source: str, affine: bool = False) -> str:
        return self._add(Layer(name, "norm", (source,), self._channels[source], affine=affine))

    def relu(self, name: str, source: str) -> str:
        return self._add(Layer(name, "relu", (source,), self._channels[source]))

    def pool(self, name: str, source: str, factor: Triple) -> str:
        return self._add(Layer(name, "pool", (source,), self._channels[source], factor, factor))

    def up(self, name: str, source: str, channels: int, stride: Triple, kernel: Triple | None = None) -> str:
        return self._add(Layer(name, "up", (source,), channels, kernel or stride, stride))

    def join(self, name: str, source: str, skip: str) -> str:
        channels = self._channels[source] + self._channels[skip]
        return self._add(Layer(name, "join", (source, skip), channels))

    def add(self, name: str, source: str, skip: str) -> str:
        return self._add(Layer(name, "add", (source, skip), self._channels[source]))

    def crop(self, name: str, source: str, crop: Triple) -> str:
        return self._add(Layer(name, "crop", (source,), self._channels[source], crop=crop))

    def graph(self, *outputs: str) -> Graph:
        return Graph(self.channels, tuple(self.layers), outputs)
