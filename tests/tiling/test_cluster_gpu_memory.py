"""The memory of a GPU runs out in a worker process: the caller hears of it, and the worker holds nothing any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed", reason="workers need dask and distributed")

from fastseg.arrays import Device
from fastseg.errors import GpuMemoryError
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.cluster import local_workers
from fastseg.tiling.scratch import Scratch
from fastseg.types import Box
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import run_workflow
from fastseg.workflow.run_tiled import run_tiled
from tests.gpu_double import gpu_double
from tests.support import image

STACK = 1000 * image("blobs", (8, 80, 88), 1)
NAME = "tjp1"
_OPEN: list[Any] = []


def give_gpu(capacity: int) -> None:
    """To the worker that runs this, for as long as it lives."""
    opened = gpu_double(capacity)
    _OPEN.append((opened, opened.__enter__()))


def look_at_gpu() -> tuple[int, int]:
    gpu = _OPEN[-1][1]
    return gpu.used, gpu.trims


def test_a_worker_runs_out_of_memory(tmp_path: Path) -> None:
    workflow, cuda = get_workflow(NAME), Device("cuda")
    expected = run_workflow(workflow, STACK).result
    with gpu_double() as gpu:
        run_workflow(workflow, STACK, engine=Engine(device=cuda))
        with local_workers(1, 1) as executor, Scratch(tmp_path) as scratch:
            executor.client.run(give_gpu, gpu.peak // 2)
            source = ArrayVolume(STACK)
            with pytest.raises(
                GpuMemoryError, match=r"^the memory of cuda:0 ran out: Out of memory allocating"
            ):
                run_tiled(workflow, source, Engine(None, executor, cuda, scratch), journal=scratch.journal)
            ((used, trims),) = executor.client.run(look_at_gpu).values()
            assert used < 2000  # tables of weights and borders are kept for the next tile
            assert trims == 1
            finished = scratch.journal.read().stages
            begun = []
            found = run_tiled(
                workflow,
                source,
                Engine((8, 16, 16), executor, cuda, scratch),
                journal=scratch.journal,
                on_stage=lambda event: begun.append(event.number),
            ).result
            assert begun[0] == finished
            np.testing.assert_array_equal(found.read(Box.whole(STACK.shape)), expected)
