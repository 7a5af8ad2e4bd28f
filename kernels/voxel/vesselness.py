"""Jerman's ridge response of one voxel (Jerman et al., IEEE Transactions on Medical Imaging 35(9), 2016)."""

import numpy as np
from numba import njit

_ZERO = np.float32(0.0)
_HALF = np.float32(0.5)
_ONE = np.float32(1.0)
_27 = np.float32(27.0)


@njit(error_model="numpy", forceinline=True)
def response(middle, last, floor):
    """Response in [0, 1] to a bright ridge; float32.

    The published ``27 m**2 (l - m) / (m + l)**3`` for eigenvalues of magnitudes m and l, written with their ratio,
    which neither overflows nor underflows whatever the range of the image.

    Parameters
    ----------
    middle : float32
        The deciding eigenvalue: the middle one by magnitude in 3-D, the larger one in 2-D.
    last : float32
        The eigenvalue of largest magnitude.
    floor : float32
        tau times the most negative `last` of the array; an eigenvalue between `floor` and 0 is lowered to it.
    """
    lowered = min(last, floor)
    ratio = middle / lowered
    rise = ratio + _ONE
    curve = _27 * ratio * ratio * (_ONE - ratio) / (rise * rise * rise)
    found = _ONE if middle < _HALF * lowered else min(curve, _ONE)
    return found if middle < _ZERO and last < _ZERO else _ZERO
