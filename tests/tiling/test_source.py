"""Images as volumes that are read box by box, and volumes as arrays that are read slice by slice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastseg.io.image import Image
from fastseg.tiling import ArrayVolume, Volume
from fastseg.tiling.source import ImageVolume, LazyArray
from fastseg.types import Box

SHAPE = (5, 6, 7)


class Counted:
    """A lazy array that notes how many voxels are taken from it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.taken = 0

    def __getitem__(self, index: Any) -> np.ndarray:
        found = self.array[index]
        self.taken += found.size
        return found


def stack(dtype: Any) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 200, SHAPE).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, ">u2", np.int16, np.float64, bool])
def test_an_image_is_read_box_by_box_as_float32(dtype: Any) -> None:
    array = stack(dtype)
    source = Counted(array)
    volume = ImageVolume(Image.from_array(source, axes="ZYX"))
    assert isinstance(volume, Volume)
    assert (volume.shape, volume.dtype) == (SHAPE, np.float32)
    assert source.taken == 0
    box = Box((1, 2, 0), (3, 6, 5))
    block = volume.read(box)
    assert source.taken == box.size
    assert block.dtype == np.dtype(np.float32)
    assert block.dtype.isnative
    assert block.flags.c_contiguous
    np.testing.assert_array_equal(block, array[1:3, 2:6, :5].astype(np.float32))


def test_one_channel_and_time_point_is_read_whatever_the_order_of_axes() -> None:
    array = stack(np.uint16)
    source = Counted(np.ascontiguousarray(array.transpose(2, 0, 1))[None])
    volume = ImageVolume(Image.from_array(source, axes="CXZY"))
    np.testing.assert_array_equal(volume.read(Box((0, 1, 2), (5, 4, 3))), array[:, 1:4, 2:3])
    assert source.taken == 15


def test_values_beyond_float32_become_infinite() -> None:
    array = np.full(SHAPE, 1e300)
    assert np.isposinf(ImageVolume(Image.from_array(array)).read(Box.whole(SHAPE))).all()


def test_an_image_is_never_written_to() -> None:
    array = stack(np.float32)
    volume = ImageVolume(Image.from_array(array))
    with pytest.raises(TypeError, match="inputs are never modified"):
        volume.write(Box.whole(SHAPE), np.zeros(SHAPE, np.float32))
    np.testing.assert_array_equal(array, stack(np.float32))


INDICES = [
    0,
    -1,
    np.int64(2),
    slice(None),
    slice(1, 3),
    slice(-2, None),
    slice(3, 1),
    slice(2, 99),
    (slice(None), 3),
    (slice(0, 2), slice(1, 4), slice(2, 7)),
    (1, slice(2, 5)),
    (4, 5, 6),
    (-1, -6, slice(3, 4)),
    (),
]


@pytest.mark.parametrize("index", INDICES)
def test_slices_are_those_of_numpy(index: Any) -> None:
    array = stack(np.uint8)
    lazy = LazyArray(ArrayVolume(array))
    assert (lazy.shape, lazy.ndim, lazy.dtype) == (SHAPE, 3, np.dtype(np.uint8))
    found = lazy[index]
    assert isinstance(found, np.ndarray)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array[index], strict=False)
    assert found.shape == array[index].shape


@pytest.mark.parametrize("index", [5, -6, (0, 6), (0, 0, -8), (0, 0, 0, 0), slice(None, None, 2)])
def test_what_numpy_refuses_or_steps_over_is_refused(index: Any) -> None:
    with pytest.raises(IndexError):
        LazyArray(ArrayVolume(stack(np.uint8)))[index]


def test_a_slice_reads_no_more_than_it_shows() -> None:
    class Watched(ArrayVolume):
        def read(self, box: Box) -> np.ndarray:
            boxes.append(box)
            return super().read(box)

    boxes: list[Box] = []
    lazy = LazyArray(Watched(stack(np.uint8)))
    lazy[2, 1:3]
    assert boxes == [Box((2, 1, 0), (3, 3, 7))]
