"""Round trips, formats and atomicity of the writers."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastseg import io
from fastseg.errors import InputError, UsageError, WriteError
from fastseg.io import pyramid
from fastseg.io.atomic import atomic_output

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)
LENGTHS = st.floats(1e-4, 1e4)
SPACINGS = st.none() | st.tuples(LENGTHS, LENGTHS, LENGTHS)
DTYPES = st.sampled_from(["uint8", "int8", ">u2", "int16", "uint32", ">i4", "float32", ">f8"])
relaxed = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("suffix", [".tiff", ".zarr"])
@relaxed
@given(array=DTYPES.flatmap(lambda dtype: hnp.arrays(dtype, SHAPES)), spacing=SPACINGS)
def test_images_come_back_exactly(tmp_path: Path, suffix: str, array: np.ndarray, spacing: Any) -> None:
    path = io.write_image(tmp_path / f"x{suffix}", array, spacing=spacing, overwrite=True)
    image = io.read(path)
    assert image.dtype == array.dtype.newbyteorder("=")
    assert image.spacing == spacing
    np.testing.assert_array_equal(image.volume(), array)


@pytest.mark.parametrize("suffix", [".tiff", ".zarr"])
@relaxed
@given(mask=hnp.arrays(bool, SHAPES), spacing=SPACINGS)
def test_masks_come_back_exactly(tmp_path: Path, suffix: str, mask: np.ndarray, spacing: Any) -> None:
    path = io.write_mask(tmp_path / f"x{suffix}", mask, spacing=spacing, overwrite=True)
    image = io.read(path)
    assert image.dtype == np.uint8
    assert image.spacing == spacing
    np.testing.assert_array_equal(image.volume(), np.where(mask, 255, 0))


@pytest.mark.parametrize(
    ("foreground", "dtype"), [(1, "uint8"), (65535, "uint16"), (-1, "int16"), (1.0, "float32")]
)
def test_mask_values_come_from_the_caller(
    stack: np.ndarray, tmp_path: Path, foreground: Any, dtype: str
) -> None:
    path = io.write_mask(tmp_path / "x.tiff", stack * (stack > 30000), foreground=foreground, dtype=dtype)
    volume = io.read(path).volume()
    assert volume.dtype == dtype
    np.testing.assert_array_equal(volume, np.where(stack > 30000, foreground, 0))


@pytest.mark.parametrize(
    ("foreground", "dtype"),
    [(0, "uint8"), (256, "uint8"), (-1, "uint8"), (1.5, "uint8"), (1, "bool"), (1, "int64")],
)
def test_mask_values_that_do_not_fit(stack: np.ndarray, tmp_path: Path, foreground: Any, dtype: str) -> None:
    with pytest.raises(UsageError, match=r"foreground=|dtype"):
        io.write_mask(tmp_path / "x.tiff", stack, foreground=foreground, dtype=dtype)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("top", "own", "wanted", "tiff", "zarr"),
    [
        (200, "uint8", None, "uint8", "uint8"),
        (200, "int32", None, "int32", "int32"),
        (200, "int64", None, "uint32", "int64"),
        (255, "int32", "uint8", "uint8", "uint8"),
        (256, "int32", "uint8", "uint16", "uint16"),
        (70000, "uint32", "uint16", "uint32", "uint32"),
        (2**31, "int64", "int32", "uint32", "uint32"),
        (2**32 - 1, "uint64", None, "uint32", "uint64"),
    ],
)
def test_labels_are_widened_never_wrapped(
    tmp_path: Path, top: int, own: str, wanted: str | None, tiff: str, zarr: str
) -> None:
    labels = np.zeros((40, 3, 4), own)
    labels[5, 1, 1], labels[39, 2, 3] = 1, top
    for suffix, expected in ((".tiff", tiff), (".zarr", zarr)):
        volume = io.read(io.write_labels(tmp_path / f"x{suffix}", labels, dtype=wanted)).volume()
        assert volume.dtype == expected
        np.testing.assert_array_equal(volume, labels)


def test_labels_beyond_32_bits(tmp_path: Path) -> None:
    labels = np.full((2, 3, 4), 2**32, np.int64)
    with pytest.raises(WriteError, match=r"values from 0 to 4294967296 fit no integer type.*OME-Zarr"):
        io.write_labels(tmp_path / "x.tiff", labels)
    np.testing.assert_array_equal(io.read(io.write_labels(tmp_path / "x.zarr", labels)).volume(), labels)
    with pytest.raises(InputError, match="labels have dtype float32"):
        io.write_labels(tmp_path / "y.tiff", labels.astype(np.float32))


def test_image_types_that_ome_tiff_lacks(stack: np.ndarray, tmp_path: Path) -> None:
    half = stack.astype(np.float16)
    volume = io.read(io.write_image(tmp_path / "half.tiff", half)).volume()
    assert volume.dtype == np.float32
    np.testing.assert_array_equal(volume, half)
    volume = io.read(io.write_image(tmp_path / "bool.tiff", stack > 30000)).volume()
    np.testing.assert_array_equal(volume, np.where(stack > 30000, 255, 0).astype(np.uint8))
    long = stack.astype(np.int64) - 30000
    volume = io.read(io.write_image(tmp_path / "long.tiff", long)).volume()
    assert volume.dtype == np.int32
    np.testing.assert_array_equal(volume, long)


@pytest.mark.parametrize("shape", [(8, 9), (1, 2, 8, 9), (0, 8, 9)])
def test_only_stacks_are_written(tmp_path: Path, shape: tuple) -> None:
    with pytest.raises(InputError, match="Z, Y and X of at least one voxel are needed"):
        io.write_mask(tmp_path / "x.tiff", np.zeros(shape, bool))
    assert list(tmp_path.iterdir()) == []


def test_tiff_layout(stack: np.ndarray, tmp_path: Path) -> None:
    path = io.write_mask(tmp_path / "x.tiff", stack > 30000, spacing=(0.3, 0.2, 0.1))
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert not file.is_bigtiff
        series = file.series[0]
        assert (series.axes, series.shape, series.dtype) == ("ZYX", (5, 40, 50), np.uint8)
        assert {page.compression for page in file.pages} == {tifffile.COMPRESSION.ADOBE_DEFLATE}
        for text in (
            'PhysicalSizeZ="0.3"',
            'PhysicalSizeY="0.2"',
            'PhysicalSizeX="0.1"',
            'PhysicalSizeZUnit="µm"',
        ):
            assert text in file.ome_metadata


def test_bigtiff_when_large(stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastseg.io import write_tiff

    monkeypatch.setattr(write_tiff, "_BIG", stack.nbytes)
    path = io.write_image(tmp_path / "x.tiff", stack)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
    np.testing.assert_array_equal(io.read(path).volume(), stack)


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_zarr_is_valid_multiscale_with_labels(tmp_path: Path, version: str) -> None:
    import zarr

    mask = np.random.default_rng(0).random((40, 600, 520)) > 0.999
    path = io.write_mask(tmp_path / "x.zarr", mask, spacing=(0.29, 0.26, 0.26), version=version)
    attributes = dict(zarr.open_group(str(path), mode="r").attrs)
    meta = attributes["ome"] if version == "0.5" else attributes
    multiscale = meta["multiscales"][0]
    assert [a["name"] for a in multiscale["axes"]] == ["z", "y", "x"]
    assert {a["unit"] for a in multiscale["axes"]} == {"micrometer"}
    assert (meta if version == "0.5" else multiscale)["version"] == version
    level = np.where(mask, 255, 0).astype(np.uint8)
    scale = np.array([0.29, 0.26, 0.26])
    assert [d["path"] for d in multiscale["datasets"]] == ["0", "1", "2"]
    for number, dataset in enumerate(multiscale["datasets"]):
        if number:
            padded = np.pad(level, [(0, n % 2) for n in level.shape])
            z, y, x = (n // 2 for n in padded.shape)
            level = padded.reshape(z, 2, y, 2, x, 2).max(axis=(1, 3, 5))
            scale = scale * 2
        array = zarr.open_array(str(path / dataset["path"]), mode="r")
        assert array.metadata.zarr_format == (3 if version == "0.5" else 2)
        np.testing.assert_array_equal(array[...], level)
        np.testing.assert_allclose(dataset["coordinateTransformations"][0]["scale"], scale)
        if number:
            shift = dataset["coordinateTransformations"][1]["translation"]
            np.testing.assert_allclose(shift, (scale - [0.29, 0.26, 0.26]) / 2)
    labels = zarr.open_group(str(path / "labels"), mode="r").attrs
    assert (labels["ome"] if version == "0.5" else labels)["labels"] == ["segmentation"]
    one = zarr.open_group(str(path / "labels" / "segmentation"), mode="r").attrs
    one = one["ome"] if version == "0.5" else one
    assert one["image-label"]["source"] == {"image": "../../"}
    np.testing.assert_array_equal(io.read(path / "labels" / "segmentation").volume(), mask.astype(np.uint8))


def test_label_pyramid_has_no_new_labels(tmp_path: Path) -> None:
    import zarr

    labels = np.random.default_rng(0).integers(0, 5000, (3, 301, 260)).astype(np.int32)
    path = io.write_labels(tmp_path / "x.zarr", labels)
    np.testing.assert_array_equal(zarr.open_array(str(path / "1"), mode="r")[...], labels[:, ::2, ::2])


def test_mean_pyramid(tmp_path: Path) -> None:
    import zarr

    image = np.random.default_rng(0).random((2, 300, 258))
    path = io.write_image(tmp_path / "x.zarr", image)
    expected = image.reshape(2, 150, 2, 129, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(zarr.open_array(str(path / "1"), mode="r")[...], expected)
    odd = np.arange(5, dtype=np.uint8).reshape(1, 1, 5)
    np.testing.assert_array_equal(pyramid.reduce_mean(odd, (1, 1, 2))[0, 0], [0, 2, 4])


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((50, 256, 256), (1, 1, 1), []),
        ((50, 1024, 512), None, [(1, 2, 2), (1, 2, 2)]),
        ((50, 1024, 512), (0.3, 0.1, 0.1), [(1, 2, 2), (1, 2, 2)]),
        ((50, 2048, 2048), (0.3, 0.1, 0.1), [(1, 2, 2), (1, 2, 2), (2, 2, 2)]),
        ((50, 1024, 1024), (0.1, 0.1, 0.1), [(2, 2, 2), (2, 2, 2)]),
        ((1, 1024, 1), (0.1, 0.1, 0.1), [(1, 2, 1), (1, 2, 1)]),
    ],
)
def test_pyramid_approaches_cubes(shape: tuple, spacing: tuple | None, expected: list) -> None:
    assert pyramid.pyramid_factors(shape, spacing) == expected


def test_lazy_input_is_written(stack: np.ndarray, tmp_path: Path) -> None:
    import zarr

    lazy = zarr.create_array(
        str(tmp_path / "scratch"), shape=stack.shape, chunks=(2, 16, 16), dtype=stack.dtype
    )
    lazy[...] = stack
    for name in ("x.tiff", "x.zarr"):
        np.testing.assert_array_equal(io.read(io.write_image(tmp_path / name, lazy)).volume(), stack)
        np.testing.assert_array_equal(
            io.read(io.write_mask(tmp_path / f"m{name}", lazy)).volume(), np.where(stack, 255, 0)
        )


class Failing:
    """A stack whose later part raises when it is read."""

    def __init__(self, error: BaseException) -> None:
        self.shape, self.dtype, self.error = (64, 40, 50), np.dtype(np.float32), error

    def __getitem__(self, key: Any) -> np.ndarray:
        first = key[0] if isinstance(key, tuple) else key
        if first.stop > 32:
            raise self.error
        return np.ones(self.shape, self.dtype)[key]


FULL = OSError(errno.ENOSPC, "No space left on device")
FAILURES = [
    (FULL, WriteError, r"the disk is full, up to [0-9,]+ bytes are needed and [0-9,]+ bytes are free in "),
    (OSError("1000 requested and 10 written"), WriteError, "the disk is full"),
    (OSError(errno.EIO, "Input/output error"), WriteError, "cannot be written: Input/output error"),
    (KeyboardInterrupt(), KeyboardInterrupt, None),
    (MemoryError(), MemoryError, None),
]


@pytest.mark.parametrize("name", ["x.tiff", "x.zarr"])
@pytest.mark.parametrize(("error", "raised", "message"), FAILURES)
def test_a_failure_leaves_nothing(
    tmp_path: Path, name: str, error: BaseException, raised: type[BaseException], message: str | None
) -> None:
    with pytest.raises(raised, match=message):
        io.write_image(tmp_path / name, Failing(error))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.tiff", "x.zarr"])
def test_a_failure_keeps_the_output_that_was_there(stack: np.ndarray, tmp_path: Path, name: str) -> None:
    path = io.write_image(tmp_path / name, stack)
    with pytest.raises(WriteError, match="the disk is full"):
        io.write_image(path, Failing(FULL), overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(io.read(path).volume(), stack)


def test_free_space_is_reported_without_the_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    def usage(folder: Path) -> Any:
        return SimpleNamespace(free=1234 if list(tmp_path.iterdir()) == [] else 0)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(WriteError, match="1,234 bytes are free"):
        io.write_image(tmp_path / "x.tiff", Failing(FULL))


def test_a_failing_rename_restores_the_old_folder(
    stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = io.write_image(tmp_path / "x.zarr", stack)
    real = os.rename

    def rename(source: Any, target: Any) -> None:
        if str(source).endswith(".part"):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(WriteError, match="Input/output error"):
        io.write_image(path, stack + 1, overwrite=True)
    assert list(tmp_path.iterdir()) == [path]
    np.testing.assert_array_equal(io.read(path).volume(), stack)


@pytest.mark.parametrize("name", ["x.tiff", "x.zarr"])
def test_nothing_has_the_final_name_before_the_end(tmp_path: Path, name: str) -> None:
    seen: list[list[str]] = []

    class Watching(Failing):
        def __getitem__(self, key: Any) -> np.ndarray:
            seen.append([p.name for p in tmp_path.iterdir()])
            return np.ones(self.shape, self.dtype)[key]

    io.write_image(tmp_path / name, Watching(FULL))
    assert seen
    assert all(n.startswith(".") and n.endswith(".part") for names in seen for n in names)
    assert any(seen)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["x.tiff", "x.zarr"])
def test_existing_output(stack: np.ndarray, tmp_path: Path, name: str) -> None:
    path = io.write_image(tmp_path / name, stack)
    with pytest.raises(WriteError, match=r"x\.(tiff|zarr) exists already: give --overwrite"):
        io.write_image(path, stack + 1)
    np.testing.assert_array_equal(io.read(path).volume(), stack)
    io.write_image(path, stack[:2], overwrite=True)
    np.testing.assert_array_equal(io.read(path).volume(), stack[:2])
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"

    def write() -> None:
        with atomic_output(path, overwrite=False, needed=1) as temporary:
            temporary.write_text("mine")
            path.write_text("theirs")

    with pytest.raises(WriteError, match="exists already"):
        write()
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_made_and_checked(stack: np.ndarray, tmp_path: Path) -> None:
    path = io.write_image(tmp_path / "a" / "b" / "x.tiff", stack)
    assert path.is_file()
    made = io.prepare_directory(tmp_path / "c" / "d")
    assert made.is_dir()
    assert list(made.iterdir()) == []
    with pytest.raises(WriteError, match=r"a part of its path is a file|a file of that name is in the way"):
        io.prepare_directory(path)
    with pytest.raises(WriteError, match="a part of its path is a file"):
        io.prepare_directory(path / "e")
    with pytest.raises(WriteError, match="cannot be written"):
        io.write_image(path / "x.tiff", stack)


def test_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(WriteError, match=r"output folder .* cannot be written to: permission denied\."):
        io.prepare_directory(tmp_path)


@pytest.mark.parametrize("name", ["x.png", "x", "x.npy"])
def test_unknown_format(stack: np.ndarray, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"use a name that ends in \.tiff, \.tif or \.zarr"):
        io.write_mask(tmp_path / name, stack)


def test_unknown_zarr_version(stack: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"version '0\.3' cannot be written: use one of 0\.5, 0\.4"):
        io.write_mask(tmp_path / "x.zarr", stack, version="0.3")


def test_old_zarr_is_named(stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zarr

    monkeypatch.setattr(zarr, "__version__", "2.15.0")
    with pytest.raises(WriteError, match=r"needs zarr 3 or later to be written, and 2\.15\.0 is installed"):
        io.write_mask(tmp_path / "x.zarr", stack)


def test_input_is_not_modified(stack: np.ndarray, tmp_path: Path) -> None:
    before = stack.copy()
    stack.setflags(write=False)
    for name in ("x.tiff", "x.zarr"):
        io.write_mask(tmp_path / f"m{name}", stack)
        io.write_labels(tmp_path / f"l{name}", stack)
        io.write_image(tmp_path / f"i{name}", stack)
    np.testing.assert_array_equal(stack, before)


def test_group_metadata_is_plain_json(stack: np.ndarray, tmp_path: Path) -> None:
    path = io.write_mask(tmp_path / "x.zarr", stack, spacing=(np.float64(0.3), np.float32(0.5), 1))
    node = json.loads((path / "zarr.json").read_text())
    scale = node["attributes"]["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0][
        "scale"
    ]
    assert scale == [0.3, 0.5, 1.0]
