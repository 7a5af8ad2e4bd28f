"""Programs: what is fused into a stage, how far halos reach, and when volumes come and go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

from fastseg.arrays import Namespace
from fastseg.errors import InputError
from fastseg.operators.registry import get_operator
from fastseg.tiling import ArrayVolume, Block, Chain, Engine, Labels, Link, Local, Reduce, Volume, Whole
from fastseg.tiling.program import Node, Stage, flatten, fusible, levels, stages
from fastseg.tiling.storage import Memory
from fastseg.types import Box

SHAPE = (7, 11, 10)
TILES = [None, (2, 3, 4), (1, 11, 1), (7, 4, 10)]


@dataclass(frozen=True)
class Radius:
    r: int = 0


def _halo(params: Radius) -> tuple[int, int, int]:
    return (0, params.r, 2 * params.r)


def _widen(block: Block) -> np.ndarray:
    """Largest neighbour within r rows and 2 r columns."""
    r = block.params.r
    return ndi.maximum_filter(block.arrays[0], (1, 2 * r + 1, 4 * r + 1), mode="nearest")


def _add(block: Block) -> np.ndarray:
    return block.arrays[0] + block.arrays[1]


def _minus_value(block: Block) -> np.ndarray:
    return block.arrays[0] - np.float32(block.values[0])


def _kept(block: Block) -> np.ndarray:
    return block.arrays[0][block.place.keep]


def _largest(block: Block) -> float:
    return float(_kept(block).max())


def _same(partial: Any, values: tuple[Any, ...], params: Any) -> Any:
    return partial


def _twice_and_largest(block: Block) -> tuple[np.ndarray, float]:
    return block.arrays[0] * 2, _largest(block)


def _thinner(shape: tuple[int, ...], params: Any) -> tuple[int, ...]:
    return (*shape[:-1], shape[-1] // 2)


def _every_second(block: Block) -> np.ndarray:
    return block.arrays[0][..., : 2 * (block.arrays[0].shape[-1] // 2) : 2]


def _positive(block: Block) -> np.ndarray:
    return block.arrays[0] > 2


def _rows(block: Block, rows: np.ndarray) -> np.ndarray:
    return rows


def _refuse(block: Block) -> np.ndarray:
    raise InputError("no voxel is good")


def _refuse_value(partial: Any, values: tuple[Any, ...], params: Any) -> Any:
    raise InputError("no value is good")


WIDEN = Local(_widen, _halo)
ADD = Local(_add)
MINUS = Local(_minus_value)
LARGEST = Reduce(_largest, max, _same)
EMITTING = Local(_twice_and_largest, emits=LARGEST)
SMALLER = Local(_every_second, planes=True, output_shape=_thinner)
LABEL = Labels(_positive, _rows)


def node(name: str, rule: Any, *inputs: str, r: int = 0, step: str = "") -> Node:
    return Node(name, rule, inputs, Radius(r), step)


def names(found: Sequence[Stage]) -> list[list[str]]:
    return [[n.name for n in stage.nodes] for stage in found]


def picture() -> np.ndarray:
    return np.random.default_rng(5).integers(-3, 4, SHAPE).astype(np.float32)


def run(nodes: list[Node], wanted: list[str], tile: Any = None, **options: Any) -> dict[str, Any]:
    engine = Engine(tile, **options)
    found = engine.run_program(nodes, {"image": ArrayVolume(picture())}, wanted)
    return {
        name: item.read(Box.whole(item.shape)) if isinstance(item, Volume) else item
        for name, item in found.items()
    }


def oracle(image: np.ndarray, r: int) -> np.ndarray:
    return ndi.maximum_filter(image, (1, 2 * r + 1, 4 * r + 1), mode="nearest")


# ---- flatten


def _two_links(params: Radius, inputs: tuple[str, ...]) -> list[Link]:
    return [
        Link("wide", EMITTING, inputs, Radius(9)),
        Link("out", MINUS, ("wide", "wide.emitted")),
    ]


def test_a_rule_is_one_node_and_a_chain_one_node_a_link() -> None:
    (one,) = flatten("a", ADD, {"x": "image", "y": "mask"}, Radius(1), step="s", scratch=3.0)
    assert one == Node("a", ADD, ("image", "mask"), Radius(1), "s", 3.0)
    first, last = flatten("b", Chain(_two_links), {"x": "image"}, Radius(1), step="s", scratch=3.0)
    assert first == Node("b/wide", EMITTING, ("image",), Radius(9), "s", 3.0)
    assert last == Node("b", MINUS, ("b/wide", "b/wide.emitted"), Radius(1), "s", 3.0)


# ---- stages


def test_nodes_with_halos_are_one_stage_and_their_halos_add_up() -> None:
    nodes = [node("a", WIDEN, "image", r=1), node("b", WIDEN, "a", r=2), node("c", WIDEN, "b", r=4)]
    (stage,) = stages(nodes, ["c"])
    assert stage.reads == {"image": (0, 7, 14)}
    assert stage.growth == {"a": (0, 6, 12), "b": (0, 4, 8), "c": (0, 0, 0)}
    assert stage.writes == ("c",)


def test_branches_are_read_with_the_wider_halo() -> None:
    nodes = [
        node("a", WIDEN, "image", r=3),
        node("b", WIDEN, "image", r=1),
        node("c", WIDEN, "b", r=1),
        node("d", ADD, "a", "c"),
        node("e", ADD, "b", "other"),
    ]
    (stage,) = stages(nodes, ["d", "e"])
    assert stage.reads == {"image": (0, 3, 6), "other": (0, 0, 0)}
    assert stage.growth == {"a": (0, 0, 0), "b": (0, 1, 2), "c": (0, 0, 0), "d": (0, 0, 0), "e": (0, 0, 0)}


def test_what_waits_for_a_statistic_is_in_a_later_stage() -> None:
    nodes = [
        node("a", WIDEN, "image", r=1),
        node("top", LARGEST, "a"),
        node("b", MINUS, "a", "top"),
        node("free", WIDEN, "a", r=1),
        node("c", ADD, "b", "free"),
    ]
    found = stages(nodes, ["c"])
    assert names(found) == [["a", "top", "free"], ["b", "c"]]
    assert found[0].writes == ("a", "free")
    assert found[1].reads == {"a": (0, 0, 0), "free": (0, 0, 0), "top": (0, 0, 0)}
    assert levels(nodes, ()) == {"a": 0, "top": 0, "b": 1, "free": 0, "c": 1}


def test_an_emitted_value_is_waited_for_and_a_twin_of_the_volume_is_not_written_needlessly() -> None:
    nodes = [
        node("a", EMITTING, "image"),
        node("b", MINUS, "image", "a.emitted"),
    ]
    found = stages(nodes, ["b"])
    assert names(found) == [["a"], ["b"]]
    assert found[0].writes == ()
    for tile in TILES:
        np.testing.assert_array_equal(run(nodes, ["b"], tile)["b"], picture() - picture().max())


def test_components_and_whole_volumes_are_stages_of_their_own() -> None:
    nodes = [
        node("a", WIDEN, "image", r=1),
        node("l", LABEL, "a"),
        node("b", ADD, "a", "l"),
        node("w", Whole(_widen), "b", r=1),
        node("c", ADD, "w", "b"),
    ]
    found = stages(nodes, ["c"])
    assert names(found) == [["a"], ["l"], ["b"], ["w"], ["c"]]
    assert [stage.fused for stage in found] == [True, False, True, False, True]
    assert [fusible(n) for n in nodes] == [True, False, True, False, True]


def test_without_fusion_every_node_is_a_stage_and_written() -> None:
    nodes = [node("a", WIDEN, "image", r=1), node("b", WIDEN, "a", r=2), node("c", LARGEST, "b")]
    found = stages(nodes, ["c"], fuse=False)
    assert names(found) == [["a"], ["b"], ["c"]]
    assert [stage.writes for stage in found] == [("a",), ("b",), ()]
    assert [stage.reads for stage in found] == [{"image": (0, 1, 2)}, {"a": (0, 2, 4)}, {"b": (0, 0, 0)}]


def test_volumes_of_another_shape_are_not_fused_with_the_others() -> None:
    nodes = [
        node("a", WIDEN, "image", r=1),
        node("s", SMALLER, "a"),
        node("b", WIDEN, "s", r=1),
        node("c", WIDEN, "a", r=1),
        node("d", LARGEST, "b"),
        node("e", LARGEST, "c"),
    ]
    found = stages(nodes, ["d", "e"])
    assert names(found) == [["a", "c", "e"], ["s"], ["b", "d"]]
    expected = oracle(oracle(picture(), 1)[..., ::2], 1).max(), oracle(oracle(picture(), 1), 1).max()
    for tile in TILES:
        found_values = run(nodes, ["d", "e"], tile)
        assert (found_values["d"], found_values["e"]) == expected


def test_a_plane_is_tiled_as_a_plane() -> None:
    take = get_operator("take_slice")
    middle = get_operator("middle_frame")
    nodes = [
        *flatten("z", middle.rule, {"image": "image"}, middle.params(), step="z"),
        *flatten("plane", take.rule, {"image": "image", "z": "z"}, take.params(), step="plane"),
        node("wide", Local(_plane_max, _halo), "plane", r=1),
        node("stack", WIDEN, "image", r=1),
    ]
    expected = ndi.maximum_filter(picture()[SHAPE[0] // 2], (3, 5), mode="nearest")
    for tile in TILES:
        found = run(nodes, ["wide", "stack", "z"], tile)
        assert found["z"] == SHAPE[0] // 2
        np.testing.assert_array_equal(found["wide"], expected)
        np.testing.assert_array_equal(found["stack"], oracle(picture(), 1))


def _plane_max(block: Block) -> np.ndarray:
    return ndi.maximum_filter(block.arrays[0], (3, 5), mode="nearest")


# ---- running


@pytest.mark.parametrize("tile", TILES)
def test_wanted_nodes_are_given_wherever_they_are_in_a_stage(tile: Any) -> None:
    nodes = [
        node("a", WIDEN, "image", r=1),
        node("b", WIDEN, "a", r=1),
        node("top", LARGEST, "b"),
        node("c", MINUS, "a", "top"),
    ]
    found = run(nodes, ["a", "b", "top", "c"], tile)
    image = picture()
    np.testing.assert_array_equal(found["a"], oracle(image, 1))
    np.testing.assert_array_equal(found["b"], oracle(oracle(image, 1), 1))
    assert found["top"] == image.max()
    np.testing.assert_array_equal(found["c"], oracle(image, 1) - image.max())


@pytest.mark.parametrize("rule", [SMALLER, WIDEN, EMITTING, LABEL])
def test_a_result_that_nobody_needs_does_no_harm(rule: Any) -> None:
    nodes = [node("dead", rule, "image"), node("a", WIDEN, "image", r=1)]
    np.testing.assert_array_equal(run(nodes, ["a"], (3, 4, 5))["a"], oracle(picture(), 1))


class Counting(Memory):
    """Counts the volumes that are in use."""

    def __init__(self) -> None:
        self.alive: list[Volume] = []
        self.most = self.made = 0

    def volume(self, shape: Sequence[int], tile: Sequence[int], ns: Namespace) -> Volume:
        made = super().volume(shape, tile, ns)
        self.alive.append(made)
        self.made += 1
        self.most = max(self.most, len(self.alive))
        return made

    def release(self, volume: Volume) -> None:
        self.alive = [v for v in self.alive if v is not volume]


def test_volumes_are_given_back_after_their_last_use() -> None:
    nodes = [node("v0", WIDEN, "image", r=1)]
    for i in range(1, 6):  # a chain of stages: each waits for a statistic of the one before
        nodes += [
            node(f"top{i}", LARGEST, f"v{i - 1}"),
            node(f"v{i}", MINUS, f"v{i - 1}", f"top{i}"),
        ]
    storage = Counting()
    engine = Engine((3, 4, 5), storage=storage)
    seen: list[tuple[list[str], int]] = []

    def on_stage(stage: Stage, number: int, total: int) -> None:
        assert (number, total) == (len(seen), 6)
        seen.append(([n.name for n in stage.nodes], len(storage.alive)))

    source = ArrayVolume(picture())
    found = engine.run_program(nodes, {"image": source}, ["v5"], on_stage=on_stage)
    assert [alive for _, alive in seen] == [0, 1, 1, 1, 1, 1]
    assert (storage.made, storage.most) == (6, 2)
    assert storage.alive == [found["v5"]]
    np.testing.assert_array_equal(source.array, picture())


def test_labels_give_back_what_they_keep_on_the_side() -> None:
    storage = Counting()
    nodes = [node("l", LABEL, "image"), *flatten("ws", *_objects())]
    found = Engine((3, 4, 5), storage=storage).run_program(
        nodes, {"image": ArrayVolume(picture()), "mask": ArrayVolume(picture() > 1)}, ["l", "ws"]
    )
    assert len(storage.alive) == 2
    assert all(any(v is alive for alive in storage.alive) for v in found.values())


def _objects() -> tuple[Any, dict[str, str], Any]:
    spec = get_operator("watershed_split")
    return spec.rule, {"mask": "mask", "peaks": "mask"}, spec.params()


def test_given_outputs_are_written_and_kept() -> None:
    output = ArrayVolume(np.zeros(SHAPE, np.float32))
    storage = Counting()
    nodes = [node("a", WIDEN, "image", r=1), node("b", WIDEN, "a", r=1)]
    engine = Engine((3, 4, 5), storage=storage)
    found = engine.run_program(nodes, {"image": ArrayVolume(picture())}, ["b"], {"b": output})
    assert found["b"] is output
    assert storage.made == 0
    np.testing.assert_array_equal(output.array, oracle(oracle(picture(), 1), 1))


def test_a_whole_volume_is_kept_where_the_others_are() -> None:
    storage = Counting()
    nodes = [node("w", Whole(_widen), "image", r=1)]
    found = Engine((3, 4, 5), storage=storage).run_program(nodes, {"image": ArrayVolume(picture())}, ["w"])
    assert storage.alive == [found["w"]]
    np.testing.assert_array_equal(found["w"].read(Box.whole(SHAPE)), oracle(picture(), 1))


# ---- errors


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Local(_refuse), "no voxel is good"),
        (Reduce(_refuse, max, _same), "no voxel is good"),
        (Reduce(_largest, max, _refuse_value), "no value is good"),
        (Labels(_refuse, _rows), "no voxel is good"),
        (Whole(_refuse), "no voxel is good"),
        (Local(_twice_and_largest, emits=Reduce(_largest, max, _refuse_value)), "no value is good"),
    ],
)
@pytest.mark.parametrize("tile", [None, (3, 4, 5)])
def test_errors_name_the_step(rule: Any, message: str, tile: Any) -> None:
    nodes = [
        node("a", WIDEN, "image", r=1, step="first"),
        node("b", rule, "a", step="second"),
        node("c", WIDEN, "a", r=1, step="third"),
    ]
    with pytest.raises(InputError) as caught:
        run(nodes, ["b", "c"], tile)
    assert str(caught.value) == f"step 'second': {message}"


def test_an_error_without_a_step_is_left_as_it_is() -> None:
    with pytest.raises(InputError) as caught:
        run([node("a", Local(_refuse), "image")], ["a"])
    assert str(caught.value) == "no voxel is good"
