"""OME-Zarr written by tasks: equal to the array, whatever the boxes, the order and the process."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastseg import io
from fastseg.errors import UsageError, WriteError
from fastseg.io.atomic import DiskFull
from fastseg.io.content import Values, image_content, labels_content, mask_content, mask_values
from fastseg.io.omezarr_layout import Layout, boxes, is_aligned, layout_for
from fastseg.io.omezarr_store import OmeZarrStore, create_store, new_ome_zarr
from fastseg.io.writing_tiles import new_image, new_labels, new_mask
from fastseg.types import Box

MASK = mask_content(mask_values(255, np.uint8))


def tiles(shape: tuple[int, ...], tile: tuple[int, ...]) -> list[Box]:
    return [
        Box(tuple(starts), tuple(min(s + t, n) for s, t, n in zip(starts, tile, shape, strict=True)))
        for starts in np.ndindex(*(-(-n // t) for n, t in zip(shape, tile, strict=True)))
        for starts in [[i * t for i, t in zip(starts, tile, strict=True)]]
    ]


def arrays(path: Path | str, place: str = "") -> list[Any]:
    import zarr

    folder = Path(path) / place
    numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())
    return [zarr.open_array(str(folder / str(n)), mode="r") for n in numbers]


def reduced(array: np.ndarray, factor: tuple[int, int, int], reduce: str) -> np.ndarray:
    """The oracle: cells of a padded float array, pads being no number."""
    if reduce == "nearest":
        return array[tuple(slice(None, None, f) for f in factor)]
    padded = np.pad(
        array.astype(float), [(0, -n % f) for n, f in zip(array.shape, factor)], constant_values=np.nan
    )
    (a, f), (b, g), (c, h) = ((n // k, k) for n, k in zip(padded.shape, factor))
    cells = padded.reshape(a, f, b, g, c, h).transpose(0, 2, 4, 1, 3, 5).reshape(a, b, c, -1)
    made = np.nanmax(cells, -1) if reduce == "max" else np.nanmean(cells, -1)
    return (np.rint(made) if array.dtype.kind in "ui" else made).astype(array.dtype)


CONTENTS = {
    "max": MASK,
    "nearest": labels_content(Values(np.dtype(np.uint16))),
    "mean": image_content(Values(np.dtype(np.uint16)), "raw"),
}


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("reduce", CONTENTS)
@pytest.mark.parametrize("shape", [(7, 531, 300), (1, 1, 600), (41, 260, 515)])
def test_every_level_is_the_reduction_of_the_one_above(
    tmp_path: Path, shape: tuple[int, int, int], reduce: str, version: str
) -> None:
    array = np.random.default_rng(0).integers(0, 60000, shape).astype(np.uint16)
    array[array < 30000] = 0
    content, tile = CONTENTS[reduce], (16, 96, 160)
    with new_ome_zarr(
        tmp_path / "x.zarr",
        shape,
        content,
        spacing=(0.1, 0.1, 0.1),
        overwrite=False,
        tile=tile,
        version=version,
    ) as store:
        for box in reversed(tiles(shape, tile)):
            store.write(box, array[box.slices])
        for level, tasks in store.pyramid():
            for box in reversed(tasks):
                store.reduce(level, box)
    images = {"": content.image}
    if content.labels:
        images["labels/segmentation"] = content.labels
    for place, values in images.items():
        expected = array if reduce != "max" else np.where(array, values.foreground, 0)
        expected = expected.astype(values.dtype)
        levels = arrays(tmp_path / "x.zarr", place)
        assert len(levels) == len(store.levels) > 1
        for found, level in zip(levels, store.levels):
            assert found.shape == level.shape
            assert (found.shards is not None) <= (version == "0.5")
            if level.factor != (1, 1, 1):
                expected = reduced(expected, level.factor, reduce)
            np.testing.assert_array_equal(found[...], expected)


def content_of(folder: Path) -> dict[str, Any]:
    """Metadata of all groups, and values of all arrays."""
    import zarr

    found: dict[str, Any] = {}
    for file in sorted([*folder.rglob("zarr.json"), *folder.rglob(".zattrs"), *folder.rglob(".zarray")]):
        name = str(file.parent.relative_to(folder))
        node = json.loads(file.read_text())
        if node.get("node_type") == "array" or file.name == ".zarray":
            found[name] = zarr.open_array(str(file.parent), mode="r")[...]
        elif file.name == "zarr.json" or not (file.parent / ".zarray").exists():
            found[name] = node
    return found


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("kind", ["mask", "labels", "image", "flags"])
def test_tiles_make_what_the_whole_makes(tmp_path: Path, kind: str, version: str) -> None:
    rng, shape, tile = np.random.default_rng(1), (20, 300, 280), (8, 128, 280)
    spacing = (0.3, 0.1, 0.1)
    array = rng.integers(0, 200, shape).astype(np.int32)
    options: dict[str, Any] = {"spacing": spacing, "version": version}
    if kind == "mask":
        io.write_mask(tmp_path / "whole.zarr", array > 150, foreground=7, dtype="uint16", **options)
        made = new_mask(tmp_path / "x.zarr", shape, tile=tile, foreground=7, dtype="uint16", **options)
        array = array > 150
    elif kind == "labels":
        io.write_labels(tmp_path / "whole.zarr", array, dtype="uint8", **options)
        made = new_labels(tmp_path / "x.zarr", shape, "uint8", tile=tile, **options)
    else:
        array = array > 150 if kind == "flags" else array.astype(np.float32)
        io.write_image(tmp_path / "whole.zarr", array, name="raw", **options)
        made = new_image(tmp_path / "x.zarr", shape, array.dtype, tile=tile, name="raw", **options)
    with made as store:
        for box in tiles(shape, tile):
            store.write(box, array[box.slices])
        store.complete()
    whole, tiled = content_of(tmp_path / "whole.zarr"), content_of(tmp_path / "x.zarr")
    assert whole.keys() == tiled.keys()
    assert len(whole) > 2
    for name, value in whole.items():
        if isinstance(value, dict):
            assert tiled[name] == value
        else:
            assert tiled[name].dtype == value.dtype
            np.testing.assert_array_equal(tiled[name], value)


def _write(store: OmeZarrStore, box: Box) -> int:
    store.write(box, (np.indices(box.shape).sum(0) + sum(box.start)) % 7 == 0)
    return os.getpid()


def test_processes_share_a_store(tmp_path: Path) -> None:
    shape, tile = (40, 400, 300), (16, 128, 160)
    expected = np.indices(shape).sum(0) % 7 == 0
    with (
        new_mask(tmp_path / "x.zarr", shape, tile=tile, spacing=(1, 1, 1)) as store,
        ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool,
    ):
        assert len(pickle.dumps(store)) < 2000
        jobs = [pool.submit(_write, store, box) for box in tiles(shape, tile)]
        assert os.getpid() not in {job.result() for job in jobs}
        for level, tasks in store.pyramid():
            for job in [pool.submit(store.reduce, level, box) for box in tasks]:
                job.result()
    np.testing.assert_array_equal(io.read(tmp_path / "x.zarr").volume(), np.where(expected, 255, 0))
    half = reduced(np.where(expected, 255, 0).astype(np.uint8), (2, 2, 2), "max")
    np.testing.assert_array_equal(arrays(tmp_path / "x.zarr")[1][...], half)


def test_an_error_in_a_process_names_the_output(tmp_path: Path) -> None:
    def run() -> None:
        with (
            new_mask(tmp_path / "x.zarr", (8, 8, 8)) as store,
            ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
        ):
            (Path(store.folder) / "0" / "c").write_text("in the way of chunks")
            pool.submit(_write, store, Box((0, 0, 0), (8, 8, 8))).result()

    with pytest.raises(WriteError, match=r"/x\.zarr cannot be written: a (part|file)") as caught:
        run()
    assert ".part" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("level", [0, 1])
def test_a_full_disk_is_reported_once_the_remains_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    class Full:
        def __getitem__(self, key: Any) -> np.ndarray:
            return np.zeros((1, 2, 300), np.uint8)

        def __setitem__(self, key: Any, value: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    def run() -> None:
        with new_mask(tmp_path / "x.zarr", (1, 2, 300)) as store:
            monkeypatch.setattr(OmeZarrStore, "_array", lambda *_: Full())
            job = (
                store.complete if level else lambda: store.write(Box.whole(store.shape), np.ones(store.shape))
            )
            with pytest.raises(DiskFull, match=r"/x\.zarr cannot be written: the disk is full") as caught:
                job()
            # As it arrives from another process: without its cause.
            arrived.append(pickle.loads(pickle.dumps(caught.value)))
            raise arrived[0]

    arrived: list[WriteError] = []
    with pytest.raises(
        WriteError, match=r"x\.zarr .*disk is full, up to [0-9,]+ bytes .* [0-9,]+ bytes are free"
    ):
        run()
    assert len(arrived) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_was_given_up_stays_away(tmp_path: Path) -> None:
    def run() -> None:
        with new_mask(tmp_path / "x.zarr", (8, 8, 8)) as store:
            kept.append(store)
            raise KeyboardInterrupt

    kept: list[OmeZarrStore] = []
    with pytest.raises(KeyboardInterrupt):
        run()
    with pytest.raises(WriteError, match=r"x\.zarr cannot be written: .* was removed meanwhile"):
        kept[0].write(Box.whole((8, 8, 8)), np.ones((8, 8, 8)))
    assert list(tmp_path.iterdir()) == []


def test_existing_outputs_are_kept(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(WriteError, match="exists already"), new_mask(tmp_path / "x.zarr", (8, 8, 8)):
        pass
    with new_mask(tmp_path / "x.zarr", (8, 8, 8), overwrite=True):
        pass
    assert not io.read(tmp_path / "x.zarr").volume().any()


def test_what_is_refused(tmp_path: Path) -> None:
    store = create_store(
        tmp_path / "x.zarr", (20, 300, 300), MASK, spacing=None, layout=Layout((2, 8, 8), (4, 64, 64))
    )
    assert store.unit == (4, 64, 64)
    block = np.ones((4, 64, 64))
    for start in [(2, 0, 0), (0, 8, 0), (0, 0, 32), (-4, 0, 0), (20, 0, 0)]:
        with pytest.raises(ValueError, match="not made of whole files"):
            store.write(Box(start, tuple(a + 4 * b for a, b in zip(start, (1, 16, 16)))), block)
    with pytest.raises(ValueError, match="not made of whole files"):
        store.write(Box((0, 0, 0), (4, 64, 32)), block[..., :32])
    with pytest.raises(ValueError, match="cannot fill"):
        store.write(Box((0, 0, 0), (4, 64, 64)), block[..., :1])
    with pytest.raises(ValueError, match="level 0 is not one of 1 to 1"):
        store.reduce(0, Box((0, 0, 0), (4, 64, 64)))
    with pytest.raises(ValueError, match="not made of whole files"):
        store.reduce(1, Box((0, 0, 1), (20, 150, 150)))
    assert not any(a[...].any() for a in arrays(store.folder))
    with pytest.raises(UsageError, match=r"'0\.4' has no shards"):
        create_store(
            tmp_path / "y", (8, 8, 8), MASK, spacing=None, layout=Layout((2, 8, 8), (4, 8, 8)), version="0.4"
        )
    with pytest.raises(UsageError, match=r"x\.tiff cannot be written tile by tile"):
        new_mask(tmp_path / "x.tiff", (8, 8, 8))
    with pytest.raises(UsageError, match="label dtype float32"):
        new_labels(tmp_path / "x.zarr", (8, 8, 8), np.float32)


def test_labels_never_wrap(tmp_path: Path) -> None:
    whole = Box.whole((8, 8, 8))

    def write(greatest: int) -> None:
        with new_labels(tmp_path / "x.zarr", (8, 8, 8), "uint8") as store:
            store.write(whole, np.arange(512).reshape(8, 8, 8) % (greatest + 1))

    with pytest.raises(WriteError, match="values from 0 to 256 do not fit uint8, which holds 0 to 255"):
        write(256)
    assert list(tmp_path.iterdir()) == []
    write(255)
    assert io.read(tmp_path / "x.zarr").volume().max() == 255


SIDES = st.integers(1, 9000)


@settings(max_examples=300, deadline=None)
@given(tile=st.tuples(SIDES, SIDES, SIDES), shape=st.tuples(SIDES, SIDES, SIDES))
def test_no_file_lies_in_two_tiles(tile: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    for sharded in (True, False):
        layout = layout_for(tile, shape, sharded=sharded)
        for side, chunk, t, n in zip(layout.unit, layout.chunks, tile, shape):
            assert side % chunk == 0
            assert t >= n or t % side == 0
        inside = [min(u, n) for u, n in zip(layout.unit, shape)]
        assert np.prod(inside, dtype=float) <= 1 << 25
        assert sharded or layout.shards is None


@pytest.mark.parametrize(
    ("tile", "shape", "chunks", "shards"),
    [
        ((256, 256, 256), (1024, 1024, 1024), (32, 64, 64), (256, 256, 256)),
        ((64, 512, 512), (200, 4000, 4000), (32, 64, 64), (64, 512, 512)),
        ((1, 4096, 4096), (500, 4096, 4096), (1, 256, 512), (1, 4096, 4096)),
        ((1021, 1021, 1021), (5000, 5000, 5000), (1, 1021, 1021), None),
        ((7, 11, 13), (99, 99, 99), (7, 11, 13), None),
        ((1, 1, 1), (9, 9, 9), (1, 1, 1), None),
        ((9, 9, 9), (5, 5, 5), (5, 5, 5), None),
    ],
)
def test_layouts(tile: tuple, shape: tuple, chunks: tuple, shards: tuple | None) -> None:
    assert layout_for(tile, shape) == Layout(chunks, shards)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    unit=st.tuples(*[st.integers(1, 9)] * 3),
    most=st.integers(0, 4000),
)
def test_boxes_cover_once(shape: tuple, unit: tuple, most: int) -> None:
    count = np.zeros(shape, int)
    for box in boxes(shape, unit, most=most):
        assert is_aligned(box, unit, shape)
        assert box.size <= max(most, np.prod(unit))
        count[box.slices] += 1
    assert (count == 1).all()


def test_voxels_beyond_two_to_the_31(tmp_path: Path) -> None:
    """The far end of 2**32 voxels, most of which are never touched."""
    shape = (4096, 4096, 256)
    with new_labels(tmp_path / "x.zarr", shape, np.uint8, tile=(256, 256, 256), spacing=(1, 1, 1)) as store:
        assert np.prod(store.shape) == 2**32
        corner = Box((3840, 3840, 0), shape)
        block = np.random.default_rng(0).integers(0, 255, corner.shape).astype(np.uint8)
        store.write(corner, block)
        middle = Box((2048, 256, 0), (2304, 512, 256))
        store.write(middle, block[::-1])
        expected = block
        for number, tasks in store.pyramid():
            level = store.levels[number]
            expected = reduced(expected, level.factor, "nearest")
            start = tuple(n - m for n, m in zip(level.shape, expected.shape))
            box = next(b for b in tasks if b.stop == level.shape)
            store.reduce(number, box)
            found = arrays(store.folder)[number]
            np.testing.assert_array_equal(found[tuple(slice(a, None) for a in start)], expected)
        files = [p for p in Path(store.folder).rglob("*") if p.is_file() and p.name.isdigit()]
        assert len(files) == 2 * (2 + len(store.levels) - 1)
    image = io.read(tmp_path / "x.zarr")
    np.testing.assert_array_equal(image.data[(0, 0, *corner.slices)], block)
    np.testing.assert_array_equal(image.data[0, 0, 2048:2304, 256:512, 5:9], block[::-1, :, 5:9])
    assert not image.data[0, 0, 3800:3840, 3900:, :].any()
    assert image.data[0, 0, -1, -1, -1] == block[-1, -1, -1]
