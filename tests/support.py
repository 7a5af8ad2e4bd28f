"""Helpers shared by the tests: golden arrays, comparison bit for bit, images of several characters."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage as ndi

from tests.golden import archive

ROOT = Path(__file__).resolve().parents[1]

IMAGES = ("smooth", "noise", "ties", "blobs", "offset", "constant")
MASKS = ("sparse", "half", "dense", "blobs", "winding", "empty", "full")


def golden(name: str) -> np.ndarray:
    """An array of the reference implementation's results, read-only; `raw` is the input of them all."""
    return archive("operators")[name]


def golden_parameters() -> dict[str, dict[str, Any]]:
    """For every golden array its parameters and, under ``input``, which golden array it was made from."""
    return json.loads(str(golden("parameters")))


def assert_identical(got: Any, expected: Any) -> None:
    """The same type, dtype, shape and bits; of scalars, the same type and value."""
    assert type(got) is type(expected)
    if not isinstance(expected, np.ndarray):
        assert got == expected
        return
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    same = np.ascontiguousarray(got).view(np.uint8) == np.ascontiguousarray(expected).view(np.uint8)
    assert same.all(), f"{np.count_nonzero(got != expected)} of {got.size} voxels differ"


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only copy, so that writing to an input raises."""
    array = array.copy()
    array.flags.writeable = False
    return array


def image(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A float32 image of one of the characters `IMAGES`."""
    rng = np.random.default_rng(seed)
    if kind == "smooth":
        return ndi.gaussian_filter(rng.random(shape), 1.5).astype(np.float32)
    if kind == "noise":
        return rng.standard_normal(shape, dtype=np.float32)
    if kind == "ties":
        return rng.integers(-1, 4, shape).astype(np.float32)
    if kind == "blobs":
        return blobs(shape, rng) + 0.02 * rng.random(shape, dtype=np.float32)
    if kind == "offset":
        return (30000 + 500 * rng.random(shape)).astype(np.float32)
    return np.full(shape, np.float32(rng.integers(-2, 3)))


def blobs(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Gaussian spots of different heights on a dark background; float32."""
    points = np.zeros(shape)
    for _ in range(max(2, points.size // 300)):
        points[tuple(rng.integers(0, n) for n in shape)] = rng.uniform(0.2, 1)
    smooth = ndi.gaussian_filter(points, 1.2, mode="nearest")
    return (smooth / max(smooth.max(), 1e-9)).astype(np.float32)


def mask(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """A bool mask of one of the characters `MASKS`."""
    rng = np.random.default_rng(seed)
    if kind == "blobs":
        return blobs(shape, rng) > 0.2
    if kind == "winding":
        return winding(shape)
    density = {"sparse": 0.05, "half": 0.45, "dense": 0.9, "empty": 0.0, "full": 1.1}[kind]
    return rng.random(shape) < density


def winding(shape: tuple[int, ...]) -> np.ndarray:
    """One-voxel paths that wind to and fro along the last two axes: few objects that cross every tile many times."""
    found = np.zeros(shape, bool)
    found[..., ::2, :] = True
    found[..., 1::4, -1] = True
    found[..., 3::4, 0] = True
    return found


def interrupts_heeded() -> None:
    """For a process about to start: heed Ctrl-C, which what runs in the background of a script ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
