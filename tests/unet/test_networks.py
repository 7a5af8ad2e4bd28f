"""The published networks give the published numbers; what is derived from their layers agrees with the tables."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest
import torch

from fastseg.arrays import Device
from fastseg.errors import Problems, UsageError
from fastseg.unet.checkpoint import expected_shapes
from fastseg.unet.cost import activation_bytes, largest_array, multiplications, parameters, reach
from fastseg.unet.graph import SizeError
from fastseg.unet.memory import choose_patch
from fastseg.unet.model import make_model
from fastseg.unet.model_info import Selection
from fastseg.unet.module import Network
from fastseg.unet.networks.registry import NETWORKS, architecture, recognise
from fastseg.unet.runner import Runner
from tests.unet.published import CASES, array_of, batch_of, golden, meta, network_of, state_of

TOLERANCE = 2e-5


def stored(case: str, output: int, maps: list[np.ndarray]) -> np.ndarray:
    """Probabilities (one map a class) in the form in which the golden file holds them."""
    found = maps[1][0] if golden()[f"{case}/out{output}"].ndim == 3 else np.stack(maps, -1)
    return found[::2, ::5, ::5] if case == "zoom3_default" else found


@pytest.mark.parametrize("case", CASES)
def test_probabilities_are_the_published_ones(case: str) -> None:
    arch, about = network_of(case), meta()["cases"][case]
    state = state_of(arch)
    for name, checksum in about["weight_crc32"].items():
        assert crc32(state[name].numpy().tobytes()) == checksum
    batch = batch_of(case)
    assert crc32(batch.tobytes()) == about["input_crc32"]
    picks = [
        Selection.model_validate({"output": output, "class": class_})
        for output, classes in enumerate(about["nclass"])
        for class_ in range(classes)
    ]
    found = Runner(make_model(arch, state), Device("cpu")).submit(batch, picks)()
    assert found.shape[2:] == tuple(about["size_out"])
    for output in range(len(about["nclass"])):
        maps = [map_ for pick, map_ in zip(picks, found, strict=True) if pick.output == output]
        expected = golden()[f"{case}/out{output}"]
        np.testing.assert_allclose(stored(case, output, maps), expected, atol=TOLERANCE, rtol=0)


def test_training_mode_updates_running_statistics_as_published() -> None:
    about = meta()["train_xy"]
    arch = architecture("unet_xy")
    network = Network(arch.graph, initialise=False)
    network.load_state_dict(state_of(arch))
    image = np.stack([batch_of_training(item, about["size_in"]) for item in range(about["batch"])])
    with torch.no_grad():
        network.train()(torch.from_numpy(image))
    state = network.state_dict()
    names = [n for n in about["buffer_keys"] if not n.endswith("num_batches_tracked")]
    norms = [float(state[name].double().norm()) for name in names]
    expected = golden()["train_xy/running_l2"]
    np.testing.assert_allclose(norms, expected[: len(norms)], rtol=1e-4)
    assert int(state["ec1.1.num_batches_tracked"]) == 2


def batch_of_training(item: int, size: list[int]) -> np.ndarray:
    from tests.unet.published import image_of

    z, y, x = size
    return image_of(item, 0, (z, y, x))[None]


def test_folding_changes_nothing_but_rounding() -> None:
    arch = architecture("residual_unet", {"width": 4, "levels": 1})
    torch.manual_seed(0)
    network = Network(arch.graph)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "norm1.bias", "norm2.bias")):
            tensor.normal_(0, 0.5)
        elif name.endswith(("running_var", "norm1.weight", "norm2.weight")):
            tensor.uniform_(0.3, 3)
    image = torch.rand(2, 1, *arch.sizes.smallest)
    with torch.no_grad():
        plain, folded = network.eval()(image)[0], network.folded()(image)[0]
    torch.testing.assert_close(folded, plain, atol=1e-5, rtol=1e-5)
    assert not any("norm" in name for name in network.folded().state_dict())


def test_only_the_outputs_asked_for_are_computed() -> None:
    arch = architecture("unet_xy")
    names = {layer.name for layer in arch.graph.needed((0,))}
    assert "dc0" in names
    assert not any(name.startswith(("up1a", "up2a", "conv1a", "predict2a")) for name in names)


@pytest.mark.parametrize(
    ("name", "params", "count"),
    [
        ("unet_xy", {}, 17_729_902),
        ("unet_xy_zoom", {"zoom_ratio": 2}, 17_967_662),
        ("unet_xy_zoom", {}, 18_034_222),
        ("unet_original", {}, 19_069_058),
    ],
)
def test_parameters_are_as_many_as_published(name: str, params: dict, count: int) -> None:
    arch = architecture(name, params)
    assert parameters(arch.graph) == count


@pytest.mark.parametrize("name", NETWORKS)
def test_tensors_of_the_module_are_those_expected(name: str) -> None:
    arch = architecture(name)
    with torch.device("meta"):
        network = Network(arch.graph)
    made = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    assert made == expected_shapes(arch)
    assert sum(p.numel() for p in network.parameters()) == parameters(arch.graph)
    assert [a.as_dict() for a in recognise(made)] == [arch.as_dict()]


@pytest.mark.parametrize(("name", "entries"), [("unet_xy", 90), ("unet_xy_zoom", 102), ("unet_original", 78)])
def test_checkpoints_have_as_many_tensors_as_published(name: str, entries: int) -> None:
    assert len(expected_shapes(architecture(name))) == entries


SIZES = [
    ("unet_xy", {}, (44, 140, 140), (16, 52, 52), 262.67),
    ("unet_xy", {}, (50, 156, 156), (22, 68, 68), 452.60),
    ("unet_xy", {}, (88, 180, 180), (60, 92, 92), 1521.44),
    ("unet_xy_zoom", {}, (52, 372, 372), (20, 104, 104), 275.31),
    ("unet_xy_zoom", {}, (52, 420, 420), (20, 152, 152), 449.30),
    ("unet_xy_zoom", {"zoom_ratio": 2}, (52, 248, 248), (20, 68, 68), 245.24),
]


@pytest.mark.parametrize(("name", "params", "size_in", "size_out", "billions"), SIZES)
def test_sizes_and_arithmetic_are_those_published(
    name: str, params: dict, size_in: tuple, size_out: tuple, billions: float
) -> None:
    arch = architecture(name, params)
    arch.sizes.check(size_in)
    assert arch.graph.output_size(size_in) == arch.sizes.size_out(size_in) == size_out
    assert arch.sizes.size_in(size_out) == size_in
    outputs = range(len(arch.graph.outputs))
    assert multiplications(arch.graph, size_in, outputs) / 1e9 == pytest.approx(billions, abs=0.005)
    assert multiplications(arch.graph, size_in) < multiplications(arch.graph, size_in, outputs)


@pytest.mark.parametrize(
    ("name", "params", "smallest", "period", "halo"),
    [
        ("unet_xy", {}, (29, 92, 92), (1, 8, 8), (14, 51, 51)),
        ("unet_xy_zoom", {"zoom_ratio": 1}, (33, 100, 100), (1, 8, 8), (16, 53, 53)),
        ("unet_xy_zoom", {"zoom_ratio": 2}, (33, 184, 184), (1, 16, 16), (16, 105, 105)),
        ("unet_xy_zoom", {}, (33, 276, 276), (1, 24, 24), (16, 157, 157)),
        ("unet_xy_zoom", {"zoom_ratio": 5}, (33, 460, 460), (1, 40, 40), (16, 261, 261)),
        ("unet_original", {}, (92, 92, 92), (8, 8, 8), (51, 51, 51)),
        ("residual_unet", {}, (29, 92, 92), (1, 8, 8), (14, 51, 51)),
    ],
)
def test_size_rules(name: str, params: dict, smallest: tuple, period: tuple, halo: tuple) -> None:
    sizes = architecture(name, params).sizes
    assert (sizes.smallest, sizes.period, sizes.halo) == (smallest, period, halo)


@pytest.mark.parametrize("name", ["unet_xy", "unet_xy_zoom", "residual_unet"])
def test_rule_and_layers_agree_on_every_size(name: str) -> None:
    arch = architecture(name)
    rule = arch.sizes.axes[1]
    for n in range(rule.smallest - 40, rule.smallest + 60):
        size = (arch.sizes.smallest[0], n, arch.sizes.smallest[2])
        if rule.is_valid(n):
            assert arch.graph.output_size(size)[1] == n - 2 * rule.margin
        else:
            with pytest.raises(SizeError):
                arch.graph.output_size(size)


def test_reach_is_the_published_one_for_every_phase() -> None:
    arch = architecture("unet_xy")
    expected = [(44, 47), (45, 46), (46, 45), (47, 44), (48, 51), (49, 50), (50, 49), (51, 48)]
    assert reach(arch.graph, arch.sizes, 1) == expected
    zoom = architecture("unet_xy_zoom")
    seen = [n for pair in reach(zoom.graph, zoom.sizes, 2, output=2) for n in pair]
    assert (min(seen), max(seen)) == (38 * 3 + 1, 46 * 3)


def test_reach_is_what_a_network_really_sees() -> None:
    arch = architecture("residual_unet", {"width": 4, "levels": 1})
    torch.manual_seed(1)
    network = Network(arch.graph).eval()
    size = arch.sizes.size_in((1, 6, 6))
    image = torch.rand(1, 1, *size, requires_grad=True)
    found = reach(arch.graph, arch.sizes, 1)
    for voxel in (2, 3):
        (gradient,) = torch.autograd.grad(network(image)[0][0, :, 0, voxel, 2].abs().sum(), image)
        rows = gradient.abs().sum((0, 1, 2, 4)).nonzero().flatten()
        low, high = found[voxel % 2]
        aligned = voxel + arch.sizes.margin[1]
        assert int(rows.min()) >= aligned - low
        assert int(rows.max()) <= aligned + high


def test_memory_grows_with_the_patch() -> None:
    graph = architecture("unet_xy").graph
    largest_single = 64 * 40 * 136 * 136 * 4
    assert 2 * largest_single < activation_bytes(graph, (44, 140, 140)) < 5 * largest_single


def test_patches_that_are_computed_at_once_have_no_array_beyond_32_bits() -> None:
    arch = architecture("unet_xy")
    assert largest_array(arch.graph, (44, 140, 140)) == 64 * 40 * 136 * 136
    shape, endless = (65, 1248, 1848), 2**50
    cost = choose_patch(arch, shape, endless, at_once=True)
    assert 2**30 < largest_array(arch.folded, cost.size_in) < 2**31
    assert all(n >= m for n, m in zip(choose_patch(arch, shape, endless).size_out, shape, strict=True))


def test_wrong_parameters_are_all_reported() -> None:
    with pytest.raises(Problems) as caught:
        architecture("unet_xy_zoom", {"zoom_ratio": 0, "colour": "red"})
    assert len(caught.value.problems) == 2
    with pytest.raises(Problems, match="3 numbers of at least 1"):
        architecture("unet_xy", {"classes": (2,)})
    with pytest.raises(UsageError, match="did you mean unet_xy"):
        architecture("unet_xyy")


def test_an_invalid_patch_is_told_with_its_neighbours() -> None:
    sizes = architecture("unet_xy").sizes
    with pytest.raises(UsageError, match=r"141 along Y \(nearest valid: 140 and 148\)"):
        sizes.check((44, 141, 140))
    with pytest.raises(UsageError, match=r"12 along Z \(nearest valid: 29\)"):
        sizes.check((12, 140, 140))


def test_the_rule_of_the_weights_is_that_of_the_golden_file() -> None:
    arch = network_of("zoom2_small")
    assert array_of(arch, "up0.bias", (64,)).dtype == np.float32
