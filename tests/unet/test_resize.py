"""Resampling is SciPy's zoom, whatever the blocks, and its shape is the one that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from fastseg.errors import UsageError
from fastseg.tiling import ArrayVolume, Engine
from fastseg.tiling.scratch import Scratch
from fastseg.types import Box
from fastseg.unet import resize as module
from fastseg.unet.resize import check_resize, resize_volume, resized_shape
from tests.support import frozen

RATIOS = [(1, 0.5, 1 / 3), (2.2, 1.3, 0.7), (3, 1.3, 0.08), (0.6, 0.9, 2)]


def noise(*shape: int) -> np.ndarray:
    return frozen(np.random.default_rng(0).random(shape, dtype=np.float32))


def resized(array: np.ndarray, shape: tuple, engine: Engine | None = None) -> np.ndarray:
    found = resize_volume(ArrayVolume(array), shape, engine or Engine())
    return np.asarray(found.read(Box.whole(shape)))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("shape", [(9, 31, 20), (1, 10, 13)])
def test_it_is_the_zoom_of_scipy(shape: tuple, ratio: tuple) -> None:
    array = noise(*shape)
    expected = ndimage.zoom(array.astype(float), ratio, order=2, mode="reflect")
    found = resized(array, resized_shape(shape, ratio))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=3e-7, rtol=0)


def test_blocks_and_disks_change_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = noise(9, 31, 20)
    expected = resized(array, (5, 40, 33))
    monkeypatch.setattr(module, "_BLOCK", 200)
    with Scratch(tmp_path) as storage:
        engine = Engine((4, 7, 9), storage=storage)
        np.testing.assert_array_equal(resized(array, (5, 40, 33), engine), expected)


def test_the_same_shape_is_the_same_volume() -> None:
    volume = ArrayVolume(noise(3, 4, 5))
    assert resize_volume(volume, (3, 4, 5), Engine()) is volume


@pytest.mark.parametrize("length", [31, 20])
def test_back_is_the_exact_shape(length: int) -> None:
    """A ratio of the lengths misses it: 31 to 16 to 32, 20 to 7 to 21."""
    ratio = {31: 0.5, 20: 1 / 3}[length]
    small = resized_shape((length, 1, 1), (ratio, 1, 1))
    assert resized_shape(small, (1 / ratio, 1, 1))[0] != length
    ramp = np.linspace(0, 1, length, dtype=np.float32)[:, None, None]
    back = resized(resized(ramp, small), ramp.shape)
    assert abs(back - ramp)[4:-4].max() < 3e-3  # mirroring bends the ends of a ramp


@pytest.mark.parametrize("ratio", [(1, 1), (1, 0, 1), (1, 1, float("nan")), (101, 1, 1)])
def test_impossible_ratios_are_refused(ratio: tuple) -> None:
    with pytest.raises(UsageError, match="three ratios"):
        check_resize(ratio)
