"""Jerman's ridge response of one voxel (Jerman et al., IEEE Transactions on Medical Imaging 35(9), 2016)."""

from numba import njit


@njit
def response(middle, last, floor, at_floor):
    """Response in [0, 1] to a bright ridge.

    Parameters
    ----------
    middle : float
        The deciding eigenvalue: the middle one by magnitude in 3-D, the larger one in 2-D.
    last : float
        The eigenvalue of largest magnitude.
    floor : float
        tau times the most negative `last` of the array; an eigenvalue between `floor` and 0 is lowered to it.
    at_floor : bool
        Whether a `last` equal to `floor` counts as lowered (2-D); the value is the same either way.
    """
    if middle >= 0.0 or last >= 0.0:
        return 0.0
    lowered = last
    if last > floor or (at_floor and last == floor):
        lowered = floor
    if middle < 0.5 * lowered:
        return 1.0
    gap = abs(lowered - middle)
    total = 2.0 * abs(middle) + gap
    cube = total * total * total
    if cube == 0.0:
        cube = 1e-10
    return 27.0 * middle * middle * gap / cube
