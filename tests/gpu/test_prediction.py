"""Prediction on a GPU gives the published probabilities, as the CPU does. Run with `make test-gpu`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("torch", reason="prediction needs PyTorch", exc_type=ImportError)

import torch

from fastseg.arrays import Device
from fastseg.arrays.device import cuda_devices, why_no_cuda
from fastseg.errors import InputError
from fastseg.tiling import Engine
from fastseg.unet.model import make_model
from fastseg.unet.model_info import Selection
from fastseg.unet.predict import predict
from fastseg.unet.runner import Runner
from tests.unet.published import CASES, batch_of, golden, image_of, meta, model_of, network_of, state_of
from tests.unet.small import small_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda_devices(), reason=f"no CUDA device: {why_no_cuda()}"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device"),
]

TOLERANCE = 2e-5
GPU = Device("cuda", 0)
SHAPE = (21, 90, 130)


@pytest.fixture(autouse=True)
def all_memory() -> Iterator[None]:
    """Give what a test took back to the device."""
    yield
    torch.cuda.empty_cache()


@pytest.mark.parametrize("case", CASES)
def test_probabilities_are_the_published_ones(case: str) -> None:
    arch, about = network_of(case), meta()["cases"][case]
    runner = Runner(make_model(arch, state_of(arch)), GPU)
    for output, classes in enumerate(about["nclass"]):
        picks = [Selection.model_validate({"output": output, "class": c}) for c in range(classes)]
        maps = runner.submit(batch_of(case), picks)()
        expected = golden()[f"{case}/out{output}"]
        found = maps[1][0] if expected.ndim == 3 else np.stack(list(maps), -1)
        found = found[::2, ::5, ::5] if case == "zoom3_default" else found
        np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("mode", ["aligned", "compat"])
@pytest.mark.parametrize("flips", ["none", "single"])
def test_prediction_is_that_of_the_cpu(mode: str, flips: str) -> None:
    model, image = model_of("unet_xy"), image_of(0, 0, (10, 60, 70))
    patch = (44, 140, 140) if mode == "compat" else None
    expected = predict(model, image, device="cpu", mode=mode, flips=flips, patch=patch).array()
    found = predict(model, image, device="cuda", mode=mode, flips=flips, patch=patch).array()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)
    assert expected.std() > 0.01


def test_zoom_network_is_that_of_the_cpu() -> None:
    model, image = model_of("unet_xy_zoom", zoom_ratio=2), image_of(0, 0, (10, 60, 70))
    expected = predict(model, image, device="cpu").array()
    np.testing.assert_allclose(predict(model, image, device="cuda").array(), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("tile", [None, (8, 40, 64), (21, 90, 33)])
@pytest.mark.parametrize("memory", [None, 2**29])
def test_the_result_does_not_depend_on_patches_or_tiles(tile: tuple | None, memory: int | None) -> None:
    image = image_of(1, 0, SHAPE)
    expected = predict(small_model(), image, device="cpu").array()
    found = predict(small_model(), image, device="cuda", engine=Engine(tile), memory=memory).array()
    np.testing.assert_allclose(found, expected, atol=TOLERANCE, rtol=0)


def test_masks_are_thresholded_on_the_device() -> None:
    image = image_of(2, 0, SHAPE)
    probability = predict(small_model(), image, device="cpu").array()
    threshold = float(np.median(probability))
    found = predict(small_model(), image, device="cuda", threshold=threshold).array().astype(bool)
    sure = abs(probability - threshold) > TOLERANCE
    np.testing.assert_array_equal(found[sure], (probability > threshold)[sure])
    assert 0.4 < found.mean() < 0.6


@pytest.mark.parametrize(("precision", "tolerance"), [("tf32", 0.01), ("bfloat16", 0.1), ("float16", 0.02)])
def test_lower_precision_is_near(precision: str, tolerance: float) -> None:
    image = image_of(3, 0, SHAPE)
    expected = predict(small_model(), image, device="cpu").array()
    found = predict(small_model(), image, device="cuda", precision=precision).array()
    assert abs(found - expected).max() < tolerance
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99


def test_overflow_in_half_precision_is_told() -> None:
    image = image_of(3, 0, SHAPE) * np.float32(1e6)
    with pytest.raises(InputError, match=r"overflowed in float16|not finite"):
        predict(small_model(), image, device="cuda", precision="float16", normalization=0)


def test_too_little_memory_means_smaller_patches() -> None:
    image = image_of(4, 0, (40, 300, 300))
    expected = predict(small_model(), image, device="cpu").array()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    # what the allocator may hold, of which the planning of patches knows nothing
    torch.cuda.set_per_process_memory_fraction(max(0.15 * 2**30, torch.cuda.memory_reserved()) / total)
    try:
        found = predict(small_model(), image, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    np.testing.assert_allclose(found.array(), expected, atol=TOLERANCE, rtol=0)
    assert any("do not fit into the memory of cuda" in note for note in found.notes), found.notes
