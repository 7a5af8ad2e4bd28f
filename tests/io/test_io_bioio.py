"""The way to BioIO and aicsimageio, with stand-ins for both: what they say is used, what they invent is not."""

from __future__ import annotations

import builtins
import pickle
import sys
import warnings
from collections import namedtuple
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fastseg import io
from fastseg.errors import ReadError, SelectionError

Sizes = namedtuple("Sizes", "Z Y X")
VALUES = (
    np.random.default_rng(3).integers(0, 999, (2, 2, 3, 4, 8, 9)).astype(np.uint16)
)  # scene, T, C, Z, Y, X


class FakeImage:
    """The part of BioImage, and of AICSImage, that is used; prints and warns as they do."""

    values = VALUES
    sizes = Sizes(0.3, 0.2, 0.1)
    names: tuple[str, ...] | None = ("a", "b", "c")
    order = "TCZYX"

    def __init__(self, path: str, reader: Any = None) -> None:
        print("Attempted file load with reader: failed", file=sys.stderr)
        warnings.warn("a plug-in is old", UserWarning, stacklevel=2)
        self.scenes = tuple(f"Scene:{i}" for i in range(len(self.values)))
        self.at = 0
        dims = SimpleNamespace(order=self.order, **dict.fromkeys("SM", 3))
        self.reader = SimpleNamespace(dims=dims)
        self.physical_pixel_sizes = self.sizes
        self.channel_names = self.names
        self.dtype = self.values.dtype

    def set_scene(self, index: int) -> None:
        self.at = index

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values[self.at].shape

    def get_image_dask_data(self, order: str) -> Any:
        from dask import array

        assert order == "TCZYX"
        return array.from_array(self.values[self.at], chunks=(1, 1, 1, 8, 9))


def install(monkeypatch: pytest.MonkeyPatch, image: Any, module: str = "bioio") -> None:
    fake = ModuleType(module)
    setattr(fake, "BioImage" if module == "bioio" else "AICSImage", image)
    monkeypatch.setitem(sys.modules, module, fake)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.oif"
    path.write_bytes(bytes([0, 1, 2, 3]) * 10)
    return path


def test_selection_values_and_spacing(
    file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    install(monkeypatch, FakeImage)
    with pytest.raises(SelectionError, match=r"2 scenes \(0: Scene:0, 1: Scene:1\)"):
        io.read(file)
    image = io.read(file, scene=1, channel="b", time=1)
    assert (image.shape, image.spacing, image.channel_names) == ((1, 1, 4, 8, 9), (0.3, 0.2, 0.1), ("b",))
    np.testing.assert_array_equal(image.volume(), VALUES[1, 1, 1])
    np.testing.assert_array_equal(image.data[0, 0, 1:3, ::2, 3], VALUES[1, 1, 1, 1:3, ::2, 3])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(image)).volume(), VALUES[1, 1, 1])
    assert capfd.readouterr() == ("", "")


def test_unlisted_suffixes_are_tried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeImage)
    path = tmp_path / "x.unheard"
    path.write_bytes(bytes(40))
    np.testing.assert_array_equal(io.read(path, scene=0, channel=0, time=0).volume(), VALUES[0, 0, 0])


@pytest.mark.parametrize(
    ("sizes", "note"),
    [
        (Sizes(None, 0.2, 0.1), "no voxel size in x.oif (give it with --spacing)"),
        (
            Sizes(1.0, 1.0, 1.0),
            "1.0 um for every axis in x.oif is what files without voxel size give: not used (give it with "
            "--spacing)",
        ),
    ],
)
def test_invented_spacing_is_not_used(
    file: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sizes, note: str
) -> None:
    install(monkeypatch, type("Image", (FakeImage,), {"sizes": sizes}))
    image = io.read(file, scene=0, channel=0, time=0)
    assert image.spacing is None
    assert image.notes == (note,)


def test_plane_without_distance_is_two_dimensional(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = {"values": VALUES[:1, :1, :1, :1], "names": ("a",)}
    install(monkeypatch, type("Image", (FakeImage,), {**flat, "sizes": Sizes(None, 0.2, 0.1)}))
    with pytest.raises(ReadError, match=r"is 2-D \(YX\)"):
        io.read(file)
    np.testing.assert_array_equal(io.read(file, axes="ZYX").volume(), VALUES[0, 0, 0, :1])
    install(monkeypatch, type("Image", (FakeImage,), flat))
    np.testing.assert_array_equal(io.read(file).volume(), VALUES[0, 0, 0, :1])


@pytest.mark.parametrize(("order", "message"), [("TCZYXS", "colour"), ("MTCZYX", "axes MTCZYX, with .*M")])
def test_other_axes_are_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, order: str, message: str
) -> None:
    install(monkeypatch, type("Image", (FakeImage,), {"order": order}))
    with pytest.raises(ReadError, match=message):
        io.read(file, scene=0)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("x.czi", r"pip install 'fastseg-bio\[czi\]'"),
        ("x.nd2", "pip install bioio-nd2"),
        ("x.oif", "pip install bioio-bioformats"),
    ],
)
def test_a_missing_plug_in_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: str
) -> None:
    class UnsupportedFileFormatError(Exception):
        pass

    def refuse(path: str, reader: Any = None) -> None:
        raise UnsupportedFileFormatError("BioImage does not support the image")

    install(monkeypatch, refuse)
    monkeypatch.setattr("fastseg.io.bioio_reader.find_spec", lambda module: None)
    path = tmp_path / name
    path.write_bytes(bytes(40))
    with pytest.raises(ReadError, match=command):
        io.read(path)


def test_a_damaged_file_is_not_blamed_on_the_plug_in(tmp_path: Path) -> None:
    pytest.importorskip("bioio_czi")
    path = tmp_path / "x.czi"
    path.write_bytes(bytes(range(200)))
    with pytest.raises(ReadError, match=r"x\.czi cannot be read, it is damaged"):
        io.read(path)


@pytest.fixture
def without_bioio(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("bioio", "aicsimageio"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.usefixtures("without_bioio")
def test_aicsimageio_stands_in_for_bioio(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, FakeImage, "aicsimageio")
    np.testing.assert_array_equal(io.read(file, scene=1, channel=0, time=0).volume(), VALUES[1, 0, 0])


@pytest.mark.usefixtures("without_bioio")
def test_neither_is_installed(file: Path) -> None:
    with pytest.raises(ReadError, match=r"needs BioIO to be read.*pip install 'fastseg-bio\[czi\]'"):
        io.read(file)


def test_tiff_and_zarr_need_no_bioio(
    stack: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        assert not name.startswith(("bioio", "aicsimageio"))
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for name in ("x.tiff", "x.zarr"):
        np.testing.assert_array_equal(io.read(io.write_image(tmp_path / name, stack)).volume(), stack)
