"""OME-Zarr 0.4 and 0.5: images, plates, wells, collections."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastseg import io
from fastseg.errors import ReadError, SelectionError


def write_group(folder: Path, metadata: dict[str, Any], version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(metadata))
    else:
        attributes = {"ome": {"version": version, **metadata}}
        node = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (folder / "zarr.json").write_text(json.dumps(node))


def write_image(
    folder: Path,
    array: np.ndarray,
    axes: str,
    version: str = "0.5",
    scale: tuple[float, ...] | None = None,
    unit: str | None = "micrometer",
    outer: tuple[float, ...] | None = None,
    names: tuple[str, ...] = (),
) -> None:
    import zarr

    described = []
    for letter in axes:
        axis = {"name": letter, "type": "space" if letter in "zyx" else {"c": "channel", "t": "time"}[letter]}
        if letter in "zyx" and unit:
            axis["unit"] = unit
        described.append(axis)
    multiscale: dict[str, Any] = {"axes": described, "datasets": [{"path": "s0"}, {"path": "s1"}]}
    if scale is not None:
        multiscale["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": list(scale)}]
    if outer is not None:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": list(outer)}]
    metadata: dict[str, Any] = {"multiscales": [multiscale]}
    if names:
        metadata["omero"] = {"channels": [{"label": name} for name in names]}
    write_group(folder, metadata, version)
    chunks = tuple(max(1, n // 2) for n in array.shape)
    made = zarr.create_array(
        str(folder / "s0"),
        shape=array.shape,
        chunks=chunks,
        dtype=array.dtype,
        zarr_format=2 if version == "0.4" else 3,
    )
    made[...] = array


def write_plate(root: Path, version: str, fields: dict[str, np.ndarray]) -> None:
    wells = sorted({name.rsplit("/", 1)[0] for name in fields})
    write_group(root, {"plate": {"wells": [{"path": well} for well in wells]}}, version)
    for well in wells:
        images = [{"path": name.rsplit("/", 1)[1]} for name in fields if name.rsplit("/", 1)[0] == well]
        write_group(root / well, {"well": {"images": images}}, version)
    for name, array in fields.items():
        write_image(root / name, array, "zyx", version)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int16", "float32", ">f8", "bool"])
def test_values_and_slices(stack: np.ndarray, tmp_path: Path, version: str, dtype: str) -> None:
    values = stack > 30000 if dtype == "bool" else (stack // 2).astype(dtype)
    write_image(tmp_path / "x.zarr", values, "zyx", version, (0.3, 0.2, 0.1))
    image = io.read(tmp_path / "x.zarr")
    assert image.dtype == np.dtype(dtype).newbyteorder("=")
    assert image.data.dtype.isnative
    assert image.data[0, 0, 0].dtype.isnative
    assert image.spacing == (0.3, 0.2, 0.1)
    assert image.notes == ()
    np.testing.assert_array_equal(image.volume(), values)
    key = np.s_[0, :, 3:0:-1, 7:33:3, -20:]
    np.testing.assert_array_equal(image.data[key], values[None, None][key])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(image)).volume(), values)


def test_a_slice_reads_only_its_chunks(stack: np.ndarray, tmp_path: Path) -> None:
    write_image(tmp_path / "x.zarr", stack, "zyx")
    image = io.read(tmp_path / "x.zarr")
    for chunk in (tmp_path / "x.zarr" / "s0" / "c").rglob("*"):
        if chunk.is_file() and chunk.parts[-3:] != ("0", "0", "0"):
            chunk.write_bytes(b"damaged")
    np.testing.assert_array_equal(image.data[0, 0, :2, :20, :25], stack[:2, :20, :25])
    with pytest.raises(ReadError, match="reading its voxels failed"):
        image.data[0, 0, :3, :20, :25]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_channels_and_times(tmp_path: Path, version: str) -> None:
    values = np.random.default_rng(0).integers(0, 99, (2, 3, 4, 8, 9)).astype(np.uint16)
    write_image(tmp_path / "x.zarr", values, "tczyx", version, (1, 1, 0.3, 0.2, 0.1), names=("a", "b", "c"))
    image = io.read(tmp_path / "x.zarr", channel="B", time=1)
    np.testing.assert_array_equal(image.volume(), values[1, 1])
    assert (image.channel_names, image.spacing) == (("b",), (0.3, 0.2, 0.1))
    with pytest.raises(SelectionError, match=r"3 channels \(0: a, 1: b, 2: c\).*--channel"):
        io.read(tmp_path / "x.zarr")


@pytest.mark.parametrize(
    ("unit", "scale", "outer", "expected"),
    [
        ("nanometer", (300, 200, 100), None, (0.3, 0.2, 0.1)),
        ("millimeter", (3e-4, 2e-4, 1e-4), None, (0.3, 0.2, 0.1)),
        ("micrometer", (3, 2, 1), (0.1, 0.1, 0.1), (0.3, 0.2, 0.1)),
        ("micrometer", None, (0.3, 0.2, 0.1), (0.3, 0.2, 0.1)),
        ("micrometer", None, None, None),
        (None, (1, 1, 1), None, None),
        ("second", (1, 1, 1), None, None),
        ("micrometer", (0, 1, 1), None, None),
    ],
)
def test_spacing(
    stack: np.ndarray,
    tmp_path: Path,
    unit: str | None,
    scale: tuple | None,
    outer: tuple | None,
    expected: tuple | None,
) -> None:
    write_image(tmp_path / "x.zarr", stack, "zyx", "0.5", scale, unit, outer)
    image = io.read(tmp_path / "x.zarr")
    if expected is None:
        assert image.spacing is None
        assert image.notes == ("no voxel size with units in x.zarr (give it with --spacing)",)
    else:
        np.testing.assert_allclose(image.spacing, expected, rtol=1e-12)


def test_two_dimensional_is_refused_and_one_plane_is_not(tmp_path: Path) -> None:
    write_image(tmp_path / "flat.zarr", np.ones((3, 8, 9), np.uint8), "cyx")
    with pytest.raises(ReadError, match="2-D with 3 channels"):
        io.read(tmp_path / "flat.zarr", channel=0)
    write_image(tmp_path / "one.zarr", np.ones((1, 8, 9), np.uint8), "zyx")
    assert io.read(tmp_path / "one.zarr").shape == (1, 1, 1, 8, 9)


def test_zero_size_axis(tmp_path: Path) -> None:
    write_image(tmp_path / "none.zarr", np.ones((0, 8, 9), np.uint8), "zyx")
    with pytest.raises(ReadError, match="axis of length 0"):
        io.read(tmp_path / "none.zarr")


def test_unknown_axes_are_asked_for(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 8 * 9, dtype=np.uint16).reshape(2, 3, 8, 9)
    write_image(tmp_path / "x.zarr", values, "czyx")
    meta = json.loads((tmp_path / "x.zarr" / "zarr.json").read_text())
    meta["attributes"]["ome"]["multiscales"][0]["axes"][0]["name"] = "phase"
    (tmp_path / "x.zarr" / "zarr.json").write_text(json.dumps(meta))
    with pytest.raises(ReadError, match="name them with --axes"):
        io.read(tmp_path / "x.zarr")
    np.testing.assert_array_equal(io.read(tmp_path / "x.zarr", axes="CZYX", channel=1).volume(), values[1])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_plate_well_and_field(stack: np.ndarray, tmp_path: Path, version: str) -> None:
    root = tmp_path / "plate.zarr"
    fields = {"B/02/0": stack, "B/02/1": stack + 1, "C/11/0": stack + 2}
    write_plate(root, version, fields)
    assert io.list_scenes(root) == tuple(fields)
    assert [s.name for s in io.describe(root).scenes] == list(fields)
    assert [s.name for s in io.describe(root, scene="C/11/0").scenes] == ["C/11/0"]
    with pytest.raises(SelectionError, match=r"3 scenes \(0: B/02/0, 1: B/02/1, 2: C/11/0\).*--scene"):
        io.read(root)
    for index, (name, array) in enumerate(fields.items()):
        for image in (io.read(root, scene=name), io.read(root, scene=index), io.read(root / name)):
            np.testing.assert_array_equal(image.volume(), array)
            assert image.stem == f"plate_{name.replace('/', '_')}"
    image = io.read(root / "B/02", scene=1)
    np.testing.assert_array_equal(image.volume(), stack + 1)
    assert image.stem == "plate_B_02_1"


def test_a_broken_well_does_not_hide_the_others(stack: np.ndarray, tmp_path: Path) -> None:
    root = tmp_path / "plate.zarr"
    write_plate(root, "0.5", {"B/02/0": stack, "B/03/0": stack})
    (root / "B/02/zarr.json").write_text("{")
    assert io.list_scenes(root) == ("B/02", "B/03/0")
    np.testing.assert_array_equal(io.read(root, scene="B/03/0").volume(), stack)
    with pytest.raises(ReadError, match="B/02 has broken Zarr metadata"):
        io.read(root, scene="B/02")


@pytest.mark.parametrize("listed", [True, False])
def test_collection(stack: np.ndarray, tmp_path: Path, listed: bool) -> None:
    root = tmp_path / "many.zarr"
    write_group(root, {"bioformats2raw.layout": 3}, "0.4")
    names = ["first", "second"] if listed else ["0", "1"]
    if listed:
        write_group(root / "OME", {"series": names}, "0.4")
    for number, name in enumerate(names):
        write_image(root / name, stack + number, "zyx", "0.4")
    assert io.list_scenes(root) == tuple(names)
    np.testing.assert_array_equal(io.read(root, scene=1 if listed else "1").volume(), stack + 1)


@pytest.mark.parametrize(
    "plate", [None, [], {}, {"wells": [{}]}, {"wells": 3}, {"wells": [{"path": "../../x"}]}]
)
def test_broken_plate(tmp_path: Path, plate: Any) -> None:
    write_group(tmp_path / "p.zarr", {"plate": plate}, "0.5")
    with pytest.raises(ReadError, match=r"broken plate metadata|without any image"):
        io.read(tmp_path / "p.zarr")
