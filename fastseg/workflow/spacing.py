"""Physical pixel sizes: what a workflow was tuned for, and images of another size."""

from __future__ import annotations

import numpy as np

from fastseg.errors import UsageError
from fastseg.types import Spacing
from fastseg.workflow.schema import Workflow

_NOTICEABLE = 0.2
_EQUAL = 1e-3
_SQUARE = 0.01


def spacing_note(workflow: Workflow, spacing: Spacing | None) -> str | None:
    """A remark when an image's pixels differ by more than 20 % from those the workflow was tuned for."""
    tuned = workflow.tuned_yx_um
    if tuned is None or spacing is None or abs(spacing[2] / tuned - 1) <= _NOTICEABLE:
        return None
    return (
        f"pixels are {spacing[2]:g} um, '{workflow.name}' was tuned at {tuned:g} um: "
        "--match-spacing rescales, or change the workflow's sizes"
    )


def matching_ratio(workflow: Workflow, spacing: Spacing | None) -> float | None:
    """The rescale ratio that brings an image to the pixel size a workflow was tuned for; None when it is there already.

    Only y and x are rescaled, as in the reference implementation.

    Raises
    ------
    UsageError
        If the workflow does not say its pixel size or does not rescale, if the image's is unknown, or if its pixels are
        not square.
    """
    if workflow.tuned_yx_um is None:
        raise UsageError(
            f"workflow '{workflow.name}' does not say at which pixel size it was tuned (tuned_yx_um)"
        )
    if workflow.rescale == "ignored":
        raise UsageError(f"workflow '{workflow.name}' does not rescale, so its pixel size cannot be matched")
    if spacing is None:
        raise UsageError("the image's voxel size is unknown: give it with --spacing z,y,x to match it")
    if abs(spacing[1] / spacing[2] - 1) > _SQUARE:
        raise UsageError(f"pixels of {spacing[1]:g} x {spacing[2]:g} um are not square and cannot be matched")
    ratio = spacing[2] / workflow.tuned_yx_um
    return None if abs(ratio - 1) <= _EQUAL else ratio


def to_grid(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask brought back to the grid it was rescaled from: nearest voxel, first and last samples coinciding.

    Parameters
    ----------
    mask : (Z, Y', X')
    shape : (Z, Y, X)

    Returns
    -------
    (Z, Y, X), dtype of `mask`
    """
    if mask.shape == tuple(shape):
        return mask
    rows, columns = (
        np.rint(np.arange(n) * ((m - 1) / (n - 1) if n > 1 else 0)).astype(np.intp)
        for n, m in zip(shape[1:], mask.shape[1:], strict=True)
    )
    return mask[:, rows[:, None], columns]
