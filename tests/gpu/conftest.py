"""Warnings are errors in the tests, but not those that GPU libraries have for each other."""

from __future__ import annotations

import importlib
import warnings
from contextlib import suppress

import pytest

_LIBRARIES = r"(cupy|cupyx|cupy_backends|cucim|cuda|numba|numba_cuda|rmm)\b.*"

# Imported before a test does, which would take a warning for a reason to skip; what is broken is reported there.
with warnings.catch_warnings(), suppress(Exception):
    warnings.simplefilter("ignore")
    importlib.import_module("cupy")
    importlib.import_module("cupyx.scipy.ndimage")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ignore what GPU libraries deprecate."""
    for item in items:
        if item.get_closest_marker("gpu"):
            for kind in ("DeprecationWarning", "FutureWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}:{_LIBRARIES}"))
