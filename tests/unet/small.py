"""A small network with statistics that matter, and the definition of prediction it is held against."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from fastseg.unet.model import Model, make_model
from fastseg.unet.module import Network
from fastseg.unet.networks.registry import architecture


@lru_cache(maxsize=4)
def small_model(channels: int = 1, classes: int = 2, levels: int = 2) -> Model:
    """A residual U-Net of 4 features; pooling stride ``2**levels``."""
    arch = architecture(
        "residual_unet", {"width": 4, "levels": levels, "channels": channels, "classes": (classes,)}
    )
    torch.manual_seed(7)
    network = Network(arch.graph)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.3)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return make_model(arch, network.state_dict())


def continued(image: np.ndarray, model: Model, size_out: tuple[int, ...]) -> np.ndarray:
    """The image with everything that an output of `size_out` from its first voxel sees, by `numpy.pad`."""
    z, y, x = (
        (rule.margin, max(0, out - n) + rule.margin)
        for rule, out, n in zip(model.architecture.sizes.axes, size_out, image.shape, strict=True)
    )
    return np.pad(np.pad(image, ((0, 0), y, x), "symmetric"), (z, (0, 0), (0, 0)))


def run(model: Model, stacks: np.ndarray, output: int = 0, class_: int = 1) -> np.ndarray:
    """Softmax of the trainable network in float64, on one patch (channels, z, y, x)."""
    network = model.network().double().eval()
    with torch.no_grad():
        scores = network(torch.from_numpy(np.ascontiguousarray(stacks, np.float64))[None])[output]
    return torch.softmax(scores, 1)[0, class_].numpy()


def whole(model: Model, image: np.ndarray, class_: int = 1) -> np.ndarray:
    """What prediction is defined to be: the network on the continued image, its first output at the first voxel."""
    stacks = image if image.ndim == 4 else image[None]
    shape = stacks.shape[1:]
    size_out = tuple(r.output_for(n) for r, n in zip(model.architecture.sizes.axes, shape, strict=True))
    seen = np.stack([continued(s, model, size_out) for s in stacks])
    size_in = model.architecture.sizes.size_in(size_out)
    seen = seen[(slice(None), *(slice(0, n) for n in size_in))]
    return run(model, seen, class_=class_)[tuple(slice(0, n) for n in shape)]
