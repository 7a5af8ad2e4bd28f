"""Many files one after another: results, order of events, and what a bad one may not do."""

from __future__ import annotations

import errno
import gc
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile

from fastseg import read, screen
from fastseg.errors import FastsegError, InputError, ReadError, SelectionError, UsageError, WriteError
from fastseg.screen import SegmentRequest, segment_files
from tests.screen.stacks import (
    BRIGHT,
    SHAPE,
    SPACING,
    STRUCTURED,
    expected,
    files_in,
    stack,
    write_stack,
    write_workflow,
)


@pytest.fixture
def bright(tmp_path: Path) -> Path:
    return write_workflow(tmp_path)


@pytest.fixture
def request_(tmp_path: Path, bright: Path) -> SegmentRequest:
    return SegmentRequest(workflow=bright, output=tmp_path / "out")


def test_every_file_gets_its_own_result(tmp_path: Path, request_: SegmentRequest) -> None:
    arrays = [stack(seed) for seed in range(3)]
    paths = [write_stack(tmp_path / "in" / f"t{i}.ome.tif", a) for i, a in enumerate(arrays)]
    outcomes = segment_files(tmp_path / "in", request_)
    assert [o.source for o in outcomes] == [str(p) for p in paths]
    for i, (outcome, array) in enumerate(zip(outcomes, arrays, strict=True)):
        assert outcome.ok
        assert outcome.outputs == (tmp_path / "out" / f"t{i}_struct_segmentation.tiff",)
        mask = read(outcome.outputs[0])
        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask.volume(), expected(array))
        assert mask.spacing == pytest.approx(SPACING)
        assert outcome.foreground == np.count_nonzero(array > 500)
        assert outcome.voxels == array.size
        assert outcome.seconds > 0


def test_a_tile_changes_nothing(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "a.tif", stack(3, (8, 48, 40)))
    results = []
    for i, tile in enumerate([None, (3, 16, 20)]):
        request = SegmentRequest("tomm20", tmp_path / f"out{i}", tile=tile)
        (outcome,) = segment_files(path, request)
        assert outcome.ok, outcome.traceback
        results.append(tifffile.imread(outcome.outputs[0]))
    np.testing.assert_array_equal(*results)
    assert 0 < np.count_nonzero(results[0]) < results[0].size


def test_events_come_in_order(tmp_path: Path, request_: SegmentRequest) -> None:
    good = str(write_stack(tmp_path / "good.tif"))
    seen: list[screen.Event] = []
    outcomes = segment_files([good, "absent.tif"], request_, seen.append)
    assert seen == [
        screen.RunStarted("bright", "cpu", 2),
        screen.ItemStarted(good, 0, 2),
        screen.ItemPhase(good, "reading"),
        screen.StepStarted(good, "over", "greater_than", 0, 1),
        screen.ItemPhase(good, "writing"),
        screen.ItemFinished(outcomes[0], 0, 2),
        screen.ItemStarted("absent.tif", 1, 2),
        screen.ItemFinished(outcomes[1], 1, 2),
    ]


@pytest.mark.parametrize("kind", [screen.ItemStarted, screen.StepStarted, screen.ItemFinished])
def test_an_exception_of_the_listener_ends_the_run(
    tmp_path: Path, request_: SegmentRequest, kind: type
) -> None:
    path = write_stack(tmp_path / "a.tif")

    def listener(event: screen.Event) -> None:
        if isinstance(event, kind):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        segment_files(path, request_, listener)


