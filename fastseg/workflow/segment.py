"""Segmenting one image by a workflow's name: the Python entry point."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from warnings import warn

from fastseg.arrays import Device, namespace_of, parse_device, to_device, to_host
from fastseg.errors import UsageError
from fastseg.io.image import Image
from fastseg.tiling import Engine
from fastseg.types import Array
from fastseg.workflow.load import get_workflow
from fastseg.workflow.run import run_workflow
from fastseg.workflow.schema import Workflow
from fastseg.workflow.spacing import matching_ratio, to_grid


def segment(
    image: Image | Array,
    workflow: str | Path | Workflow,
    device: str | Device = "auto",
    *,
    rescale: float | None = None,
    match_spacing: bool = False,
    compat: bool = False,
    tile: tuple[int, int, int] | None = None,
) -> Array:
    """Segment one stack with a classic workflow.

    Parameters
    ----------
    image : Image or array (Z, Y, X)
        From `fastseg.read`, or a numpy or cupy array of any real dtype. Never modified.
    workflow : str, Path or Workflow
        Name (see ``fastseg workflows list``) or definition file.
    device : {"auto", "cpu", "cuda", "cuda:N"}
        Where to compute. ``auto``: where the array lives if it is a cupy array; otherwise the first GPU, or the CPU.
        A GPU whose memory does not suffice goes on with smaller tiles and, with ``auto``, hands over to the CPU; a
        warning says so.
    rescale : float, optional
        Ratio by which y and x are resampled after normalisation; the result stays on that grid.
    match_spacing : bool
        Rescale to the pixel size that the workflow was tuned for, and bring the result back to the image's own grid.
        Needs an `Image` with a voxel size. Excludes `rescale`.
    compat : bool
        Restore what the reference implementation does where fastseg differs on purpose.
    tile : 3 ints, optional
        Largest tile (z, y, x) in voxels. The result does not depend on it.

    Returns
    -------
    array (Z, Y, X)
        0 and the workflow's foreground value (255, uint8, for nearly all); cupy if `image` is cupy, else numpy.

    Raises
    ------
    UsageError
        Unknown workflow, device or ratio; with `match_spacing` an unknown voxel size, or a workflow that does not
        rescale or does not say what it was tuned for.
    GpuMemoryError
        If the memory of a GPU that was named does not suffice for tiles of any size.
    InputError
        If the image cannot be segmented: not 3-D, NaN, constant; with `match_spacing` also if its pixels are
        not square.
    """
    definition = get_workflow(workflow)
    if match_spacing:
        rescale = _matching(definition, image, rescale)
    array: Any = image.volume() if isinstance(image, Image) else image
    origin = namespace_of(array).device
    target = origin if device == "auto" and origin.kind == "cuda" else parse_device(device)
    outcome = run_workflow(
        definition,
        array,
        engine=Engine(tile, device=target),
        rescale=rescale,
        compat=compat,
        or_cpu=device == "auto",
    )
    for text in outcome.shortages:
        warn(text, RuntimeWarning, stacklevel=2)
    if match_spacing:
        return to_grid(to_host(outcome.result), array.shape)
    return to_host(outcome.result) if origin.kind == "cpu" else to_device(outcome.result, origin)


def _matching(workflow: Workflow, image: Image | Array, rescale: float | None) -> float | None:
    if rescale is not None:
        raise UsageError(f"match_spacing finds the ratio itself: leave out rescale={rescale:g}")
    if not isinstance(image, Image):
        raise UsageError(
            "match_spacing needs an Image with a voxel size, from fastseg.read or Image.from_array"
        )
    return matching_ratio(workflow, image.spacing)
