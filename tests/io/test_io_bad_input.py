"""What is no readable stack is refused in one sentence that names the file, the fault and the remedy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fastseg import io
from fastseg.errors import FastsegError, ReadError
from fastseg.io import tiff as tiff_reader
from fastseg.io.tiff import check_chain

Write = Callable[..., Path]


def refusal(path: Path, **options: object) -> str:
    """The message with which `path` is refused, when reading or when taking the volume."""
    with pytest.raises(ReadError) as caught:
        io.read(path, **options).volume()  # type: ignore[arg-type]
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert "Traceback" not in message
    return message


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "none.tif")


def test_directory(tmp_path: Path) -> None:
    assert "is a folder, not an image" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["x.tif", "x.czi", "x.png", "x.zarr"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    assert "is empty (0 bytes)" in refusal(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.tif", b"not an image at all", "not a TIFF file although its name says so"),
        ("notes.txt", b"not an image at all", "not an image in a format known here"),
        ("table.csv", b"file,channel\na.tif,0\n", "not an image in a format known here"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(50), "plain picture"),
        ("picture.jpg", b"\xff\xd8\xff\xe0" + bytes(50), "plain picture"),
        ("picture.tif", b"\x89PNG\r\n\x1a\n" + bytes(50), "plain picture"),
        ("picture.bmp", b"BM" + bytes(50), "plain picture"),
        ("short.tif", b"II*\0", "damaged or truncated TIFF"),
        ("garbage.tif", b"II*\0" + bytes(range(7, 200)), "damaged or truncated|is truncated"),
        ("noise.tif", b"MM\0*\0\0\0\x08\0\0\0\0\0\0" + bytes(30), "without any image|damaged"),
    ],
)
def test_no_image(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert re.search(message, refusal(path))


@pytest.mark.parametrize(
    ("shape", "options"),
    [((8, 9), {}), ((8, 9), {"imagej": True}), ((8, 9), {"ome": True}), ((8, 9), {"metadata": None})],
)
def test_two_dimensional(tiff: Write, shape: tuple, options: dict) -> None:
    message = refusal(tiff(np.ones(shape, np.uint8), **options))
    assert "is 2-D (YX): fastseg segments 3-D stacks" in message
    assert "--axes ZYX" in message


@pytest.mark.parametrize(("axes", "kind"), [("CYX", "channels"), ("TYX", "time points")])
def test_planes_labelled_as_channels_or_times(tiff: Write, axes: str, kind: str) -> None:
    path = tiff(np.ones((5, 8, 9), np.uint8), "x.ome.tif", metadata={"axes": axes})
    message = refusal(path)
    assert f"2-D with 5 {kind} ({axes} 5 x 8 x 9)" in message
    assert "--axes ZYX" in message
    assert io.read(path, axes="ZYX").shape == (1, 1, 5, 8, 9)


def test_rgb(tiff: Write) -> None:
    assert "colour (RGB)" in refusal(tiff(np.ones((8, 9, 3), np.uint8), photometric="rgb"))
    assert "colour (RGB)" in refusal(
        tiff(np.ones((5, 8, 9, 4), np.uint8), photometric="rgb", extrasamples=[2])
    )
    assert "colour (RGB)" in refusal(tiff(np.ones((5, 8, 9, 3), np.uint8), photometric="rgb", ome=True))
    with tifffile.TiffWriter(tiff(np.ones((8, 9), np.uint8)).with_name("planar.tif")) as file:
        file.write(
            np.ones((3, 8, 9), np.uint8),
            photometric="rgb",
            planarconfig="separate",
            metadata=None,
            description="",
        )
    assert "colour (RGB)" in refusal(tiff(np.ones((8, 9), np.uint8)).with_name("planar.tif"))


@pytest.mark.parametrize("shape", [(2, 5, 8, 9), (2, 3, 5, 8, 9)])
def test_unlabelled_axes_beyond_three(tiff: Write, shape: tuple) -> None:
    assert "name them with --axes" in refusal(tiff(np.ones(shape, np.uint16)))


def test_complex(tiff: Write) -> None:
    assert "complex numbers (complex64)" in refusal(tiff(np.ones((5, 8, 9), np.complex64)))


@pytest.mark.filterwarnings("ignore:.*zero-size array:UserWarning")
def test_zero_size_axis(tiff: Write) -> None:
    assert "axis of length 0" in refusal(tiff(np.ones((0, 8, 9), np.uint8)))


def test_no_permission(stack: np.ndarray, tiff: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(stack)
    if os.geteuid() == 0:  # root reads everything, so the refusal is played
        import builtins

        real = builtins.open

        def refuse(file: object, *args: object, **kwargs: object) -> object:
            if str(file) == str(path):
                raise PermissionError(13, "Permission denied", str(file))
            return real(file, *args, **kwargs)  # type: ignore[call-overload]

        monkeypatch.setattr(builtins, "open", refuse)
    else:
        path.chmod(0)
    assert "permission denied" in refusal(path)


OME_SIZE = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2, "PhysicalSizeZ": 0.3}
TRUNCATED = {
    "contiguous": {},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "zlib": {"compression": "zlib"},
    "tiles": {"tile": (16, 16)},
    "strips": {"rowsperstrip": 7, "compression": "lzw"},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX", **OME_SIZE}, "compression": "zlib"},
    "ome contiguous": {"ome": True, "metadata": {"axes": "ZYX", **OME_SIZE}},
}


@pytest.mark.parametrize("options", TRUNCATED.values(), ids=TRUNCATED.keys())
def test_truncated_anywhere_is_an_error_or_still_whole(stack: np.ndarray, tiff: Write, options: dict) -> None:
    path = tiff(stack, **options)
    data, spacing = path.read_bytes(), io.read(path).spacing
    refused = 0
    cuts = {*np.random.default_rng(1).integers(1, len(data), 40).tolist(), len(data) // 2, len(data) - 1}
    for cut in cuts:
        path.write_bytes(data[:cut])
        try:
            image = io.read(path)
            volume = image.volume()
        except FastsegError as error:
            refused += str(path) in str(error)
            continue
        np.testing.assert_array_equal(volume, stack)  # only padding was lost
        assert image.spacing == spacing
    assert refused >= len(cuts) - 3


def test_the_chain_of_pages_has_to_end(stack: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    for big in (False, True):
        tifffile.imwrite(path, stack, bigtiff=big, compression="zlib")
        check_chain(str(path))
        with tifffile.TiffFile(path) as file:
            last = file.pages[-1].offset
        data = path.read_bytes()
        for cut in (last - 1, last, last + 1, last + 30):
            path.write_bytes(data[:cut])
            with pytest.raises(ReadError, match="is truncated"):
                check_chain(str(path))


def test_truncation_is_found_whatever_tifffile_says(
    stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_reader, "_DAMAGE", re.compile("(?!)"))
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, stack, metadata=None, compression="zlib")
    with tifffile.TiffFile(path) as file:
        last = file.pages[-1].offset
    path.write_bytes(path.read_bytes()[:last])
    assert "is truncated" in refusal(path)


def test_a_loop_of_pages_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop.tif"
    path.write_bytes(b"II*\0" + bytes([8, 0, 0, 0]) + bytes(2) + bytes([8, 0, 0, 0]))
    with pytest.raises(ReadError, match="is truncated"):
        check_chain(str(path))


def test_truncated_pages_without_metadata(stack: np.ndarray, tmp_path: Path) -> None:
    """Without a record of the shape, half a file would pass for a smaller stack."""
    path = tmp_path / "pages.tif"
    with tifffile.TiffWriter(path) as file:
        for plane in stack:
            file.write(plane, metadata=None, contiguous=False)
    data = path.read_bytes()
    for cut in np.linspace(100, len(data) - 1, 60).astype(int):
        path.write_bytes(data[:cut])
        refusal(path)


def test_damaged_compressed_page(stack: np.ndarray, tiff: Write) -> None:
    path = tiff(stack, compression="zlib")
    with tifffile.TiffFile(path) as file:
        offset = file.pages[3].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(data)
    assert "reading its voxels failed" in refusal(path)


def test_file_that_shrinks_after_opening(stack: np.ndarray, tiff: Write) -> None:
    path = tiff(stack)
    image = io.read(path)
    image.data[0, 0, 0]
    os.truncate(path, 3000)
    with pytest.raises(ReadError, match="reading its voxels failed"):
        image.volume()


@pytest.fixture
def zarr_image(stack: np.ndarray, tmp_path: Path) -> Path:
    return io.write_image(tmp_path / "x.zarr", stack)


def test_zarr_with_broken_json(zarr_image: Path) -> None:
    (zarr_image / "zarr.json").write_text('{"zarr_format": 3, "attrib')
    assert "broken Zarr metadata in zarr.json" in refusal(zarr_image)


def test_zarr_with_broken_array_metadata(zarr_image: Path) -> None:
    (zarr_image / "0" / "zarr.json").write_text('{"zarr_format": 3, "node_type": "array"}')
    assert "broken metadata of array '0'" in refusal(zarr_image)


def test_zarr_without_its_array(zarr_image: Path) -> None:
    (zarr_image / "0" / "zarr.json").unlink()
    assert "has no such array" in refusal(zarr_image)


@pytest.mark.parametrize(
    "multiscales",
    [
        [],
        {},
        None,
        [{}],
        [{"datasets": []}],
        [{"datasets": [{"path": 3}]}],
        [{"datasets": [{"path": "0"}], "axes": [{}, {}, {}]}],
        [{"datasets": [{"path": "0"}], "axes": [{"name": "y"}, {"name": "x"}]}],
    ],
)
def test_zarr_with_broken_multiscales(zarr_image: Path, multiscales: object) -> None:
    meta = json.loads((zarr_image / "zarr.json").read_text())
    meta["attributes"]["ome"]["multiscales"] = multiscales
    (zarr_image / "zarr.json").write_text(json.dumps(meta))
    assert "export it again" in refusal(zarr_image)


def test_zarr_group_that_is_not_ome(tmp_path: Path) -> None:
    import zarr

    zarr.create_group(str(tmp_path / "plain.zarr"))
    assert "a Zarr group but not OME-Zarr" in refusal(tmp_path / "plain.zarr")
    zarr.create_group(str(tmp_path / "plain2.zarr"), zarr_format=2)
    assert "a Zarr group but not OME-Zarr" in refusal(tmp_path / "plain2.zarr")


def test_zarr_array_and_empty_folder(zarr_image: Path, tmp_path: Path) -> None:
    assert "bare Zarr array" in refusal(zarr_image / "0")
    (tmp_path / "empty.zarr").mkdir()
    assert "no Zarr folder" in refusal(tmp_path / "empty.zarr")


def test_zarr_with_a_damaged_chunk(zarr_image: Path) -> None:
    chunk = next(p for p in (zarr_image / "0" / "c").rglob("*") if p.is_file())
    chunk.write_bytes(chunk.read_bytes()[:100])
    assert "reading its voxels failed" in refusal(zarr_image)


def test_old_zarr_is_named(zarr_image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zarr

    monkeypatch.setattr(zarr, "__version__", "2.15.0")
    assert "needs zarr 3 or later to be read, and 2.15.0 is installed" in refusal(zarr_image)
