"""The CUDA kernels on objects through the compiler: integers stay integers; no spilled register, no stack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernels.ptx import assemble, capabilities, doubles_in, ptx_of, why_no_compiler

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler() or "never")

_THREADS, _REGISTERS = 512, 65536
"""Of the largest block (`grids.over_planes`), and of a multiprocessor: a block that asks for more is not launched."""


def kernels() -> dict[str, tuple[Any, tuple[Any, ...], bool]]:
    """Kernel, argument types, and whether double precision is meant."""
    import numba

    found: dict[str, tuple[Any, tuple[Any, ...], bool]] = {}
    for module, name, arguments, double in _signatures(numba.int32[::1]):
        found[f"{module.__name__.rpartition('.')[2]}.{name}"] = (
            getattr(module, f"{name}_kernel"),
            arguments,
            double,
        )
    for module, name, arguments, double in _signatures(numba.int64[::1]):  # volumes of 2**31 voxels and more
        title = f"{module.__name__.rpartition('.')[2]}.{name}"
        if arguments != found[title][1]:
            found[f"{title} (wide)"] = getattr(module, f"{name}_kernel"), arguments, double
    return found


def test_the_largest_block_is_known() -> None:
    from math import prod

    from fastseg.kernels.cuda import grids, launch

    assert (
        max(prod(block) for block in (grids._LINE, (grids._LIST,), grids._PLANE, launch._BLOCK)) == _THREADS
    )


def _signatures(ids: Any) -> list[tuple[Any, str, tuple[Any, ...], bool]]:
    import numba

    from fastseg.kernels.cuda import (
        distance,
        labelling,
        morphology,
        object_runs,
        peaks,
        runs,
        split,
        thinning,
        thresholds,
    )

    i8, yes = numba.int64, numba.boolean
    u1x1, u1x2, u1x3 = numba.uint8[::1], numba.uint8[:, ::1], numba.uint8[:, :, ::1]
    u4x1, u4x2 = numba.uint32[::1], numba.uint32[:, ::1]
    i4x1, i4x2, i8x1, i8x2 = numba.int32[::1], numba.int32[:, ::1], numba.int64[::1], numba.int64[:, ::1]
    rows, edges, labels = numba.int64[::1], numba.types.Array(numba.int32, 1, "C"), ids.copy(ndim=2)
    f4x1, f4x2, f4x3, f8x1 = (
        numba.float32[::1],
        numba.float32[:, ::1],
        numba.float32[:, :, ::1],
        numba.float64[::1],
    )
    stack, place = ids.copy(ndim=3), numba.types.UniTuple(numba.int64, 3)
    bool3 = numba.boolean[:, :, ::1]
    return [
        (morphology, "pack", (u1x3, yes, u1x3), False),
        (morphology, "unpack", (u1x3, yes, yes, u1x3, u1x3), False),
        (morphology, "widen", (u4x1, i8, u4x1), False),
        (morphology, "join", (u4x1, i8, i8, i8, i8x2, i8, i8, u4x1), False),
        (morphology, "erode_image", (f4x3, f4x3), False),
        (labelling, "count", (u4x1, i8, rows), False),
        (labelling, "edges", (u4x1, i8, rows, edges, ids), False),
        (labelling, "join", (rows, edges, ids, i8, i8, i8, i8), False),
        (labelling, "shorten", (ids,), False),
        (labelling, "mark_roots", (ids, ids), False),
        (labelling, "number", (rows, edges, ids, ids, i8, i8x1, i8x1), False),
        (runs, "paint", (rows, edges, ids, i8, i8, i8, i8, i8, u1x1, u1x2), False),
        (runs, "mark_sides", (rows, edges, ids, i8, i8, i8, i8, numba.int8[::1]), False),
        (runs, "bound", (rows, edges, ids, i8, numba.int8[::1], i8x2, i8x2), False),
        (object_runs, "mark", (labels, u1x2, u1x2), False),
        (object_runs, "count", (u4x2, rows), False),
        (object_runs, "places", (u4x2, rows, i8, edges), False),
        (object_runs, "names", (labels, rows, edges, ids), False),
        (object_runs, "extremes", (i4x2, rows, edges, ids, i4x1, i4x1), False),
        (object_runs, "values", (i4x1, i4x1, i4x1, i4x1), False),
        (thresholds, "sizes", (rows, edges, ids, i8x1), False),
        (thresholds, "count", (f4x2, rows, edges, ids, f4x1, f4x1, i8, labels), True),
        (thresholds, "keep", (labels, i8, i8x1, i4x1, u1x1, ids), False),
        (thresholds, "otsu", (i8x1, i4x1, u1x1, ids, f4x1, f4x1, f8x1, f4x1), True),
        (distance, "along_rows", (u4x1, i8, stack), False),
        (distance, "across_rows", (stack, i8, stack), False),
        (distance, "across_planes", (stack, i8, stack), False),
        (distance, "before_the_first", (ids, yes, stack), False),
        (peaks, "candidates", (f4x3, numba.int32[:, :, ::1], place, place, numba.float32, u1x1, u1x3), False),
        (peaks, "thin", (numba.int32[:, :, ::1], place, place, u1x1, u1x3), False),
        (peaks, "keep_first", (place, place, u1x3, i4x1), False),
        (peaks, "dilate_by_faces", (bool3, bool3), False),
        (split, "open", (i4x2, labels, labels, labels, i8x1, i8x1, i8x1), False),
        (split, "count", (i4x2, labels, i8x1, ids), False),
        (split, "gather", (i4x2, labels, i8x1, i8x1), False),
        (split, "flood", (i8x1, i8x1, i8x1, i8x1, ids, ids, i8, i8, ids, ids, ids), False),
        (split, "close", (labels, labels), False),
        (thinning, "open", (bool3, u1x3, u1x3, u1x1), False),
        (thinning, "walk", (bool3, stack, u1x3, u1x1, u1x3, i4x1), False),
        (thinning, "outside", (u1x3, bool3), False),
        (thinning, "further", (stack, i8, u1x1, bool3), False),
        (thinning, "peel", (bool3, bool3, u1x3, bool3), False),
    ]


@pytest.mark.parametrize("name", kernels() if not why_no_compiler() else [])
def test_kernel_compiles(name: str) -> None:
    kernel, arguments, double = kernels()[name]
    # what newer cards are given too, by way of their own assembler
    ptx = ptx_of(kernel, arguments, capabilities()[0])
    if not double:
        assert doubles_in(ptx) == []
    for capability in capabilities():
        found = assemble(ptx, capability)
        if found is not None:
            assert (found.stack, found.spilled) == (0, 0)
            assert found.registers * _THREADS <= _REGISTERS
