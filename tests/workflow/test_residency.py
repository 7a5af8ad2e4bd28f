"""On a GPU a stack is copied in once and its mask out once; what else crosses is named. No GPU is needed.

The stand-in counts the copies that operators and the engine make; `tests/kernels` runs the launchers of the kernels.
"""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from fastseg.arrays.host_steps import host_steps
from fastseg.workflow.load import library_names
from fastseg.workflow.segment import segment
from tests.gpu_double import Gpu, gpu_double
from tests.support import image

SHAPE = (12, 48, 56)
PLANE = SHAPE[1] * SHAPE[2]
"""Bytes of a plane of a mask; tables of objects and bins, and whatever else is small, stay below."""

TABLES = {(1 << 16,), (2, 1 << 16)}
"""Counts by the upper and by the lower halves of float32 values: of one size whatever the image."""

ON_HOST = {
    "cetn2": ["flood of objects"],
    "dsp": ["flood of objects"],
    "polr2a_blob": ["flood of objects"],
    "slc25a17": ["flood of objects"],
    "lmnb1_interphase": ["flood_whole"],
}
"""The workflows that take steps on the host, and which."""

COPIES = {"flood of objects": ["down"] * 3 + ["up"], "flood_whole": ["down"] * 2 + ["up"]}
"""Labels, seeds and distances down, the cut objects up; image and seeds down, regions up."""


def _stack() -> np.ndarray:
    stack = 1000 * image("blobs", SHAPE, 4)
    stack[3:9, 10:30, 12:40] += 200  # one large object among the small ones
    stack.flags.writeable = False
    return stack


STACK = _stack()


def _on_gpu(name: str, flooded_there: bool) -> tuple[np.ndarray, Gpu, list[str]]:
    with (
        gpu_double() as gpu,
        patch("fastseg.operators.splitting.flood_on_device", return_value=flooded_there),
        host_steps() as steps,
    ):
        found = segment(STACK, name, "cuda")
    return found, gpu, [step.name for step in steps]


@pytest.mark.parametrize("name", library_names())
def test_a_workflow_copies_its_stack_in_once_and_its_mask_out_once(name: str) -> None:
    found, gpu, steps = _on_gpu(name, flooded_there=False)
    np.testing.assert_array_equal(found, segment(STACK, name, "cpu"))
    assert steps == ON_HOST.get(name, [])
    large = [copy for copy in gpu.transfers if copy.bytes >= PLANE and copy.shape not in TABLES]
    first, *between, last = large
    assert (first.way, first.shape, first.bytes) == ("up", SHAPE, STACK.nbytes)
    assert (last.way, last.shape, last.bytes) == ("down", SHAPE, found.nbytes)
    assert [copy.way for copy in between] == [way for step in steps for way in COPIES[step]]
    assert all(copy.declares for copy in between), between
    small = sum(copy.bytes for copy in gpu.transfers if copy.bytes < PLANE)
    assert small < STACK.nbytes / 2
    assert gpu.trims == 0  # what one step leaves in the pool the next one takes


@pytest.mark.parametrize("name", [name for name, steps in ON_HOST.items() if steps == ["flood of objects"]])
def test_floods_on_the_device_copy_nothing(name: str) -> None:
    found, gpu, steps = _on_gpu(name, flooded_there=True)
    np.testing.assert_array_equal(found, segment(STACK, name, "cpu"))
    assert steps == []
    assert len([copy for copy in gpu.transfers if copy.bytes >= PLANE and copy.shape not in TABLES]) == 2
