"""Planning a prediction: flips, patch size within the memory, and what it will read, write and compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from fastseg.arrays import Device
from fastseg.errors import UsageError
from fastseg.tiling import Grid
from fastseg.unet.cost import multiplications
from fastseg.unet.graph import Triple
from fastseg.unet.memory import PatchCost, choose_patch, fixed_bytes, patch_cost
from fastseg.unet.networks.registry import Architecture
from fastseg.unet.patches import AlignedGrid, CompatGrid, PatchGrid
from fastseg.unet.rule import Prediction

_SHARE = {"cpu": 0.5, "cuda": 0.8}
"""Part of the free memory that patches may take when nothing is said."""

_ENOUGH = {"cpu": 4 * 2**30, "cuda": 12 * 2**30}
"""Bytes beyond which larger patches save little. Below the free memory of most machines, so that a volume is cut in
the same way, and has the same last bit, whatever else is running."""

_LARGEST_BATCH = 8

COMPAT_PATCHES: dict[str, Triple] = {
    "unet_xy": (44, 140, 140),
    "unet_xy_zoom": (52, 420, 420),
}
"""Input sizes that the reference's published models are run with; in compat mode the result depends on the size."""


@dataclass(frozen=True)
class PatchReport:
    """What a prediction reads, writes and computes.

    Attributes
    ----------
    patch : PatchCost
        The largest patch.
    patches : int
        Runs of the network, flips included.
    read, written : int
        Voxels that the network is shown, and voxels of the result.
    multiplications : int
        Multiply-accumulate operations of all patches.
    """

    patch: PatchCost
    patches: int
    read: int
    written: int
    multiplications: int

    @property
    def read_ratio(self) -> float:
        """Voxels read for every voxel written."""
        return self.read / self.written

    def __str__(self) -> str:
        size = ",".join(map(str, self.patch.size_in))
        return (
            f"{self.patches} patch{'es' if self.patches != 1 else ''} of up to {size} voxels, {self.read_ratio:.1f} "
            f"voxels read for each one written, {_billions(self.multiplications)} billion multiplications"
        )


def _billions(count: int) -> str:
    return f"{count / 1e9:,.0f}" if count > 1e10 else f"{count / 1e9:.2g}"


def make_grid(
    arch: Architecture,
    shape: Sequence[int],
    mode: str = "aligned",
    patch: Triple | None = None,
    budget: int | None = None,
    device: Device | None = None,
    outputs: Sequence[int] = (0,),
    item_size: int = 4,
    whole: bool = False,
) -> PatchGrid:
    """The patches of a prediction.

    Parameters
    ----------
    arch : Architecture
    shape : (z, y, x)
        Of the volume, or of a tile of it.
    mode : {"aligned", "compat"}
    patch : (z, y, x), optional
        Input size. By default the largest that fits into memory; in compat mode, where the result depends on it, the
        one that published models are run with.
    budget : int, optional
        Bytes; see `patch_memory` for what is taken by default.
    device : Device, optional
        The CPU by default.
    outputs, item_size, whole
        As in `fastseg.unet.memory.patch_cost`, where the last is called ``at_once``.

    Raises
    ------
    UsageError
        If the mode is unknown, the patch is not a valid size, or nothing fits.
    """
    if mode not in ("aligned", "compat"):
        raise UsageError(f"patch mode '{mode}' is unknown: use aligned or compat")
    if patch is None and mode == "compat":
        patch = COMPAT_PATCHES.get(arch.name)
        if patch is None or not all(r.is_valid(n) for r, n in zip(arch.sizes.axes, patch, strict=True)):
            raise UsageError(f"patch mode 'compat' needs the patch size that {arch.name} was used with")
    if patch is None:
        room = patch_memory(device or Device("cpu")) if budget is None else budget
        cost = choose_patch(arch, shape, room, outputs, item_size, whole)
        return AlignedGrid(arch.sizes, cost.size_out)
    arch.sizes.check(patch)
    made = AlignedGrid if mode == "aligned" else CompatGrid
    return made(arch.sizes, arch.sizes.size_out(patch))


def patch_memory(device: Device) -> int:
    """Bytes that patches may take on a device when nothing is said."""
    from fastseg.arrays import free_bytes
    from fastseg.unet.torch_library import import_torch

    if device.kind == "cuda":
        torch = import_torch()
        unused = torch.cuda.memory_reserved(device.index) - torch.cuda.memory_allocated(device.index)
        free = torch.cuda.mem_get_info(device.index)[0] + unused
    else:
        free = free_bytes(device)
    return min(_ENOUGH[device.kind], int(free * _SHARE[device.kind]))


def batch_size(cost: PatchCost, budget: int, arch: Architecture, device: Device) -> int:
    """Patches that run together: more than one only on a GPU, where small patches leave it idle."""
    if device.kind == "cpu":
        return 1
    fixed = fixed_bytes(arch)
    return int(max(1, min(_LARGEST_BATCH, (budget - fixed) // max(1, cost.bytes - fixed))))


def report(params: Prediction, shape: Sequence[int], tile: Sequence[int] | None = None) -> PatchReport:
    """What a prediction of a volume takes, counted patch by patch.

    Parameters
    ----------
    params : Prediction
    shape : (z, y, x)
    tile : (z, y, x), optional
        The engine's tiles; one by default.
    """
    arch = params.model.architecture
    outputs = params.outputs
    sizes: dict[Triple, int] = {}
    for core in Grid.over(shape, tile):
        for flip in params.flips:
            for patch in params.grid.patches(core, shape, flip):
                sizes[patch.size] = sizes.get(patch.size, 0) + 1
    read = {size: prod(arch.sizes.size_in(size)) for size in sizes}
    work = {size: multiplications(arch.graph, arch.sizes.size_in(size), outputs) for size in sizes}
    largest = max(sizes, key=lambda size: read[size])
    return PatchReport(
        patch=patch_cost(arch, largest, outputs, at_once=params.at_once),
        patches=sum(sizes.values()),
        read=sum(n * read[size] for size, n in sizes.items()),
        written=prod(shape),
        multiplications=sum(n * work[size] for size, n in sizes.items()),
    )
