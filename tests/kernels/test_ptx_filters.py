"""The CUDA kernels of filters and statistics through the compiler: float32 where it is meant, no spilled registers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kernels.ptx import assemble, capabilities, doubles_in, ptx_of, why_no_compiler

pytestmark = pytest.mark.skipif(bool(why_no_compiler()), reason=why_no_compiler() or "never")


def kernels() -> dict[str, tuple[Any, tuple[Any, ...], int, int | None]]:
    """Kernel, argument types, operations in double precision that are meant, and registers it is compiled for."""
    import numba

    from fastseg.kernels.cuda import counting, diffusion, gaussian, statistics, vesselness

    i4, f8, i8, f4, yes = numba.int32, numba.float64, numba.int64, numba.float32, numba.boolean
    image, lines, weights = f4[:, :, ::1], f4[:, ::1], f4[::1]
    table = numba.int32[::1]
    tables = (table, table, table)
    box, bits, counts = (i8,) * 6, i4[:, :, ::1], i8[::1]
    found: dict[str, tuple[Any, tuple[Any, ...], int]] = {
        "smooth": (gaussian.smooth_kernel, (image, *[weights] * 3, *tables, i8, i8, image), 0),
        "laplacian": (
            gaussian.laplacian_kernel,
            (image, weights, weights, yes, f4, *tables, i8, i8, image),
            0,
        ),
        "along": (gaussian.along_kernel, (lines, weights, table, lines), 0),
        "across": (gaussian.across_kernel, (image, weights, table, f4, yes, image), 0),
        "extremes": (statistics.extremes_kernel, (bits, *box, i4, i4, table), 0),
        # a difference and a product make the units that the CPU has; two loop bodies of them
        "fixed point": (statistics.fixed_point_kernel, (image, *box, f4, f4, f8, f8, counts), 4),
        "start": (statistics.start_kernel, (table,), 0),
        "stretch": (statistics.stretch_kernel, (weights, *[f4] * 6, weights), 0),
        "histogram": (counting.histogram_kernel, (image, *box, weights, f4, f4, counts), 0),
        "wide histogram": (counting.wide_histogram_kernel, (image, *box, weights, f8, counts), 4),
        "upper halves": (counting.upper_kernel, (bits, *box, counts), 0),
        "lower halves": (counting.lower_kernel, (bits, *box, i4, i4, i8[:, ::1]), 0),
    }
    three = numba.types.UniTuple(f4, 3)
    found |= {
        "step": (diffusion.step_kernel, (image, three, weights, f4, *[i8] * 4, image), 0),
        "gradient": (
            diffusion.gradient_kernel,
            (image, three, *box, f8, counts),
            2,
        ),  # one to fixed point, twice
        "inverse": (diffusion.inverse_kernel, (counts, i8, f8, f8, weights), 5),  # one thread
    }
    for name, arguments in {
        "eigen_3d": (image, f4, i8, i8, i8, yes, image, image, table),
        "eigen_2d": (image, f4, i8, i8, image, table),
        "response": (image, image, weights, yes, image, yes, image),
        "eigenvalue_3d": (image, f4, i8, image),
        "eigenvalue_2d": (image, f4, i8, image),
        "fill": (table, i4),
        "from_order": (table,),
    }.items():
        found[name] = (getattr(vesselness, f"{name}_kernel"), arguments, 0)
    limits = gaussian.REGISTERS
    return {name: (*entry, limits.get(entry[0])) for name, entry in found.items()}


def _limited(ptx: str, registers: int | None, capability: tuple[int, int]) -> str:
    """With the limit that the launcher sets when it compiles."""
    if registers is None or capability < (7, 5):
        return ptx
    entry = ptx.index(".visible .entry")
    body = ptx.index("\n{", entry)
    return f"{ptx[:body]}\n.maxnreg {registers}{ptx[body:]}"


@pytest.mark.parametrize("name", kernels() if not why_no_compiler() else [])
def test_kernel_compiles(name: str) -> None:
    kernel, arguments, doubles, registers = kernels()[name]
    for capability in capabilities():
        ptx = ptx_of(kernel, arguments, capability)
        assert len(doubles_in(ptx)) == doubles
        found = assemble(_limited(ptx, registers, capability), capability)
        if found is not None:
            assert (found.stack, found.spilled) == (0, 0)
            # 768 threads fit on a multiprocessor at least, on Volta 512
            assert found.registers <= (128 if capability < (7, 5) else registers or 80)


def test_places_of_a_thread_are_computed_alike() -> None:
    """Which of its four places a voxel falls on depends on the tile: all must round the same."""
    import numba

    from fastseg.kernels.cuda.gaussian import across_kernel

    image, line = numba.float32[:, :, ::1], numba.float32[::1]
    arguments = (image, line, numba.int32[::1], numba.float32, numba.boolean, image)
    ptx = ptx_of(across_kernel, arguments, (8, 0))
    for operation in ("fma.rn.f32", "mul.f32", "sub.f32", "add.f32"):
        assert ptx.count(operation) % 4 == 0, operation
    assert ptx.count("fma.rn.f32") > 0
