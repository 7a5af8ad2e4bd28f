"""How large patches may be: the largest that memory allows read the fewest voxels twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from fastseg.errors import UsageError
from fastseg.unet.cost import activation_bytes, multiplications, parameters
from fastseg.unet.graph import Triple
from fastseg.unet.networks.registry import Architecture
from fastseg.unet.patches import AlignedGrid, aligned_spans

_LIBRARY = 200 * 2**20
"""What PyTorch takes beside weights and activations."""


@dataclass(frozen=True)
class PatchCost:
    """What one patch takes.

    Attributes
    ----------
    size_in, size_out : (z, y, x)
    bytes : int
        Memory while it is computed, with weights and library.
    multiplications : int
    """

    size_in: Triple
    size_out: Triple
    bytes: int
    multiplications: int

    @property
    def read_ratio(self) -> float:
        """Voxels read for every voxel written."""
        return prod(self.size_in) / prod(self.size_out)


def fixed_bytes(arch: Architecture) -> int:
    """Memory that does not depend on the patch: the weights, once more while they are folded, and the library."""
    return 2 * 4 * parameters(arch.graph) + _LIBRARY


def patch_cost(
    arch: Architecture, size_out: Triple, outputs: Sequence[int] = (0,), item_size: int = 4
) -> PatchCost:
    """Memory and arithmetic of a patch.

    Parameters
    ----------
    arch : Architecture
    size_out : (z, y, x)
        A valid output size.
    outputs : sequence of int
        The outputs that are computed.
    item_size : int
        Bytes of a number: 4 in single, 2 in half precision.
    """
    size_in = arch.sizes.size_in(size_out)
    needed = activation_bytes(arch.graph, size_in, outputs) * item_size // 4 + fixed_bytes(arch)
    return PatchCost(size_in, size_out, needed, multiplications(arch.graph, size_in, outputs))


def choose_patch(
    arch: Architecture,
    shape: Sequence[int],
    budget: int,
    outputs: Sequence[int] = (0,),
    item_size: int = 4,
) -> PatchCost:
    """The patch that computes a volume with the least arithmetic within a memory budget.

    Parameters
    ----------
    arch : Architecture
    shape : (z, y, x)
        Of the volume, or of a tile of it.
    budget : int
        Bytes for one patch, weights and library included.
    outputs, item_size
        As in `patch_cost`.

    Raises
    ------
    UsageError
        If not even the smallest patch fits.
    """
    depth_rule, row_rule, column_rule = arch.sizes.axes
    best: tuple[tuple[int, int], PatchCost] | None = None
    sides = _lengths(
        row_rule.output_for(max(shape[1:])), row_rule.period, row_rule.output_for(row_rule.period)
    )
    for side in sides:
        rows = min(side, row_rule.output_for(_whole(shape[1], row_rule.period)))
        columns = min(side, column_rule.output_for(_whole(shape[2], column_rule.period)))
        deepest = depth_rule.output_for(_whole(shape[0], depth_rule.period))
        cost = _deepest_that_fits(arch, (deepest, rows, columns), budget, outputs, item_size)
        if cost is None:
            break
        score = volume_multiplications(arch, shape, cost.size_out, outputs), cost.bytes
        if best is None or score < best[0]:
            best = score, cost
    if best is not None:
        return best[1]
    least = patch_cost(arch, smallest_patch(arch), outputs, item_size)
    raise UsageError(
        f"a memory budget of {budget / 2**20:.0f} MiB is too small for {arch.name}: its smallest patch "
        f"{','.join(map(str, least.size_in))} needs {least.bytes / 2**20:.0f} MiB"
    )


def _whole(length: int, period: int) -> int:
    return -(-length // period) * period


def _lengths(longest: int, period: int, shortest: int) -> list[int]:
    """Valid output lengths to try: all of them up to 32 periods, then wider steps."""
    steps = max(0, (longest - shortest) // period)
    stride = max(1, steps // 32)
    return [shortest + period * n for n in (*range(0, steps, stride), steps)]


def smallest_patch(arch: Architecture) -> Triple:
    """Output size of the smallest patch that an aligned grid can be made of."""
    z, y, x = (rule.output_for(rule.period) for rule in arch.sizes.axes)
    return z, y, x


def _deepest_that_fits(
    arch: Architecture, size_out: Triple, budget: int, outputs: Sequence[int], item_size: int
) -> PatchCost | None:
    """The patch of these rows and columns with the most planes, up to those given."""
    rule = arch.sizes.axes[0]
    shallowest = rule.output_for(rule.period)
    low, high = 0, max(0, size_out[0] - shallowest) // rule.period
    found = None
    while low <= high:
        middle = (low + high) // 2
        depth = shallowest + middle * rule.period
        cost = patch_cost(arch, (depth, *size_out[1:]), outputs, item_size)
        if cost.bytes <= budget:
            found, low = cost, middle + 1
        else:
            high = middle - 1
    return found


def volume_multiplications(
    arch: Architecture, shape: Sequence[int], size_out: Triple, outputs: Sequence[int] = (0,)
) -> int:
    """Arithmetic of a whole volume on the aligned grid."""
    grid = AlignedGrid(arch.sizes, size_out)
    per_axis = []
    for n, rule, step in zip(shape, grid.sizes.axes, grid.step(shape), strict=True):
        counts: dict[int, int] = {}
        for span in aligned_spans(0, n, n, step, rule):
            counts[span.size] = counts.get(span.size, 0) + 1
        per_axis.append(counts)
    total = 0
    for z, nz in per_axis[0].items():
        for y, ny in per_axis[1].items():
            for x, nx in per_axis[2].items():
                work = multiplications(arch.graph, arch.sizes.size_in((z, y, x)), outputs)
                total += nz * ny * nx * work
    return total
