"""Physical pixel sizes: what a workflow was tuned for, and images of another size."""

from __future__ import annotations

import numpy as np

from fastseg.errors import InputError, UsageError
from fastseg.types import Spacing
from fastseg.workflow.schema import Workflow

_NOTICEABLE = 0.2
_EQUAL = 1e-3
_SQUARE = 0.01


def spacing_note(workflow: Workflow, spacing: Spacing | None, rescale: float | None = None) -> str | None:
    """A remark when an image's pixels differ by more than 20 % from those the workflow was tuned for.

    Parameters
    ----------
    workflow : Workflow
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres.
    rescale : float, optional
        Ratio by which y and x are resampled, which makes the pixels that much smaller.
    """
    tuned = workflow.tuned_yx_um
    if tuned is None or spacing is None:
        return None
    active = rescale is not None and workflow.rescale == "supported"
    pixel = spacing[2] / rescale if active and rescale is not None else spacing[2]
    if abs(pixel / tuned - 1) <= _NOTICEABLE:
        return None
    rescaled = " after rescaling" if active else ""
    return (
        f"pixels are {pixel:.4g} um{rescaled}, '{workflow.name}' was tuned at {tuned:g} um: --match-spacing or "
        f"--rescale {spacing[2] / tuned:.4g} brings them together"
    )


def check_matchable(workflow: Workflow) -> float:
    """The pixel size, in micrometres, to which images can be brought for a workflow.

    Raises
    ------
    UsageError
        If the workflow does not say its pixel size or does not rescale.
    """
    if workflow.rescale == "ignored" or not any(step.when == "rescale" for step in workflow.steps):
        raise UsageError(f"workflow '{workflow.name}' does not rescale, so images cannot be matched to it")
    if workflow.tuned_yx_um is None:
        raise UsageError(
            f"workflow '{workflow.name}' does not say at which pixel size it was tuned (tuned_yx_um)"
        )
    return workflow.tuned_yx_um


def matching_ratio(workflow: Workflow, spacing: Spacing | None) -> float | None:
    """The rescale ratio that brings an image to the pixel size a workflow was tuned for; None when it is there already.

    Only y and x are rescaled, as in the reference implementation.

    Parameters
    ----------
    workflow : Workflow
    spacing : tuple of float or None
        Voxel size (z, y, x) in micrometres.

    Raises
    ------
    UsageError
        If the workflow does not say its pixel size or does not rescale, or if the image's pixel size is unknown.
    InputError
        If the image's pixels are not square.
    """
    tuned = check_matchable(workflow)
    if spacing is None:
        raise UsageError("the image's voxel size is unknown: give it with --spacing z,y,x to match it")
    if abs(spacing[1] / spacing[2] - 1) > _SQUARE:
        raise InputError(f"pixels of {spacing[1]:g} x {spacing[2]:g} um are not square and cannot be matched")
    ratio = spacing[2] / tuned
    return None if abs(ratio - 1) <= _EQUAL else ratio


def to_grid(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A result brought back to the grid it was rescaled from, the first and last samples coinciding.

    Masks and labels take the nearest voxel, images are interpolated linearly.

    Parameters
    ----------
    array : (Z, Y', X') or (Y', X')
    shape : tuple of int
        Of the wanted grid; its last two entries, Y and X, count.

    Returns
    -------
    (Z, Y, X) or (Y, X), dtype of `array`
    """
    for axis, length in ((-2, shape[-2]), (-1, shape[-1])):
        if array.shape[axis] != length:
            array = _resampled(array, axis, length)
    return array


def _resampled(array: np.ndarray, axis: int, length: int) -> np.ndarray:
    old = array.shape[axis]
    places = np.linspace(0, old - 1, length)
    if array.dtype.kind != "f":
        return array.take(np.rint(places).astype(np.intp), axis=axis)
    below = np.minimum(places.astype(np.intp), max(0, old - 2))
    weight = (places - below).astype(array.dtype)
    weight = weight.reshape(-1, *([1] * (-1 - axis)))
    low = array.take(below, axis=axis)
    if old > 1:
        low += weight * (array.take(below + 1, axis=axis) - low)
    return low
