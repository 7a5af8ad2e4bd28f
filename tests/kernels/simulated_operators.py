"""Compares whole operators on a simulated device with the CPU: every line between a call and the kernels is run.

Run by ``python -m tests.kernels.simulated``. The device holds NumPy arrays; kernels are the CUDA ones, simulated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from scipy import ndimage as ndi

from fastseg.arrays import Device, Namespace
from fastseg.arrays.host_steps import host_steps
from fastseg.operators.registry import registry
from fastseg.operators.run import apply
from fastseg.tiling import Engine
from tests.kernels.simulated_filters import small_boxes, small_diffusion, small_gaussian
from tests.kernels.simulator import launches
from tests.support import image, mask

SHAPE = (5, 7, 9)


class Simulated(Namespace):
    """A device whose arrays are NumPy's."""

    @property
    def ndi(self) -> ModuleType:
        return ndi

    def active(self) -> AbstractContextManager[Any]:
        return nullcontext()


DEVICE = Simulated(np, Device("cuda"))


def _same(
    name: str, *arrays: np.ndarray, tile: tuple[int, ...] | None = None, **parameters: Any
) -> np.ndarray:
    """The answer, found equal to that of the CPU; inputs are left as they are."""
    before = [a.copy() for a in arrays]
    expected = apply(registry()[name], *arrays, engine=Engine(tile=tile), **parameters)
    engine = Engine(tile=tile)
    engine.ns = DEVICE
    with patch("fastseg.operators.object_histograms.namespace_of", lambda *parts: DEVICE):
        found = apply(registry()[name], *arrays, engine=engine, **parameters)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)
    return np.asarray(found)


def on_objects() -> None:
    for kind in ("half", "empty", "full"):
        for tile in (None, (3, 4, 5)):
            objects = mask(kind, SHAPE, 1)
            _same("label_objects", objects, tile=tile, connectivity=2)
            _same("remove_small_objects", objects, tile=tile, min_size=4)
            _same("remove_small_objects_slices", objects, tile=tile, min_size=3)
            for border in (True, False):
                holes = {"hole_min": 0, "hole_max": 6, "fill_border": border}
                _same("fill_holes", objects, tile=tile, slices=border, **holes)
            _same("fill_all_holes", objects, tile=tile)
    labels = np.random.default_rng(2).integers(-2, 9, SHAPE).astype(np.int32)
    assert _same("remove_small_labels", labels, min_size=25).any()


def on_planes_alone() -> None:
    plane = mask("half", (7, 11), 3)
    _same("label_objects", plane, connectivity=2)
    _same("remove_small_objects", plane, min_size=3)
    _same("fill_holes", plane, hole_min=0, hole_max=5)
    _same("dilate", plane, radius=2)


def morphology() -> None:
    objects = mask("blobs", SHAPE, 4)
    _same("erode", objects, radius=1)
    _same("dilate", objects, radius=2, shape="disk")
    _same("contour", objects)
    _same("erode_image", image("noise", SHAPE, 5))


def thresholds() -> None:
    objects = mask("half", SHAPE, 6)
    for tile in (None, (3, 4, 5)):
        _same("object_otsu_threshold", image("blobs", SHAPE, 7), objects, tile=tile)


def splitting() -> None:
    pixels, objects = image("ties", SHAPE, 8), mask("dense", SHAPE, 9)
    for tile in (None, (3, 4, 5)):
        peaks = _same("local_maxima", pixels, objects, tile=tile)
        for on_device in (True, False):
            with patch("fastseg.operators.splitting.flood_on_device", return_value=on_device):
                _same("watershed_split", objects, peaks, tile=tile)
    _same("local_maxima", pixels, objects, compat=True)
    _same("watershed_split", objects, peaks, compat=True)
    seeds = ndi.label(mask("sparse", SHAPE, 3))[0].astype(np.int32)
    _same("watershed", pixels, seeds)


def host_steps_are_declared() -> None:
    pixels, objects = image("ties", SHAPE, 8), mask("dense", SHAPE, 9)
    peaks = apply(registry()["local_maxima"], pixels, objects)
    on_device = "fastseg.operators.splitting.flood_on_device"
    with host_steps() as found, patch(on_device, return_value=True):
        _same("local_maxima", pixels, objects)
        _same("watershed_split", objects, peaks)
        _same("thin_preserving_topology", objects)
        _same("label_objects", objects)
    assert found == []
    with host_steps() as found:
        with patch(on_device, return_value=False):
            _same("watershed_split", objects, peaks)
        _same("watershed_split", objects, peaks, compat=True)
        _same("local_maxima", pixels, objects, compat=True)
    assert [step.name for step in found] == ["flood of objects", "flood_in_heap_order", "peaks_compat"]


def thinning() -> None:
    for tile in (None, (2, 7, 9)):
        _same("thin_preserving_topology", mask("blobs", SHAPE, 10), tile=tile, thin=1)


def launches_of_workflows() -> None:
    """The launches that times are predicted from are those of whole workflows, whose masks equal the CPU's."""
    from bench.phantom import phantom
    from bench.predicted import WORKFLOWS, launches_of
    from fastseg.kernels.cuda import diffusion, gaussian, statistics
    from fastseg.workflow.load import get_workflow
    from fastseg.workflow.run import run_workflow

    counts = phantom((2, 5, 15), 3)
    with ExitStack() as patched:
        for enter in (
            small_gaussian(gaussian, 48 << 10),
            small_boxes(statistics),
            small_diffusion(diffusion),
        ):
            patched.enter_context(enter)
        for carrier in ("filters._to_keep", "namespace.to_device"):
            patched.enter_context(patch(f"fastseg.arrays.{carrier}", lambda array, device: array))
        patched.enter_context(patch("fastseg.operators.smoothing.namespace_of", lambda *arrays: DEVICE))
        for name in WORKFLOWS:
            if name == "actb":  # made of parts of the others, and the longest
                continue
            expected = run_workflow(get_workflow(name), counts, engine=Engine()).result
            engine = Engine()
            engine.ns = DEVICE
            with launches() as launched:
                found = run_workflow(get_workflow(name), counts, engine=engine).result
            assert expected.any()
            assert np.count_nonzero(found != expected) <= 2  # float32 on a threshold
            assert Counter(launched) == launches_of(name), name


CASES: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        on_objects,
        on_planes_alone,
        morphology,
        thresholds,
        splitting,
        host_steps_are_declared,
        thinning,
        launches_of_workflows,
    )
}
