"""What numba-cuda still asks of NumPy, and NumPy no longer has."""

import importlib
from unittest.mock import patch

import numpy as np
from numba import config


def bridge():
    """Import the part of numba-cuda (up to 0.30) that names ``numpy.row_stack``, which NumPy 2.5 has removed.

    It is imported when the first kernel is made, and fails there. NumPy has the name for that moment only.
    """
    if config.ENABLE_CUDASIM or np.lib.NumpyVersion(np.__version__) < "2.5.0":
        return
    with patch.object(np, "row_stack", np.vstack, create=True):
        importlib.import_module("numba.cuda.cudaimpl")
