"""Sweeps: the same masks as fresh runs, and nothing computed or held without need."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import ndimage as ndi

from fastseg.arrays import Device
from fastseg.errors import InputError, Problems, UsageError
from fastseg.tiling import Engine
from fastseg.workflow import sweep as module
from fastseg.workflow.edit import Target, with_parameters
from fastseg.workflow.load import get_workflow, parse_text
from fastseg.workflow.run import run_workflow
from fastseg.workflow.sweep import SweepPoint, sweep
from fastseg.workflow.variation import Variation, parse_variation, plan_sweep
from tests.gpu_double import gpu_double
from tests.support import frozen, image

BRANCHES = """\
schema_version: 1
name: branches
steps:
  - {id: norm, operator: intensity_normalize, inputs: [image], parameters: {scaling: [0]}}
  - {id: im, operator: rescale_xy, inputs: [norm], when: rescale}
  - {id: fine, operator: gaussian_smooth, inputs: [im], parameters: {sigma: 1}}
  - {id: coarse, operator: gaussian_smooth, inputs: [im], parameters: {sigma: 2}}
  - {id: a, operator: greater_than, inputs: [fine], parameters: {value: 0.4}}
  - {id: b, operator: greater_than, inputs: [coarse], parameters: {value: 0.3}}
  - {id: both, operator: logical_or, inputs: [a, b]}
  - {id: seg, operator: remove_small_objects, inputs: [both], parameters: {min_size: 4}}
  - {id: idle, operator: invert_mask, inputs: [a]}
