"""The law of one answer: every operator gives the same bits whole and tiled, in any order, in any process."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fastseg.errors import FastsegError
from fastseg.operators.registry import registry
from fastseg.operators.run import apply
from fastseg.tiling import ArrayVolume, Engine, Volume
from fastseg.tiling.shelf import MemoryShelf
from fastseg.tiling.volume import PendingVolume
from tests.support import assert_identical
from tests.tiling.cases import CASES

MOST_TILES = 48
LONGEST = (12, 20, 20)
# A broken engine fails for every operator; without shrinking, in seconds. HYPOTHESIS_PROFILE=explore shrinks.
PHASES = (
    tuple(Phase) if settings.get_current_profile_name() == "explore" else (Phase.explicit, Phase.generate)
)


def outcome(name: str, inputs: list[Any], parameters: dict[str, Any], engine: Engine | None) -> Any:
    """The result, or the text of the error."""
    try:
        return apply(registry()[name], *inputs, engine=engine, **parameters)
    except FastsegError as error:
        return f"{type(error).__name__}: {error}"


@st.composite
def grids(draw: st.DrawFn, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """A shape that the operator accepts, and a tile: of one voxel, not dividing the shape, or larger than it."""
    dims = draw(st.sampled_from(CASES[name].dims))
    shape = tuple(draw(st.integers(CASES[name].least, n)) for n in LONGEST[-dims:])
    tile = [draw(st.one_of(st.integers(1, n + 2), st.integers(1, 3))) for n in shape]
    while prod(-(-n // t) for n, t in zip(shape, tile, strict=True)) > MOST_TILES:
        widest = max(range(dims), key=lambda a: shape[a] / tile[a])
        tile[widest] += 1
    return shape, tuple(tile)


def draw_case(data: st.DataObject, name: str) -> tuple[list[Any], dict[str, Any], tuple[int, ...]]:
    shape, tile = data.draw(grids(name), label="shape, tile")
    inputs = CASES[name].inputs(data, shape)
    for item in inputs:
        if isinstance(item, np.ndarray):
            item.flags.writeable = False
    parameters = data.draw(st.fixed_dictionaries(CASES[name].parameters), label="parameters")
    if {"hole_min", "hole_max"} <= parameters.keys():
        parameters["hole_max"] = max(parameters["hole_max"], parameters["hole_min"])
    return inputs, parameters, tile


def test_every_operator_has_a_case() -> None:
    assert set(CASES) == set(registry())


def test_every_parameter_of_an_operator_is_drawn() -> None:
    missing = {
        name: set(registry()[name].params.model_fields) - set(case.parameters) for name, case in CASES.items()
    }
    assert {name: fields for name, fields in missing.items() if fields} == {}


@pytest.mark.parametrize("name", CASES)
def test_tiled_equals_whole(name: str) -> None:
    @settings(max_examples=30, phases=PHASES)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        inputs, parameters, tile = draw_case(data, name)
        whole = outcome(name, inputs, parameters, None)
        assert_identical(outcome(name, inputs, parameters, Engine(tile=tile)), whole)

    run()


class Backwards:
    """Runs the last task first."""

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        return reversed([task(item) for item in reversed(list(items))])


class Shuffled:
    """Runs tasks in an arbitrary order, and all of them before the first result is given."""

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        items = list(items)
        results: dict[int, Any] = {}
        for i in np.random.default_rng(len(items)).permutation(len(items)):
            results[int(i)] = task(items[int(i)])
        return iter([results[i] for i in range(len(items))])


class _VolumesStay(pickle.Pickler):
    """Pickles all but volumes and shelves, which a worker would open for itself."""

    def __init__(self, file: io.BytesIO, kept: list[Volume | MemoryShelf]) -> None:
        super().__init__(file)
        self.kept = kept

    def persistent_id(self, item: Any) -> int | None:
        if isinstance(item, ArrayVolume | PendingVolume | MemoryShelf):
            self.kept.append(item)
            return len(self.kept) - 1
        return None


class _VolumesBack(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, kept: list[Volume | MemoryShelf]) -> None:
        super().__init__(file)
        self.kept = kept

    def persistent_load(self, number: int) -> Volume | MemoryShelf:
        return self.kept[number]


class Pickled:
    """Sends every task, its item and its result through pickle, as to another process and back."""

    def map(self, task: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            kept: list[Volume | MemoryShelf] = []
            file = io.BytesIO()
            _VolumesStay(file, kept).dump((task, item))
            file.seek(0)
            task_there, item_there = _VolumesBack(file, kept).load()
            yield pickle.loads(pickle.dumps(task_there(item_there)))


@pytest.mark.parametrize("executor", [Backwards(), Shuffled(), Pickled()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("name", CASES)
def test_executor_does_not_matter(name: str, executor: Any) -> None:
    @settings(max_examples=4, phases=PHASES)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        inputs, parameters, tile = draw_case(data, name)
        whole = outcome(name, inputs, parameters, None)
        assert_identical(outcome(name, inputs, parameters, Engine(tile=tile, executor=executor)), whole)

    run()


def test_whole_volume_in_memory_is_the_engine_with_one_tile() -> None:
    inputs, parameters = [np.ones((4, 5, 6), bool)], {"min_size": 3}
    for tile in (None, (4, 5, 6), (100, 100, 100)):
        result = outcome("remove_small_objects", inputs, parameters, Engine(tile=tile))
        assert_identical(result, np.ones((4, 5, 6), bool))


def test_not_finite_voxels_are_refused_by_statistics_whatever_the_tiles() -> None:
    for value in (np.nan, np.inf, -np.inf):
        image = np.zeros((4, 6, 6), np.float32)
        image[2, 3, 3] = value
        for tile in (None, (1, 2, 3)):
            with pytest.raises(FastsegError, match="NaN or infinite"):
                apply(registry()["intensity_normalize"], image, engine=Engine(tile=tile), scaling=[1, 1])
