"""Which planes of a stack a person is shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STEP = 4
"""Planes between the middle one and those shown below and above it."""

_EMPTY_PLANE = 1e-5
"""Added to the voxels of every plane, as the reference does, so that no weight is 0."""


_ROUNDING = 1e-9
"""Relative difference up to which two values of the criterion are equal but for rounding."""


@dataclass(frozen=True)
class View:
    """A plane of a stack, or its maximum projection.

    Attributes
    ----------
    name : str
        ``max``, ``middle``, ``below`` or ``above``.
    plane : int or None
        None for the projection.
    """

    name: str
    plane: int | None


def middle_plane(mask: np.ndarray) -> int:
    """The plane that parts the foreground's profile along z best, by Otsu's criterion.

    With h the foreground voxels of each of Z planes (plus 1e-5) at t = z / (Z - 1), the split after plane z that
    maximises w1 w2 (m1 - m2)^2, the first of equals; w are the sums of h on either side and m the means of t.

    Parameters
    ----------
    mask : ndarray of bool (Z, Y, X)

    Returns
    -------
    int
        Z // 2 for an empty mask and for a single plane. Where the plane of the split holds no foreground (two objects
        far apart), the nearest one that does, the lower of two.

    Notes
    -----
    The reference scales t by Z instead of Z - 1 in the end, so its plane may be one higher.
    """
    counts = np.count_nonzero(mask, axis=(1, 2))
    depth = len(counts)
    if depth == 1 or not counts.any():
        return depth // 2
    h = counts + _EMPTY_PLANE
    t = np.arange(depth) / (depth - 1)
    below = np.cumsum(h)[:-1]
    above = np.cumsum(h[::-1])[::-1][1:]
    mean_below = np.cumsum(h * t)[:-1] / below
    mean_above = np.cumsum((h * t)[::-1])[::-1][1:] / above
    criterion = below * above * (mean_below - mean_above) ** 2
    split = int(np.argmax(criterion >= criterion.max() * (1 - _ROUNDING)))
    filled = np.flatnonzero(counts)
    return int(filled[np.argmin(np.abs(filled - split))])


def views_of(mask: np.ndarray) -> list[View]:
    """What is shown of a stack: the projection, the middle plane, and the planes 4 below and above it.

    Planes outside the stack are replaced by its first or last one. Views that would show the same plane again are left
    out: of a single plane, only the projection (which is that plane) remains.

    Parameters
    ----------
    mask : ndarray of bool (Z, Y, X)
        The (first) segmentation, which decides on the middle plane.
    """
    last = mask.shape[0] - 1
    views = [View("max", None)]
    if last == 0:
        return views
    middle = middle_plane(mask)
    views.append(View("middle", middle))
    for name, plane in (("below", max(0, middle - STEP)), ("above", min(last, middle + STEP))):
        if plane != middle:
            views.append(View(name, plane))
    return views