result: {step: seg}
"""


@pytest.fixture
def branches() -> Any:
    return parse_text(BRANCHES, "branches")


@pytest.fixture
def stack() -> np.ndarray:
    return frozen(image("blobs", (8, 30, 34), 3))


def check(workflow: Any, stack: np.ndarray, texts: list[str], **options: Any) -> list[SweepPoint]:
    """A sweep, every point of which was compared with a run of its own."""
    variations = [parse_variation(text) for text in texts]
    points = sweep(workflow, stack, variations, **options)
    combinations = list(product(*(v.values for v in variations)))
    assert [p.number for p in points] == list(range(len(combinations)))
    fresh = []
    for point, combination in zip(points, combinations, strict=True):
        names = [str(v.target) for v in variations]
        assert list(point.values) == names
        assert list(point.values.values()) == pytest.approx(list(combination))
        changes = list(zip((v.target for v in variations), point.values.values(), strict=True))
        expected = run_workflow(with_parameters(workflow, changes), stack, **options).result > 0
        assert point.mask is not None
        assert point.mask.dtype == bool
        np.testing.assert_array_equal(point.mask, expected)
        assert point.voxels == np.count_nonzero(expected)
        assert point.objects == ndi.label(expected)[1]
        fresh.append(expected)
    assert any((m != fresh[0]).any() for m in fresh), "the sweep changes nothing, so it tests nothing"
    return points


def test_a_cutoff_costs_the_filter_once(stack: np.ndarray) -> None:
    points = check(get_workflow("sec61b"), stack, ["m.value=0.05:0.5:4"])
    tail = ("m", "m1", "m2", "seg")
    assert points[0].computed == ("im_norm", "im", "smooth", "r", *tail)
    assert [p.computed for p in points[1:]] == [tail] * 3
    assert all(p.seconds > 0 for p in points)


def test_several_parameters_in_any_order(branches: Any, stack: np.ndarray) -> None:
    points = check(branches, stack, ["seg.min_size=2,20", "fine.sigma=0.5,1.5", "a.value=0.3:0.6:3"])
    computed = [s for p in points for s in p.computed]
    assert len(points) == 12
    assert {s: computed.count(s) for s in dict.fromkeys(computed)} == {
        "norm": 1,
        "im": 1,
        "fine": 2,
        "coarse": 1,
        "a": 6,
        "b": 1,
        "both": 6,
        "seg": 12,
    }


@pytest.mark.parametrize("options", [{}, {"rescale": 0.7}, {"compat": True}])
def test_branches_and_options(branches: Any, stack: np.ndarray, options: dict[str, Any]) -> None:
    points = check(branches, stack, ["a.value=0.3,0.5", "coarse.sigma=1.5,2.5"], **options)
    shape = stack.shape if "rescale" not in options else (8, 21, 24)
    assert all(p.mask is not None and p.mask.shape == shape for p in points)


def test_a_tiled_engine_gives_the_same(branches: Any, stack: np.ndarray) -> None:
    texts = ["fine.sigma=1,2", "a.value=0.3,0.5"]
    whole = check(branches, stack, texts)
    tiled = sweep(branches, stack, [parse_variation(t) for t in texts], engine=Engine((3, 16, 13)))
    for a, b in zip(whole, tiled, strict=True):
        np.testing.assert_array_equal(a.mask, b.mask)
        assert a.objects == b.objects


def test_entries_of_lists_and_whole_lists(stack: np.ndarray) -> None:
    workflow = get_workflow("sec61b")
    check(workflow, stack, ["im_norm.scaling.1=2,6"])
    variation = parse_variation("im_norm.scaling=[1, 2],[2.5, 7.5]")
    assert [p.values["im_norm.scaling"] for p in sweep(workflow, stack, [variation])] == [[1, 2], [2.5, 7.5]]


def test_points_are_told_as_they_are_done(branches: Any, stack: np.ndarray) -> None:
    told: list[tuple[int, int, int]] = []

    def on_point(point: SweepPoint, done: int, total: int) -> None:
        assert point.mask is not None
        told.append((point.number, done, total))

    variations = [parse_variation("seg.min_size=2,9"), parse_variation("a.value=0.3,0.5")]
    points = sweep(branches, stack, variations, keep_masks=False, on_point=on_point)
    assert told == [(0, 1, 4), (2, 2, 4), (1, 3, 4), (3, 4, 4)]  # the earlier step changes less often
    assert [p.mask for p in points] == [None] * 4
    assert any(p.voxels for p in points)


def test_what_no_later_step_reads_is_dropped(
    branches: Any, stack: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[str, set[str]]] = []
    run, results = module.run_step, []

    class Spied(module._Results):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            results.append(self)

    def spy(step: Any, *args: Any) -> Any:
        held.append((step.id, set(results[0].held)))
        return run(step, *args)

    monkeypatch.setattr(module, "_Results", Spied)
    monkeypatch.setattr(module, "run_step", spy)
    sweep(branches, stack, [parse_variation("a.value=0.3,0.4,0.5")])
    assert held == [
        ("norm", {"image"}),
        ("im", {"norm"}),
        ("fine", {"im"}),
        ("coarse", {"im", "fine"}),
        ("a", {"fine", "coarse"}),
        ("b", {"fine", "coarse", "a"}),
        ("both", {"fine", "a", "b"}),
        ("seg", {"fine", "b", "both"}),
        ("a", {"fine", "b"}),
        ("both", {"fine", "b", "a"}),
        ("seg", {"fine", "b", "both"}),
        ("a", {"fine", "b"}),
        ("both", {"b", "a"}),  # the last point leaves nothing to anyone
        ("seg", {"both"}),
    ]
    assert results[0].held == {}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("m.value=0:1:5", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("m.value=1:0:2", (1.0, 0.0)),
        ("m.value=3:9:1", (3.0,)),
        ("m.value=1e-3,2", (1e-3, 2)),
        ("m.method=tri,med", ("tri", "med")),
        ("m.scaling=[1, 2],[3]", ([1, 2], [3])),
    ],
)
def test_forms(text: str, values: tuple[Any, ...]) -> None:
    assert parse_variation(text) == Variation(Target("m", text[2:].split("=")[0]), values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m.value", "is not a variation: write STEP"),
        ("m.value=", "is not a variation"),
        ("m.value=1:2", "is not a variation"),
        ("m.value=1:2:x", "is not a variation"),
        ("m.value=1:2:2.5", "is not a variation"),
        ("m.value=1,,2", "is not a variation"),
        ("m=1,2", "does not name a parameter"),
        ("m.value=1:2:0", "the count must be 1 to 1000"),
        ("m.value=1:2:1000000000", "the count must be 1 to 1000"),
        ("m.value=0:inf:3", "must be finite"),
    ],
)
def test_wrong_forms(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_variation(text)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["m.valu=1,2"], "did you mean 'value'"),
        (["mm.value=1,2"], "has no step 'mm': did you mean m"),
        (["im_norm.scaling.2=1,2"], "has 2 entries"),
        (["seg.min_size=1:2:4"], "seg.min_size: takes whole numbers, not 1.33333"),
        (["seg.min_size=-1,5"], r"steps.seg.parameters.min_size: .*given: -1"),
        (["m.value=tri,0.1"], "given: 'tri'"),
        (["m.value=0.1,0.1"], "the value 0.1 appears twice"),
        (["m.value=1,2", "m.value=3,4"], "m.value: is varied twice"),
        (["im.ratio=1,2"], "is taken from the request"),
        (
            ["m.value=1:2:40", "r.sigmas.0=1:2:40"],
            "1600 combinations are too many for one sweep: at most 1000",
        ),
        ([], "nothing is varied"),
    ],
)
def test_what_is_refused(texts: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_sweep(get_workflow("sec61b"), [parse_variation(t) for t in texts])


def test_every_problem_of_a_sweep_is_told() -> None:
    texts = ["m.valu=1,2", "mm.value=1,2", "seg.min_size=1.5,2"]
    with pytest.raises(Problems) as caught:
        plan_sweep(get_workflow("sec61b"), [parse_variation(t) for t in texts])
    assert len(caught.value.problems) == 3


def test_a_step_without_a_part_in_the_result_is_refused() -> None:
    text = BRANCHES.replace(
        "invert_mask, inputs: [a]", "remove_small_objects, inputs: [a], parameters: {min_size: 3}"
    )
    with pytest.raises(Problems, match="step 'idle' has no part in the result"):
        plan_sweep(parse_text(text, "branches"), [parse_variation("idle.min_size=1,2")])


def test_whole_numbers_stay_whole_and_others_lose_their_noise() -> None:
    plan = plan_sweep(
        get_workflow("sec61b"),
        [parse_variation("seg.min_size=10:50:5"), parse_variation("m.value=0.1:0.3:3")],
    )
    sizes, cutoffs = (v.values for v in plan.variations)
    assert sizes == (10, 20, 30, 40, 50)
    assert all(type(v) is int for v in sizes)
    assert cutoffs == (0.1, 0.2, 0.3)
    assert plan.named_values(4) == {"seg.min_size": 20, "m.value": 0.2}
    assert len(plan.definitions) == 15


def test_unsuitable_images_and_ratios_are_refused(branches: Any, stack: np.ndarray) -> None:
    variations = [parse_variation("a.value=0.3,0.5")]
    with pytest.raises(InputError, match="constant"):
        sweep(branches, np.ones((3, 4, 5)), variations)
    with pytest.raises(UsageError, match="ratio -1 is out of range"):
        sweep(branches, stack, variations, rescale=-1)


def test_a_sweep_on_a_gpu_stays_there(branches: Any, stack: np.ndarray) -> None:
    variations = [parse_variation("a.value=0.3,0.5")]
    expected = sweep(branches, stack, variations)
    with gpu_double() as gpu:  # which ends with an error if anything is made on another device
        found = sweep(branches, stack, variations, engine=Engine(device=Device("cuda")))
    for point, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(point.mask, other.mask)
        assert (point.voxels, point.objects) == (other.voxels, other.objects)
    copies = [(copy.way, copy.bytes) for copy in gpu.transfers if copy.bytes >= stack.size]
    assert copies == [("up", stack.nbytes), ("down", stack.size), ("down", stack.size)]
