"""How large patches may be: the largest that memory allows read the fewest voxels twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from fastseg.arrays import Device
from fastseg.errors import UsageError
from fastseg.unet.cost import activation_bytes, largest_array, multiplications, parameters
from fastseg.unet.graph import Triple
from fastseg.unet.networks.registry import Architecture
from fastseg.unet.patches import AlignedGrid, aligned_spans
from fastseg.unet.schedule import streamed_bytes

_LIBRARY = 200 * 2**20
"""What PyTorch takes beside weights and activations."""

_LARGEST_ARRAY = 2**31 - 1
"""Numbers of an array that is computed at once: beyond that GPU libraries have no fast convolution in 3-D, and PyTorch
takes one that needs many times the memory (github.com/pytorch/pytorch/issues/128947)."""


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


def at_once(device: Device, compiled: bool = False) -> bool:
    """Whether a network computes whole patches, layer by layer, and not some planes at a time.

    On the CPU planes save memory, with which patches can be larger, and page faults. GPUs have not been measured; a
    compiled network is one piece.
    """
    return compiled or device.kind != "cpu"


def fixed_bytes(arch: Architecture) -> int:
    """Memory that does not depend on the patch: the weights, once more while they are folded, and the library."""
    return 2 * 4 * parameters(arch.graph) + _LIBRARY


def patch_cost(
    arch: Architecture,
    size_out: Triple,
    outputs: Sequence[int] = (0,),
    item_size: int = 4,
    at_once: bool = False,
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
    at_once : bool
        Whether every layer computes the whole patch, as on a GPU, and not some planes at a time.
    """
    size_in = arch.sizes.size_in(size_out)
    bytes_of = activation_bytes if at_once else streamed_bytes
    needed = bytes_of(arch.folded, size_in, tuple(outputs)) * item_size // 4 + fixed_bytes(arch)
    return PatchCost(size_in, size_out, needed, multiplications(arch.graph, size_in, outputs))


def choose_patch(
    arch: Architecture,
    shape: Sequence[int],
    budget: int,
    outputs: Sequence[int] = (0,),
    item_size: int = 4,
    at_once: bool = False,
) -> PatchCost:
    """The patch that computes a volume with the least arithmetic within a memory budget.

    Parameters
    ----------
    arch : Architecture
    shape : (z, y, x)
        Of the volume, or of a tile of it.
    budget : int
        Bytes for one patch, weights and library included.
    outputs, item_size, at_once
        As in `patch_cost`.

    Raises
    ------
    UsageError
        If not even the smallest patch fits.
    """
    z, y, x = shape
    found = _choose(arch, (z, y, x), budget, tuple(outputs), item_size, at_once)
    if found is not None:
        return found
    least = patch_cost(arch, smallest_patch(arch), outputs, item_size, at_once)
    raise UsageError(
        f"a memory budget of {budget / 2**20:.0f} MiB is too small for {arch.name}: its smallest patch "
        f"{','.join(map(str, least.size_in))} needs {least.bytes / 2**20:.0f} MiB"
    )


@lru_cache(maxsize=64)
def _choose(
    arch: Architecture, shape: Triple, budget: int, outputs: tuple[int, ...], item_size: int, at_once: bool
) -> PatchCost | None:
    """Of all ways to cut the plane into equal parts the one with the least arithmetic; None if nothing fits."""
    depths, rows, columns = (
        _parts(n, rule.period, rule.output_for(rule.period))
        for n, rule in zip(shape, arch.sizes.axes, strict=True)
    )
    best: tuple[tuple[int, int], PatchCost] | None = None
    for height in rows:
        for width in columns:
            cost = _deepest_that_fits(arch, depths, (height, width), budget, outputs, item_size, at_once)
            if cost is None:
                continue
            score = volume_multiplications(arch, shape, cost.size_out, outputs), cost.bytes
            if best is None or score < best[0]:
                best = score, cost
            if cost.size_out[0] == depths[0]:
                break  # narrower ones only read more
    return None if best is None else best[1]


def _parts(length: int, period: int, shortest: int) -> list[int]:
    """Valid output lengths that cut an axis into 1, 2, 3, ... parts of about equal lengths, the longest first."""
    found: list[int] = []
    count = 1
    while not found or found[-1] > shortest:
        part = length if count == 1 else -(-length // (count * period)) * period
        # a patch may be longer than its part: lengths come in steps of a period, from the shortest
        found.append(shortest + max(0, -(-(part - shortest) // period)) * period)
        count = max(count + 1, -(-length // max(part - period, 1)))
    return found


def smallest_patch(arch: Architecture) -> Triple:
    """Output size of the smallest patch that an aligned grid can be made of."""
    z, y, x = (rule.output_for(rule.period) for rule in arch.sizes.axes)
    return z, y, x


def _deepest_that_fits(
    arch: Architecture,
    depths: Sequence[int],
    area: tuple[int, int],
    budget: int,
    outputs: Sequence[int],
    item_size: int,
    at_once: bool,
) -> PatchCost | None:
    """The patch of these rows and columns with the most planes; `depths` go from many to few."""
    low, high = 0, len(depths)
    found = None
    while low < high:
        middle = (low + high) // 2
        cost = patch_cost(arch, (depths[middle], *area), outputs, item_size, at_once)
        indexed = not at_once or largest_array(arch.folded, cost.size_in, outputs) <= _LARGEST_ARRAY
        if cost.bytes <= budget and indexed:
            found, high = cost, middle
        else:
            low = middle + 1
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
