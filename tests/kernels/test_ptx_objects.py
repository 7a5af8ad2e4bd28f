"""The CUDA kernels on objects through the compiler: integers stay integers; no spilled register, no stack."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernels.ptx import CAPABILITIES, assemble, doubles_in, ptx_of, why_no_compiler

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler() or "never")


def kernels() -> dict[str, tuple[Any, tuple[Any, ...], bool]]:
    """Kernel, argument types, and whether double precision is meant."""
    import numba

    found = {}
    for suffix, ids in (
        ("", numba.int32[::1]),
        (" (wide)", numba.int64[::1]),
    ):  # volumes of 2**31 voxels and more
        for module, name, arguments, double in _signatures(ids):
            if not suffix or ids in arguments:
                title = f"{module.__name__.rpartition('.')[2]}.{name}{suffix}"
                found[title] = (getattr(module, f"{name}_kernel"), arguments, double)
    return found


def _signatures(ids: Any) -> list[tuple[Any, str, tuple[Any, ...], bool]]:
    import numba

    from fastseg.kernels.cuda import labelling, morphology, object_runs, runs, thresholds

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
        (thresholds, "count", (f4x2, rows, edges, ids, f4x1, f4x1, i8, i4x2), True),
        (thresholds, "keep", (i4x2, i8, i8x1, i4x1, u1x1, i4x1), False),
        (thresholds, "otsu", (i8x1, i4x1, u1x1, i4x1, f4x1, f4x1, f8x1, f4x1), True),
    ]


@pytest.mark.parametrize("name", kernels() if not why_no_compiler() else [])
def test_kernel_compiles(name: str) -> None:
    kernel, arguments, double = kernels()[name]
    ptx = ptx_of(
        kernel, arguments, CAPABILITIES[0]
    )  # what newer cards are given too, by way of their own assembler
    if not double:
        assert doubles_in(ptx) == []
    for capability in CAPABILITIES:
        found = assemble(ptx, capability)
        if found is not None:
            assert (found.stack, found.spilled) == (0, 0)
            assert found.registers <= 64  # 1024 threads fit on a multiprocessor at least
