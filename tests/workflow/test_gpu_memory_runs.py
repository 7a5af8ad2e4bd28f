"""A GPU with too little memory gives the mask of the CPU, and says how; a stand-in with bounded memory needs no GPU."""

from __future__ import annotations

import re
from functools import cache
from unittest.mock import patch

import numpy as np
import pytest

import fastseg
from fastseg.arrays import Device, to_device
from fastseg.arrays.host_steps import host_steps
from fastseg.errors import GpuMemoryError
from fastseg.operators.registry import get_operator
from fastseg.operators.run import apply
from fastseg.tiling import Engine
from fastseg.tiling.storage import HostMemory
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import Outcome, run_workflow
from tests.gpu_double import Gpu, gpu_double
from tests.support import image

SHAPE = (16, 48, 56)
NAMES = ("tomm20", "cetn2", "lmnb1_interphase", "tjp1")
"""Planes and filaments; peaks and floods; seeds and a flood of the whole volume; labels and holes."""

LINE = re.compile(
    r"(the image|the result|step '\w+') does not fit into the memory of cuda:0( in tiles of [\d,]+)?; going on (.*)"
)


def _stack() -> np.ndarray:
    stack = 1000 * image("blobs", SHAPE, 4)
    stack[4:12, 10:30, 12:40] += 200
    stack.flags.writeable = False
    return stack


STACK = _stack()


def _run(name: str, capacity: int | None, or_cpu: bool) -> tuple[np.ndarray, Outcome, Gpu]:
    with gpu_double(capacity) as gpu:
        found = run_workflow(get_workflow(name), STACK, engine=Engine(device=Device("cuda")), or_cpu=or_cpu)
        result = found.result if isinstance(found.result, np.ndarray) else found.result.get()
        found.result = None
    return result, found, gpu


@cache
def _peak(name: str) -> int:
    return _run(name, None, False)[2].peak


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.9, 0.4, 0.02])
def test_the_result_is_that_of_the_cpu(name: str, share: float) -> None:
    capacity = int(share * _peak(name))
    result, found, gpu = _run(name, capacity, or_cpu=True)
    np.testing.assert_array_equal(result, run_workflow(get_workflow(name), STACK).result)
    assert gpu.peak <= capacity
    assert 1 <= len(found.shortages) <= 6
    assert all(LINE.fullmatch(note) for note in found.shortages), found.shortages
    assert [note for note in found.notes if note in found.shortages] == found.shortages
    on_cpu = [note for note in found.shortages if note.endswith("going on on the CPU")]
    assert on_cpu in ([], found.shortages[-1:])
    assert bool(on_cpu) == (share < 0.1)


@pytest.mark.parametrize("name", NAMES)
def test_smaller_tiles_do_where_they_fit(name: str) -> None:
    result, found, gpu = _run(name, int(0.7 * _peak(name)), or_cpu=False)
    np.testing.assert_array_equal(result, run_workflow(get_workflow(name), STACK).result)
    assert found.shortages
    # once what the failed call held is given back, once what the steps before it held and is on the host now
    assert gpu.trims >= 2 * len(found.shortages)


def test_a_gpu_that_was_named_is_not_left() -> None:
    with pytest.raises(GpuMemoryError) as caught:
        _run("tomm20", 4000, or_cpu=False)
    text = str(caught.value)
    assert "does not fit into the memory of cuda:0 in tiles of 16,16,16: a task was planned to take " in text
    assert re.search(r"and 3\.9 KiB of 3\.9 KiB are free \(the memory of cuda:0 ran out: Out of memory", text)
    assert text.endswith(
        "end other programs that use this GPU, or compute on the CPU (--device cpu; auto goes on there by itself)"
    )


def test_enough_memory_is_not_spoken_of() -> None:
    name = "tomm20"
    result, found, gpu = _run(name, _peak(name), or_cpu=True)
    assert found.shortages == []
    assert gpu.trims == 0
    assert result.any()


def test_the_caller_s_array_stays_where_it_is() -> None:
    expected = fastseg.segment(STACK, "tomm20", "cpu")
    with gpu_double(int(0.6 * _peak("tomm20"))):
        given = to_device(STACK, Device("cuda"))
        with pytest.warns(RuntimeWarning, match="does not fit into the memory of cuda:0; going on"):
            found = fastseg.segment(given, "tomm20")
        np.testing.assert_array_equal(given.get(), STACK)
        np.testing.assert_array_equal(found.get(), expected)


def test_what_is_kept_and_intermediate_results_are_those_of_the_cpu() -> None:
    workflow = get_workflow("tjp1")
    names = [step.id for step in workflow.ordered()]
    expected = run_workflow(workflow, STACK, keep=names)
    with gpu_double(int(0.5 * _peak("tjp1"))):
        found = run_workflow(workflow, STACK, engine=Engine(device=Device("cuda")), keep=names, or_cpu=True)
        assert found.shortages
        for name in names:
            kept = found.steps[name]
            np.testing.assert_array_equal(
                kept if isinstance(kept, np.ndarray) else kept.get(), expected.steps[name]
            )
            until = run_workflow(
                workflow, STACK, engine=Engine(device=Device("cuda")), until=name, or_cpu=True
            ).result
            np.testing.assert_array_equal(
                until if isinstance(until, np.ndarray) else until.get(), expected.steps[name]
            )
        del found, kept, until


def test_objects_whose_box_does_not_fit_are_computed_on_the_host() -> None:
    objects, peaks = np.zeros((2, 8, 64, 64), bool)
    objects[2:6, 4:60, 4:60] = True  # reaches through all tiles
    peaks[4, 10:60:20, 10:60:20] = True
    spec = get_operator("watershed_split")

    def split(capacity: int | None) -> tuple[np.ndarray, list[str], int]:
        on_device = patch("fastseg.operators.splitting.flood_on_device", return_value=True)
        with gpu_double(capacity) as gpu, host_steps() as steps, on_device:
            engine = Engine((8, 16, 16), device=Device("cuda"), storage=HostMemory())
            found = apply(spec, objects, peaks, engine=engine)
            return found, [step.name for step in steps], gpu.peak

    expected = apply(spec, objects, peaks)
    assert expected.max() > 1
    found, steps, peak = split(None)
    np.testing.assert_array_equal(found, expected)
    assert steps == []
    found, steps, _ = split(int(0.7 * peak))
    np.testing.assert_array_equal(found, expected)
    assert steps == ["flood_objects"]
