"""TIFF of every flavour: values, axes, spacing, laziness."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fastseg import io
from fastseg.errors import ReadError, SelectionError, UsageError

Write = Callable[..., Path]

FLAVOURS = {
    "contiguous": {},
    "zlib": {"compression": "zlib"},
    "predictor": {"compression": "zlib", "predictor": True},
    "lzw strips": {"compression": "lzw", "rowsperstrip": 7},
    "tiles": {"tile": (16, 16)},
    "zlib tiles": {"tile": (16, 32), "compression": "zlib"},
    "volume tiles": {"tile": (16, 16, 16)},
    "bigtiff": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "big-endian zlib": {"byteorder": ">", "compression": "zlib"},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
    "ome zlib": {"ome": True, "metadata": {"axes": "ZYX"}, "compression": "zlib"},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "imagej big-endian": {"imagej": True, "metadata": {"axes": "ZYX"}, "byteorder": ">"},
}
SLICES = [
    np.s_[0, 0],
    np.s_[..., 3],
    np.s_[0, 0, 1:4, 7:33:3, 5:40],
    np.s_[0, 0, -1, 3],
    np.s_[:, :, ::-2, 40:5:-3, -20:],
    np.s_[0, 0, 2, 39, 49],
    np.s_[0, 0, 3:3],
    np.s_[0, -1, 4, 15:17, 31:33],
]


@pytest.mark.parametrize("options", FLAVOURS.values(), ids=FLAVOURS.keys())
def test_values_and_slices_are_those_of_the_array(stack: np.ndarray, tiff: Write, options: dict) -> None:
    image = io.read(tiff(stack, **options))
    full = stack[None, None]
    assert image.shape == full.shape
    assert image.dtype == np.uint16
    assert image.dtype.isnative
    np.testing.assert_array_equal(image.volume(), stack)
    for key in SLICES:
        part = image.data[key]
        np.testing.assert_array_equal(part, full[key])
        assert part.dtype == np.uint16
        assert part.dtype.isnative


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    "dtype",
    ["uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float16", "float32", "float64", "bool"],
)
def test_every_dtype_reads(
    stack: np.ndarray, tiff: Write, dtype: str, compression: str | None, byteorder: str
) -> None:
    values = stack > 30000 if dtype == "bool" else (stack.astype(np.int64) - 30000).astype(dtype)
    image = io.read(tiff(values, compression=compression, byteorder=byteorder))
    volume = image.volume()
    assert volume.dtype == np.dtype(dtype)
    assert volume.dtype.isnative
    np.testing.assert_array_equal(volume, values)


def test_separate_pages_without_metadata(stack: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as file:
        for plane in stack:
            file.write(plane, metadata=None, contiguous=False)
    image = io.read(path)
    np.testing.assert_array_equal(image.volume(), stack)
    assert image.notes[0] == "no axis labels in pages.tif: taken as ZYX (override with --axes)"


def test_a_slice_reads_only_its_pages_and_segments(
    stack: np.ndarray, tiff: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = io.read(tiff(stack, tile=(16, 16), compression="zlib"))
    counts: list[int] = []
    read = tifffile.FileHandle.read
    monkeypatch.setattr(
        tifffile.FileHandle, "read", lambda self, size=-1: counts.append(size) or read(self, size)
    )
    image.data[0, 0, 2, :16, :16]
    one = len(counts)
    counts.clear()
    image.data[0, 0, 2, :17, :17]
    assert len(counts) - one == 3  # three more tiles of 16 x 16
    counts.clear()
    image.data[0, 0, 1:3, :16, :16]
    assert len(counts) - one == 1


def test_reading_leaves_no_file_open(stack: np.ndarray, tiff: Write) -> None:
    import psutil

    path = tiff(stack, compression="zlib")
    image = io.read(path)
    image.volume()
    image.data[0, 0, 0]
    assert str(path) not in [f.path for f in psutil.Process().open_files()]


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_lazy_data_pickles(stack: np.ndarray, tiff: Write, options: dict) -> None:
    image = io.read(tiff(stack, **options))
    image.data[0, 0, 0]
    again = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(again.volume(), stack)


def test_volume_is_a_copy_that_cannot_change_the_file(stack: np.ndarray, tiff: Write) -> None:
    path = tiff(stack)
    io.read(path).volume()[:] = 0
    np.testing.assert_array_equal(io.read(path).volume(), stack)


def test_unlabelled_stack_is_zyx_with_a_note(stack: np.ndarray, tiff: Write) -> None:
    image = io.read(tiff(stack))
    assert image.notes[0] == "no axis labels in x.tif: taken as ZYX (override with --axes)"
    assert io.describe(tiff(stack)).scenes[0].axes == "QYX"


@pytest.mark.parametrize("planes", [3, 4])
def test_few_planes_that_a_writer_stored_as_samples_are_planes(tiff: Write, planes: int) -> None:
    values = np.random.default_rng(0).integers(0, 255, (planes, 8, 9)).astype(np.uint8)
    path = tiff(values, photometric="rgb", planarconfig="separate", extrasamples=[0] * (planes - 3))
    assert io.describe(path).scenes[0].axes == "SYX"
    image = io.read(path)
    np.testing.assert_array_equal(image.volume(), values)
    assert "taken as ZYX" in image.notes[0]


def test_leading_axes_of_length_one_need_no_label(stack: np.ndarray, tiff: Write) -> None:
    path = tiff(stack[None, None])
    np.testing.assert_array_equal(io.read(path).volume(), stack)
    np.testing.assert_array_equal(io.read(path, axes="ZYX").volume(), stack)
    np.testing.assert_array_equal(io.read(path, axes="TCZYX").volume(), stack)


def test_one_plane_stacks(tiff: Write) -> None:
    plane = np.arange(72, dtype=np.uint8).reshape(8, 9)
    assert io.read(tiff(plane[None])).shape == (1, 1, 1, 8, 9)
    assert io.read(tiff(plane), axes="ZYX").shape == (1, 1, 1, 8, 9)
    ome = {"axes": "ZYX", "PhysicalSizeZ": 0.3}
    image = io.read(tiff(plane[None], "one.ome.tif", metadata=ome))
    np.testing.assert_array_equal(image.volume(), plane[None])


def test_axes_override(tiff: Write) -> None:
    values = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    path = tiff(values, photometric="minisblack")
    np.testing.assert_array_equal(io.read(path, axes="CZYX", channel=1).volume(), values[1])
    np.testing.assert_array_equal(io.read(path, axes="zcyx", channel=2).volume(), values[:, 2])
    np.testing.assert_array_equal(io.read(path, axes="TZYX", time=1).volume(), values[1])
    np.testing.assert_array_equal(
        io.read(path, axes="YXZC", channel=4).volume(), values[..., 4].transpose(2, 0, 1)
    )
    rgb = tiff(values.astype(np.uint8)[0, :, :, :3], "rgb.tif", photometric="rgb")
    np.testing.assert_array_equal(io.read(rgb, axes="ZYX").volume(), values[0, :, :, :3])


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("ZYX", "--axes ZYX names 3 axes, but .*x.tif has 4 .QQYX 2 x 3 x 4 x 5."),
        ("CCYX", "at most once"),
        ("QZYX", "use each letter of TCZYX"),
        ("TCZY", "Y and X always"),
    ],
)
def test_wrong_axes(tiff: Write, axes: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        io.read(tiff(np.zeros((2, 3, 4, 5), np.uint16), photometric="minisblack"), axes=axes)


def test_axes_without_z_are_refused(tiff: Write) -> None:
    with pytest.raises(ReadError, match=r"2-D \(TCYX\) according to --axes TCYX"):
        io.read(tiff(np.zeros((2, 3, 4, 5), np.uint16), photometric="minisblack"), axes="TCYX")


def test_pyramid_is_read_at_full_resolution(stack: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(stack, subifds=1, tile=(16, 16), metadata={"axes": "ZYX"})
        file.write(stack[:, ::2, ::2], subfiletype=1, tile=(16, 16))
    np.testing.assert_array_equal(io.read(path).volume(), stack)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.3}, (0.3, 0.2, 0.1)),
        (
            {
                "PhysicalSizeX": 100.0,
                "PhysicalSizeXUnit": "nm",
                "PhysicalSizeY": 0.0002,
                "PhysicalSizeYUnit": "mm",
                "PhysicalSizeZ": 3000.0,
                "PhysicalSizeZUnit": "Å",
            },
            (0.3, 0.2, 0.1),
        ),
        ({"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}, None),
        (
            {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 3.0, "PhysicalSizeZUnit": "pixel"},
            None,
        ),
        ({}, None),
    ],
)
def test_ome_spacing(stack: np.ndarray, tiff: Write, metadata: dict, expected: tuple | None) -> None:
    image = io.read(tiff(stack, "x.ome.tif", metadata={"axes": "ZYX", **metadata}))
    if expected is None:
        assert image.spacing is None
        assert image.notes == ("no voxel size in x.ome.tif (give it with --spacing)",)
    else:
        np.testing.assert_allclose(image.spacing, expected, rtol=1e-12)
        assert image.notes == ()


@pytest.mark.parametrize(
    ("unit", "per_unit"),
    [
        ("um", 1.0),
        ("micron", 1.0),
        ("\\u00B5m", 1.0),
        ("nm", 1e-3),
        ("mm", 1e3),
        ("cm", 1e4),
        ("inch", 25400.0),
    ],
)
def test_imagej_spacing_with_units_of_length(
    stack: np.ndarray, tiff: Write, unit: str, per_unit: float
) -> None:
    path = tiff(
        stack, imagej=True, resolution=(4.0, 2.0), metadata={"axes": "ZYX", "unit": unit, "spacing": 0.75}
    )
    np.testing.assert_allclose(
        io.read(path).spacing, (0.75 * per_unit, 0.5 * per_unit, 0.25 * per_unit), rtol=1e-6
    )


@pytest.mark.parametrize(
    "metadata",
    [{"spacing": 0.75}, {"unit": "um"}, {"unit": "pixel", "spacing": 0.75}, {"unit": "um", "spacing": 0.0}],
)
def test_imagej_spacing_is_never_invented(stack: np.ndarray, tiff: Write, metadata: dict) -> None:
    path = tiff(stack, imagej=True, resolution=(4.0, 2.0), metadata={"axes": "ZYX", **metadata})
    assert io.read(path).spacing is None


def test_plain_tiff_resolution_is_no_voxel_size(stack: np.ndarray, tiff: Write) -> None:
    assert io.read(tiff(stack, resolution=(4.0, 4.0), resolutionunit="CENTIMETER")).spacing is None


def test_spacing_override(stack: np.ndarray, tiff: Write) -> None:
    path = tiff(stack, "x.ome.tif", metadata={"axes": "ZYX", "PhysicalSizeX": 0.1})
    image = io.read(path, spacing=(3, 2, 1))
    assert image.spacing == (3.0, 2.0, 1.0)
    assert image.notes == ()
    for wrong in [(1, 2), (0, 1, 1), (1, -1, 1), (1, 1, float("nan")), (1, 1, float("inf"))]:
        with pytest.raises(UsageError, match=r"--spacing=.*three positive lengths \(z, y, x\)"):
            io.read(path, spacing=wrong)


def test_channels_times_and_names(tiff: Write) -> None:
    values = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 8, 9)).astype(np.uint16)
    path = tiff(
        values.transpose(0, 2, 1, 3, 4),
        "t.ome.tif",
        metadata={"axes": "TZCYX", "Channel": {"Name": ["DAPI", "GFP", "gfp"]}},
    )
    np.testing.assert_array_equal(io.read(path, channel="DAPI", time=1).volume(), values[1, 0])
    np.testing.assert_array_equal(io.read(path, channel="dapi", time=0).volume(), values[0, 0])
    np.testing.assert_array_equal(io.read(path, channel="gfp", time=0).volume(), values[0, 2])
    np.testing.assert_array_equal(io.read(path, channel="1", time=0).volume(), values[0, 1])
    assert io.read(path, channel=1, time=0).channel_names == ("GFP",)
    info = io.describe(path).scenes[0]
    assert (info.axes, info.shape, info.channel_names) == ("TZCYX", (2, 4, 3, 8, 9), ("DAPI", "GFP", "gfp"))
    with pytest.raises(
        SelectionError, match=r"has 3 channels \(0: DAPI, 1: GFP, 2: gfp\) and none was chosen.*--channel"
    ):
        io.read(path)
    with pytest.raises(SelectionError, match=r"has 2 time points \(0, 1\) and none was chosen.*--time"):
        io.read(path, channel=0)
    with pytest.raises(
        SelectionError, match=r"no channel 'RFP': --channel takes one of its 3 channels \(0: DAPI"
    ):
        io.read(path, channel="RFP", time=0)
    with pytest.raises(SelectionError, match="no channel 3"):
        io.read(path, channel=3, time=0)
    with pytest.raises(SelectionError, match="no channel -1"):
        io.read(path, channel=-1, time=0)
    with pytest.raises(SelectionError, match="several channels named 'Gfp'"):
        io.read(path, channel="Gfp", time=0)
    with pytest.raises(SelectionError, match="no time point 2: --time takes one of its 2"):
        io.read(path, channel=0, time=2)


def test_single_channel_needs_no_choice_but_checks_one(stack: np.ndarray, tiff: Write) -> None:
    path = tiff(stack)
    np.testing.assert_array_equal(io.read(path, channel=0, time=0, scene=0).volume(), stack)
    with pytest.raises(SelectionError, match="no channel 1: --channel takes only 0, its one channel"):
        io.read(path, channel=1)
    with pytest.raises(SelectionError, match="no channel 'GFP'"):
        io.read(path, channel="GFP")


def test_scenes(stack: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "two.ome.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(stack, metadata={"axes": "ZYX", "Name": "left", "PhysicalSizeX": 1.0})
        file.write(stack[:, ::2] + 1, metadata={"axes": "ZYX", "Name": "right"})
    with pytest.raises(
        SelectionError, match=r"has 2 scenes \(0: left, 1: right\) and none was chosen.*--scene"
    ):
        io.read(path)
    image = io.read(path, scene="right")
    np.testing.assert_array_equal(image.volume(), stack[:, ::2] + 1)
    assert (image.scene, image.stem) == ("right", "two_right")
    assert io.list_scenes(path) == ("left", "right")
    assert [s.shape for s in io.describe(path).scenes] == [(5, 40, 50), (5, 20, 50)]
    with pytest.raises(SelectionError, match="no scene 'middle': --scene takes one of its 2 scenes"):
        io.read(path, scene="middle")


def test_a_set_of_ome_files_needs_all_of_them(stack: np.ndarray, tmp_path: Path) -> None:
    uuids = [f"urn:uuid:00000000-0000-0000-0000-00000000000{c}" for c in "ab"]
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="part{z}.ome.tif">{uuids[z]}</UUID>'
        "</TiffData>"
        for z in range(2)
    )
    for z in range(2):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuids[z]}">'
            '<Image ID="Image:0" Name="set"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" '
            'SizeX="50" SizeY="40" SizeZ="2" SizeC="1" SizeT="1">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
        )
        path = tmp_path / f"part{z}.ome.tif"
        tifffile.imwrite(path, stack[z], description=xml, metadata=None, compression="zlib")
    np.testing.assert_array_equal(io.read(tmp_path / "part0.ome.tif").volume(), stack[:2])
    (tmp_path / "part1.ome.tif").unlink()
    with pytest.raises(ReadError, match=r"misses page 2 of 2|damaged or truncated"):
        io.read(tmp_path / "part0.ome.tif")


def test_what_is_logged_for_a_file_in_another_thread_is_not_held_against_this_one() -> None:
    from fastseg.io.tiff import _log_messages

    log = logging.getLogger("tifffile")
    with _log_messages() as messages:
        other = threading.Thread(target=log.warning, args=("invalid page offset",))
        other.start()
        other.join()
        assert messages == []
        log.warning("corrupted strip")
    assert messages == ["corrupted strip"]
