"""Planes by planes gives what the whole patch gives, computes nothing twice, and holds no more than is planned."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from fastseg.unet.graph import Graph, GraphBuilder
from fastseg.unet.module import Network
from fastseg.unet.networks.registry import Architecture, architecture
from fastseg.unet.schedule import make_schedule, streamed_bytes
from fastseg.unet.stream import stream


def pooled_along_z() -> Graph:
    """A network with everything that a graph may hold: pooling along Z, both kinds of skips, a cropped second head."""
    build = GraphBuilder(2)
    skip = build.relu("relu1", build.conv("conv1", "image", 4))
    inner = build.conv("conv2", build.pool("pool", skip, (2, 2, 2)), 4)
    low = build.add("sum", build.relu("relu2", inner), inner)  # read twice: not to be changed in place
    up = build.up("up", low, 4, (2, 2, 2))
    joined = build.join("join", up, skip)
    added = build.add("add", build.conv("conv3", joined, 4), build.conv("shortcut", joined, 4, 1))
    head = build.crop("crop", build.conv("side", low, 3, 1), (1, 1, 1))
    second = build.up("wide", head, 3, (2, 2, 2))
    return build.graph(
        build.conv("scores", build.relu("relu3", added), 2, 1), build.crop("last", second, (0, 0, 0))
    )


def networks() -> list[tuple[Graph, tuple[int, int, int], tuple[int, ...]]]:
    """Graphs with a small valid size, and the outputs to compute."""
    found = [(pooled_along_z(), (24, 16, 18), (0,)), (pooled_along_z(), (18, 16, 16), (1,))]
    for name, params, outputs in (
        ("residual_unet", {"width": 4, "levels": 2, "channels": 3}, (0,)),
        ("unet_original", {}, (0,)),
        ("unet_xy", {}, (0, 1, 2)),
        ("unet_xy_zoom", {"zoom_ratio": 2}, (2, 0)),
    ):
        arch = architecture(name, params)
        z, y, x = arch.sizes.smallest
        found.append((arch.folded, (z + 3 * arch.sizes.period[0], y, x), outputs))
    return found


SMALL = [networks()[i] for i in (0, 1, 2)]


@settings(max_examples=25, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(case=st.sampled_from(SMALL), depth=st.integers(1, 30), last=st.booleans())
def test_planes_by_planes_is_the_whole_patch(case: tuple, depth: int, last: bool) -> None:
    graph, size, outputs = case
    torch.manual_seed(depth)
    network = Network(graph).eval()
    image = torch.rand(2, graph.channels, *size)
    if last:
        network, image = (a.to(memory_format=torch.channels_last_3d) for a in (network, image))
    before = image.clone()
    with torch.inference_mode():
        expected = dict(zip(outputs, network(image, outputs), strict=True))
        found: dict[int, list[torch.Tensor]] = {output: [] for output in outputs}
        for output, start, scores in stream(network, image, make_schedule(graph, size, outputs, depth)):
            assert start == sum(part.shape[2] for part in found[output])
            found[output].append(scores.clone())
    for output, parts in found.items():
        torch.testing.assert_close(torch.cat(parts, 2), expected[output], atol=1e-5, rtol=1e-5)
        assert expected[output].std() > 1e-3
    assert torch.equal(image, before)


@pytest.mark.parametrize(("graph", "size", "outputs"), networks())
@pytest.mark.parametrize("depth", [1, 3, 8])
def test_no_plane_is_computed_twice(graph: Graph, size: tuple, outputs: tuple, depth: int) -> None:
    plan = make_schedule(graph, size, outputs, depth)
    done = dict.fromkeys(plan.sizes, 0)
    for steps in plan.rounds:
        for step in steps:
            assert step.start == done[step.layer.name]
            done[step.layer.name] = step.stop
    for output in outputs:
        name = graph.outputs[output]
        assert done[name] == plan.sizes[name][0]
    for layer in graph.needed(outputs):
        assert done[layer.name] <= plan.sizes[layer.name][0]


class Meter(TorchDispatchMode):
    """Bytes of the tensors that are alive, and the most that were at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else [found]:
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self.alive:
                    self.alive[key] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, key, None)
                self.peak = max(self.peak, sum(self.alive.values()))
        return found


@pytest.mark.parametrize(
    ("name", "size_out"),
    [("unet_xy", (33, 60, 60)), ("unet_xy_zoom", (60, 104, 80)), ("residual_unet", (20, 100, 100))],
)
def test_tensors_take_no_more_than_is_planned(name: str, size_out: tuple) -> None:
    arch: Architecture = architecture(name)
    size = arch.sizes.size_in(size_out)
    with torch.device("meta"):
        network = Network(arch.folded, initialise=False).eval()
        image = torch.empty(1, 1, *size).to(memory_format=torch.channels_last_3d)
    network = network.to(memory_format=torch.channels_last_3d)
    gc.collect()
    with torch.inference_mode(False), torch.no_grad(), Meter() as meter:
        for _, _, scores in stream(network, image, make_schedule(arch.folded, size, (0,))):
            del scores
    planned = streamed_bytes(arch.folded, size)
    assert 0.6 * planned < meter.peak <= planned  # views of the image count as the image


def test_memory_grows_with_the_area_and_hardly_with_the_depth() -> None:
    arch = architecture("unet_xy")
    low, high, wide = (
        streamed_bytes(arch.folded, arch.sizes.size_in(size))
        for size in ((60, 100, 100), (240, 100, 100), (60, 204, 204))
    )
    assert high < 1.5 * low
    assert wide > 2 * low