def _truncated(path: Path) -> None:
    data = write_stack(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _tiff(array: np.ndarray, **options: object) -> object:
    return lambda path: tifffile.imwrite(path, array, **options)


_NAN = np.zeros(SHAPE, np.float32)
_NAN[0, 0, :3] = (np.nan, np.inf, 1)

BAD = {
    "empty": (lambda path: path.write_bytes(b""), ReadError, "0 bytes"),
    "text": (lambda path: path.write_text("hello"), ReadError, "not a TIFF"),
    "truncated": (_truncated, ReadError, "bad.tif"),
    "plane": (_tiff(stack()[0]), ReadError, "is 2-D"),
    "constant": (_tiff(np.full(SHAPE, 9, np.uint8)), InputError, "constant"),
    "nan": (_tiff(_NAN), InputError, "1 NaN and 1 infinite"),
    "channels": (
        lambda path: write_stack(path, stack(0, (2, *SHAPE)), "CZYX"),
        SelectionError,
        "has 2 channels",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_does_not_stop_the_others(tmp_path: Path, request_: SegmentRequest, kind: str) -> None:
    make, error, words = BAD[kind]
    first, last = write_stack(tmp_path / "a.tif", stack(1)), write_stack(tmp_path / "z.tif", stack(2))
    bad = tmp_path / "bad.tif"
    make(bad)
    outcomes = segment_files([first, bad, last], request_)
    assert [o.ok for o in outcomes] == [True, False, True]
    assert type(outcomes[1].error) is error
    assert words in outcomes[1].message
    assert str(bad) in outcomes[1].message
    assert outcomes[1].outputs == ()
    assert files_in(tmp_path / "out") == [
        "a_struct_segmentation.tiff",
        "z_struct_segmentation.tiff",
    ]
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "z_struct_segmentation.tiff"), expected(stack(2))
    )


def test_an_unexpected_exception_is_one_items_failure(
    tmp_path: Path, request_: SegmentRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastseg.io.image import Image

    paths = [write_stack(tmp_path / n) for n in ("a.tif", "b.tif")]
    whole = Image.volume

    def volume(self: Image) -> np.ndarray:
        if self.stem == "a":
            raise ZeroDivisionError("surprise")
        return whole(self)

    monkeypatch.setattr(Image, "volume", volume)
    bad, good = segment_files(paths, request_)
    assert good.ok
    assert not bad.expected
    assert bad.message == f"{paths[0]}: ZeroDivisionError: surprise"
    assert "in volume" in bad.traceback
    assert bad.exit_code == 1


def test_running_out_of_memory_is_told_in_words(
    tmp_path: Path, request_: SegmentRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*args: object, **options: object) -> None:
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr("fastseg.screen.batch.run_workflow", run)
    (outcome,) = segment_files(write_stack(tmp_path / "a.tif"), request_)
    assert outcome.expected
    assert "not enough memory" in outcome.message
    assert "1 TiB" in outcome.message
    assert "--tile" in outcome.message


def test_a_failure_keeps_no_array_alive(
    tmp_path: Path, request_: SegmentRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def run(workflow: object, array: np.ndarray, **options: object) -> None:
        alive.append(weakref.ref(array))
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error

    monkeypatch.setattr("fastseg.screen.batch.run_workflow", run)
    (outcome,) = segment_files(write_stack(tmp_path / "a.tif"), request_)
    gc.collect()
    assert "inner" in outcome.traceback
    assert alive[0]() is None


def test_one_plane_suits_a_planar_workflow_only(tmp_path: Path, request_: SegmentRequest) -> None:
    array = stack(5, (1, 32, 32))
    path = write_stack(tmp_path / "a.tif", array)
    (planar,) = segment_files(path, request_)
    np.testing.assert_array_equal(tifffile.imread(planar.outputs[0]).reshape(1, 32, 32), expected(array))
    tubes = write_workflow(tmp_path, STRUCTURED, "tubes.yaml")
    (volumetric,) = segment_files(path, SegmentRequest(tubes, tmp_path / "out2"))
    assert isinstance(volumetric.error, InputError)
    assert "step 'r'" in volumetric.message
    assert "(1, 32, 32)" in volumetric.message
    assert files_in(tmp_path / "out2") == []


def test_negative_values_are_fine(tmp_path: Path, request_: SegmentRequest) -> None:
    array = stack(1).astype(np.int16) - 600
    array[0, 0, 0] = 501
    (outcome,) = segment_files(write_stack(tmp_path / "a.tif", array), request_)
    np.testing.assert_array_equal(tifffile.imread(outcome.outputs[0]), expected(array))


def test_choices_reach_the_reader(tmp_path: Path, bright: Path) -> None:
    array = stack(4, (3, *SHAPE))
    path = write_stack(tmp_path / "a.tif", array, "CZYX")
    (outcome,) = segment_files(path, SegmentRequest(bright, tmp_path / "out", channel=2, spacing=(1, 2, 3)))
    mask = read(outcome.outputs[0])
    np.testing.assert_array_equal(mask.volume(), expected(array[2]))
    assert mask.spacing == (1, 2, 3)


def test_an_empty_result_is_noted(tmp_path: Path, bright: Path) -> None:
    (outcome,) = segment_files(
        write_stack(tmp_path / "a.tif", stack() // 4), SegmentRequest(bright, tmp_path / "o")
    )
    assert outcome.ok
    assert outcome.foreground == 0
    assert outcome.notes == ("no voxel was segmented",)


def test_notes_of_reader_and_workflow_are_kept(tmp_path: Path) -> None:
    fixed = write_workflow(tmp_path, BRIGHT + "rescale: ignored\n")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack(), photometric="minisblack")
    (outcome,) = segment_files(path, SegmentRequest(fixed, tmp_path / "out", rescale=0.5))
    assert any("no axis labels" in note for note in outcome.notes)
    assert any("0.5 has no effect" in note for note in outcome.notes)


def test_compat_reaches_the_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bright: Path) -> None:
    from fastseg.screen import batch

    given = []
    run = batch.run_workflow

    def spy(*args: object, **options: object) -> object:
        given.append(options["compat"])
        return run(*args, **options)

    monkeypatch.setattr(batch, "run_workflow", spy)
    path = write_stack(tmp_path / "a.tif")
    for i, compat in enumerate([False, True]):
        segment_files(path, SegmentRequest(bright, tmp_path / f"out{i}", compat=compat))
    assert given == [False, True]


WRONG = {
    "workflow": ({"workflow": "tom20"}, "did you mean tomm20"),
    "device": ({"device": "gpu"}, "device 'gpu'"),
    "tile": ({"tile": (8, 0, 8)}, r"tile \(8, 0, 8\)"),
    "short tile": ({"tile": (8, 8)}, r"tile \(8, 8\)"),
    "spacing": ({"spacing": (1, -1, 1)}, "three positive lengths"),
    "rescale": ({"rescale": 0.0}, "rescale ratio 0"),
    "nan": ({"rescale": float("nan")}, "rescale ratio nan"),
    "format": ({"format": "png"}, "ome-tiff or ome-zarr"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_before_anything_is_read(
    tmp_path: Path, bright: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, words = WRONG[case]
    monkeypatch.setattr("fastseg.screen.batch.read", lambda *a, **k: pytest.fail("an image was opened"))
    path = write_stack(tmp_path / "a.tif")
    request = SegmentRequest(**({"workflow": bright, "output": tmp_path / "out"} | changes))
    with pytest.raises(UsageError, match=words):
        segment_files(path, request)
    assert not (tmp_path / "out").exists()


def test_a_ratio_that_drives_a_parameter_out_of_range_is_refused(tmp_path: Path) -> None:
    text = """\
schema_version: 1
name: wide
steps:
  - {id: s, operator: gaussian_smooth, inputs: [image], parameters: {truncate: 50}, times_ratio: [truncate]}
  - {id: over, operator: greater_than, inputs: [s], parameters: {value: 1}}
result: {step: over}
"""
    request = SegmentRequest(write_workflow(tmp_path, text), tmp_path / "out", rescale=3)
    with pytest.raises(UsageError, match="step 's': truncate"):
        segment_files(write_stack(tmp_path / "a.tif"), request)


def test_no_input_and_an_unusable_folder_are_refused(tmp_path: Path, bright: Path) -> None:
    with pytest.raises(UsageError, match="no input"):
        segment_files([], SegmentRequest(bright, tmp_path / "out"))
    path = write_stack(tmp_path / "a.tif")
    with pytest.raises(UsageError, match="cannot be written to"):
        segment_files(path, SegmentRequest(bright, path / "out"))
    inside = tmp_path / "image.zarr"
    inside.mkdir()
    with pytest.raises(UsageError, match=r"lies inside the OME-Zarr image"):
        segment_files(path, SegmentRequest(bright, inside / "out"))
    assert files_in(inside) == []


def test_two_images_of_one_name_are_refused_with_both_named(tmp_path: Path, request_: SegmentRequest) -> None:
    paths = [write_stack(tmp_path / "one" / "x.tif"), write_stack(tmp_path / "two" / "x.ome.tif")]
    with pytest.raises(UsageError) as caught:
        segment_files(paths, request_)
    assert all(str(path) in str(caught.value) for path in paths)
    assert not (tmp_path / "out").exists()


def test_one_file_named_twice_is_one_item(tmp_path: Path, request_: SegmentRequest) -> None:
    path = write_stack(tmp_path / "in" / "a.tif")
    assert len(segment_files([path, tmp_path / "in"], request_)) == 1


def test_existing_results_are_found_before_computing(
    tmp_path: Path, request_: SegmentRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    path = write_stack(tmp_path / "a.tif")
    (first,) = segment_files(path, request_)
    before = first.outputs[0].read_bytes()
    write_stack(path, stack(9))
    monkeypatch.setattr("fastseg.screen.batch.run_workflow", lambda *a, **k: pytest.fail("it was computed"))
    (second,) = segment_files(path, request_)
    assert isinstance(second.error, WriteError)
    assert "--overwrite" in second.message
    assert first.outputs[0].read_bytes() == before
    monkeypatch.undo()
    (third,) = segment_files(path, replace(request_, overwrite=True))
    np.testing.assert_array_equal(tifffile.imread(third.outputs[0]), expected(stack(9)))


def test_an_input_is_never_replaced(tmp_path: Path, bright: Path) -> None:
    folder = tmp_path / "in"
    source = write_stack(folder / "a.tif")
    trap = write_stack(folder / "a_struct_segmentation.tiff", stack(2))
    before = trap.read_bytes()
    outcomes = segment_files([source, trap], SegmentRequest(bright, folder, overwrite=True))
    assert [o.ok for o in outcomes] == [False, True]
    assert "is an input of this run" in outcomes[0].message
    assert trap.read_bytes() == before


def test_outputs_of_one_item_are_not_replaced_by_another(tmp_path: Path) -> None:
    text = BRIGHT + "exposes: {y_struct_segmentation: over}\n"
    workflow = write_workflow(tmp_path, text)
    paths = [write_stack(tmp_path / "x_y.tif", stack(1)), write_stack(tmp_path / "x.tif", stack(2))]
    request = SegmentRequest(workflow, tmp_path / "out", save_steps=True, overwrite=True)
    first, second = segment_files(paths, request)
    assert first.ok
    assert f"was just written for {paths[0]}" in second.message
    np.testing.assert_array_equal(tifffile.imread(first.outputs[0]), expected(stack(1)))


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, request_: SegmentRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tifffile.TiffWriter.write

    def write(self: tifffile.TiffWriter, *args: object, **options: object) -> None:
        real(self, *args, **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = write_stack(tmp_path / "a.tif")
    monkeypatch.setattr(tifffile.TiffWriter, "write", write)
    (outcome,) = segment_files(path, request_)
    assert isinstance(outcome.error, WriteError)
    assert "disk is full" in outcome.message
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, WriteError])
def test_extras_vanish_when_the_segmentation_cannot_be_written(
    tmp_path: Path, bright: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def fail(*args: object, **options: object) -> None:
        written = files_in(tmp_path / "out")
        assert written == ["a_over.tiff", "a_preview.png"], "the segmentation comes last"
        raise stop("stopped")

    monkeypatch.setattr("fastseg.screen.outputs.write_mask", fail)
    request = SegmentRequest(bright, tmp_path / "out", save_steps=True, preview=True)
    path = write_stack(tmp_path / "a.tif")
    if issubclass(stop, FastsegError):
        assert not segment_files(path, request)[0].ok
    else:
        with pytest.raises(stop):
            segment_files(path, request)
    assert files_in(tmp_path / "out") == []
