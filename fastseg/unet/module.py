"""The PyTorch module of a network, built from its graph; imported where a network is built or run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from fastseg.unet.graph import INPUT, Graph, Layer

EPSILON = 1e-5
MOMENTUM = 0.1
"""Of batch normalisation; the published checkpoints depend on the first."""


class Network(nn.Module):
    """A network, trainable; `folded` gives the form for prediction.

    Parameters
    ----------
    graph : Graph
    initialise : bool
        Draw weights: He's normal distribution for convolutions with bias 0, PyTorch's own for transposed ones, as the
        reference's. Without, they are whatever was in memory, to be loaded.
    """

    def __init__(self, graph: Graph, initialise: bool = True) -> None:
        super().__init__()
        self.graph = graph
        for layer in graph.layers:
            made = _module(graph, layer, initialise)
            if made is not None:
                self._attach(layer.name, made)

    def _attach(self, name: str, made: nn.Module) -> None:
        """Put a module under its dotted name, so that tensors are called as in the graph."""
        *path, last = name.split(".")
        parent: nn.Module = self
        for part in path:
            if part not in parent._modules:
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(last, made)

    def forward(self, image: Tensor, outputs: Iterable[int] | None = None) -> list[Tensor]:
        """Class scores before softmax.

        Parameters
        ----------
        image : Tensor (N, C, Z, Y, X)
            Of a valid size.
        outputs : iterable of int, optional
            Which outputs; all of them by default. Layers that only others need are skipped.

        Returns
        -------
        list of Tensor (N, classes, Z', Y', X')
        """
        asked = tuple(range(len(self.graph.outputs))) if outputs is None else tuple(outputs)
        layers = self.graph.needed(asked)
        last = {name: i for i, layer in enumerate(layers) for name in layer.inputs}
        kept = {self.graph.outputs[i] for i in asked}
        held: dict[str, Tensor] = {INPUT: image}
        for i, layer in enumerate(layers):
            free = not self.training and last[layer.inputs[0]] == i and layer.inputs[0] != INPUT
            held[layer.name] = self.apply_layer(layer, [held[n] for n in layer.inputs], free)
            for name in layer.inputs:
                if last[name] <= i and name not in kept:
                    held.pop(name, None)
        return [held[self.graph.outputs[i]] for i in asked]

    def apply_layer(self, layer: Layer, inputs: list[Tensor], free: bool) -> Tensor:
        """The result of one layer; `free` lets it write into its first input."""
        source = inputs[0]
        if layer.kind in ("conv", "up", "norm"):
            return self.get_submodule(layer.name)(source)
        if layer.kind == "relu":
            return torch.relu_(source) if free else torch.relu(source)
        if layer.kind == "pool":
            return nn.functional.max_pool3d(source, layer.kernel, layer.stride)
        if layer.kind == "crop":
            return _middle(source, [n - 2 * c for n, c in zip(source.shape[2:], layer.crop, strict=True)])
        skip = _middle(inputs[1], source.shape[2:])
        if layer.kind == "join":
            return torch.cat([source, skip], dim=1)
        return source.add_(skip) if free else source + skip

    def folded(self) -> Network:
        """A copy for prediction with every normalisation folded into the convolution before it.

        Dividing the weights by the standard deviation once, in float64, saves a pass over every activation and its
        memory.
        """
        graph = self.graph.without_norms()
        state = {name: tensor.detach().double() for name, tensor in self.state_dict().items()}
        for layer in self.graph.layers:
            if layer.kind == "norm":
                _fold(state, layer)
        copy = Network(graph, initialise=False)
        copy.load_state_dict({name: state[name].float() for name in copy.state_dict()})
        return copy.eval().requires_grad_(False)


def _fold(state: dict[str, Tensor], layer: Layer) -> None:
    source = layer.inputs[0]
    scale = 1 / torch.sqrt(state[f"{layer.name}.running_var"] + EPSILON)
    shift = -state[f"{layer.name}.running_mean"] * scale
    if layer.affine:
        weight = state[f"{layer.name}.weight"]
        scale, shift = scale * weight, shift * weight + state[f"{layer.name}.bias"]
    state[f"{source}.weight"] = state[f"{source}.weight"] * scale[:, None, None, None, None]
    state[f"{source}.bias"] = state[f"{source}.bias"] * scale + shift


def _middle(tensor: Tensor, size: Iterable[int]) -> Tensor:
    """The middle of a tensor along its last three axes."""
    for axis, wanted in zip((2, 3, 4), size, strict=True):
        tensor = tensor.narrow(axis, (tensor.shape[axis] - wanted) // 2, wanted)
    return tensor


def _module(graph: Graph, layer: Layer, initialise: bool) -> nn.Module | None:
    """The module of a layer that has tensors."""
    if layer.kind == "norm":
        return nn.BatchNorm3d(layer.channels, eps=EPSILON, momentum=MOMENTUM, affine=layer.affine)
    if layer.kind not in ("conv", "up"):
        return None
    kinds: Any = (nn.Conv3d, nn.ConvTranspose3d) if initialise else (_EmptyConv, _EmptyUp)
    create = kinds[0] if layer.kind == "conv" else kinds[1]
    made: nn.Module = create(graph.channels_of(layer.inputs[0]), layer.channels, layer.kernel, layer.stride)
    if initialise and layer.kind == "conv":
        nn.init.kaiming_normal_(made.weight, nonlinearity="relu")
        nn.init.zeros_(made.bias)
    return made


# Drawing 18 million numbers to overwrite them takes longer than reading a checkpoint. PyTorch's own way to leave it
# out, `skip_init`, imports its compiler, which takes seconds.


class _EmptyConv(nn.Conv3d):
    def reset_parameters(self) -> None:
        pass


class _EmptyUp(nn.ConvTranspose3d):
    def reset_parameters(self) -> None:
        pass
