"""Image, its lazy view, units and names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastseg.errors import InputError, UsageError
from fastseg.io import Image, image_stem, output_path
from fastseg.io.lazy import TczyxView
from fastseg.io.units import micrometres_per


class Disk:
    """An array that, like arrays on disk, takes only integers and slices of positive step."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key: tuple) -> np.ndarray:
        assert isinstance(key, tuple)
        assert len(key) == len(self.shape)
        assert all(isinstance(k, int) or (k.step or 1) > 0 for k in key)
        return self.array[key]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), axes=st.permutations("TCZYX").map("".join), count=st.integers(2, 5))
def test_view_slices_like_numpy(data: st.DataObject, axes: str, count: int) -> None:
    axes = axes[:count]
    shape = data.draw(hnp.array_shapes(min_dims=count, max_dims=count, max_side=5))
    array = np.arange(np.prod(shape)).reshape(shape)
    kept = [a for a in "TCZYX" if a in axes]
    full = array.transpose([axes.index(a) for a in kept])
    full = full[tuple(slice(None) if a in axes else None for a in "TCZYX")]
    fixed = {
        a: data.draw(st.integers(0, shape[axes.index(a)] - 1))
        for a in "TC"
        if a in axes and data.draw(st.booleans())
    }
    full = full[tuple(slice(fixed[a], fixed[a] + 1) if a in fixed else slice(None) for a in "TCZYX")]
    view = TczyxView(Disk(array), axes, fixed)
    assert view.shape == full.shape
    assert (view.size, view.nbytes, view.ndim) == (full.size, full.nbytes, 5)
    key = data.draw(hnp.basic_indices(full.shape))
    np.testing.assert_array_equal(view[key], full[key])
    np.testing.assert_array_equal(np.asarray(view), full)


def test_view_refuses_other_indices() -> None:
    view = TczyxView(np.zeros((2, 3, 4)), "ZYX")
    for key in [np.s_[0, 0, 5], np.s_[1], np.s_[..., -5]]:
        with pytest.raises(IndexError, match="out of bounds"):
            view[key]
    with pytest.raises(TypeError, match="integers and slices, got list"):
        view[0, 0, [0, 1]]
    with pytest.raises(IndexError, match="too many indices"):
        view[0, 0, 0, 0, 0, 0]


def test_from_array() -> None:
    array = np.arange(24, dtype=">u2").reshape(2, 3, 4)
    image = Image.from_array(array, spacing=(3, 2, 1), source="test")
    assert image.shape == (1, 1, 2, 3, 4)
    assert image.dtype == np.dtype("uint16")
    assert (image.spacing, image.source, image.stem) == ((3.0, 2.0, 1.0), "test", "test")
    np.testing.assert_array_equal(image.volume(), array)
    assert image.volume().dtype.isnative
    image = Image.from_array(array, axes="xyz")
    np.testing.assert_array_equal(image.volume(), array.T)
    image = Image.from_array(array, axes="CYX", channel_names=("a", "b"))
    assert image.shape == (1, 2, 1, 3, 4)
    with pytest.raises(InputError, match="has 1 time points and 2 channels"):
        image.volume()


def test_from_array_keeps_arrays_in_memory_without_copying() -> None:
    array = np.zeros((2, 3, 4), np.float32)
    assert np.shares_memory(Image.from_array(array).volume(), array)


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((3, 4), None, "2-D instead of ZYX: fastseg segments 3-D stacks"),
        ((1, 2, 3, 4), None, "name its axes"),
        ((2, 3, 4), "YX", "does not fit shape"),
        ((2, 3, 4), "ZZX", "does not fit shape"),
        ((2, 3, 4), "QYX", "does not fit shape"),
        ((2, 3, 4), "TCZ", "does not fit shape"),
        ((0, 3, 4), None, "an axis of length 0"),
    ],
)
def test_from_array_refuses(shape: tuple, axes: str | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Image.from_array(np.zeros(shape), axes=axes)


def test_from_array_refuses_other_values() -> None:
    with pytest.raises(InputError, match="dtype complex128"):
        Image.from_array(np.zeros((2, 3, 4), complex))
    with pytest.raises(InputError, match="has 1 channels but 2 channel names"):
        Image.from_array(np.zeros((2, 3, 4)), channel_names=("a", "b"))
    with pytest.raises(UsageError, match="spacing="):
        Image.from_array(np.zeros((2, 3, 4)), spacing=(1, 2))


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("um", 1.0),
        ("µm", 1.0),
        ("\u03bcm", 1.0),
        ("\\u00B5m", 1.0),
        ("micron", 1.0),
        ("Microns", 1.0),
        ("micrometer", 1.0),
        ("micrometre", 1.0),
        ("nm", 1e-3),
        ("nanometers", 1e-3),
        ("\u00c5", 1e-4),
        ("\u212b", 1e-4),
        ("angstrom", 1e-4),
        ("mm", 1e3),
        ("cm", 1e4),
        ("m", 1e6),
        ("inch", 25400.0),
        ("inches", 25400.0),
        ("in", 25400.0),
        ("pixel", None),
        ("MM", None),
        ("second", None),
        ("", None),
        (None, None),
    ],
)
def test_units(unit: str | None, expected: float | None) -> None:
    assert micrometres_per(unit) == expected


@pytest.mark.parametrize(
    ("source", "scene", "stem"),
    [
        ("a/cells.tif", None, "cells"),
        ("a/cells.ome.tif", None, "cells"),
        ("a/cells.OME.TIFF", None, "cells"),
        ("a/cells.v2.czi", None, "cells.v2"),
        ("odd #1 (b).tif", None, "odd #1 (b)"),
        ("cells.czi", "Scene 1/2", "cells_Scene 1_2"),
        ("plate.ome.zarr", "B/02/0", "plate_B_02_0"),
        ("a/plate.zarr/B/02/0", None, "plate_B_02_0"),
        ("a/plate.zarr/B/02", "1", "plate_B_02_1"),
        (".tif", None, ".tif"),
        ("array", None, "array"),
    ],
)
def test_stems(source: str, scene: str | None, stem: str) -> None:
    assert image_stem(source, scene) == stem


def test_output_path() -> None:
    assert output_path("out", "cells") == Path("out/cells_struct_segmentation.tiff")
    assert output_path("out", "cells", "zarr") == Path("out/cells_struct_segmentation.zarr")


def test_importing_io_loads_nothing_heavy() -> None:
    heavy = [
        "tifffile",
        "zarr",
        "bioio",
        "dask",
        "PIL",
        "skimage",
        "scipy",
        "numba",
        "imagecodecs",
        "aicsimageio",
    ]
    code = (
        "import sys, fastseg.io, fastseg.io.preview, fastseg.io.omezarr, fastseg.io.bioio_reader\n"
        f"print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
