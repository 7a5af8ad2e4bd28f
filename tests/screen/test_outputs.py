"""What is written beside the segmentation: steps, values, previews, and the voxel size of a resampled grid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from fastseg import read
from fastseg.screen import SegmentRequest, segment_files
from fastseg.screen.grids import on_grid, rescaled_spacing
from fastseg.screen.naming import step_names
from fastseg.workflow.load import get_workflow, library_names, parse_text
from tests.screen.stacks import BRIGHT, EVERYTHING, SPACING, files_in, stack, write_stack, write_workflow


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    return write_workflow(tmp_path, EVERYTHING, "everything.yaml")


def test_every_step_is_written_as_what_it_is(tmp_path: Path, everything: Path) -> None:
    array = stack(1)
    path = write_stack(tmp_path / "a.tif", array)
    (outcome,) = segment_files(path, SegmentRequest(everything, tmp_path / "out", save_steps=True))
    assert outcome.ok, outcome.traceback
    names = ["a_im_norm", "a_over", "a_flat", "a_plane", "a_seed", "a_struct_segmentation"]
    assert files_in(tmp_path / "out") == sorted([*(f"{n}.tiff" for n in names), "a_steps.json"])
    assert set(files_in(tmp_path / "out")) == {p.name for p in outcome.outputs}
    assert json.loads((tmp_path / "out" / "a_steps.json").read_text()) == {"middle": 4}
    got = {n: read(tmp_path / "out" / f"{n}.tiff") for n in names}
    low, high = float(array.min()), float(array.max())
    norm = got["a_im_norm"].volume()
    assert norm.dtype == np.float32
    np.testing.assert_allclose(norm, (array - low) / (high - low), atol=1e-6)
    over = np.where(norm > 0.5, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(got["a_over"].volume(), over)
    np.testing.assert_array_equal(got["a_plane"].volume(), norm[4:5])
    np.testing.assert_array_equal(got["a_flat"].volume(), over[4:5])
    seeds = got["a_seed"].volume()
    assert seeds.dtype.kind in "ui"
    assert set(np.unique(seeds)) == set(range(seeds.max() + 1))
    assert seeds.max() > 1
    np.testing.assert_array_equal(
        got["a_struct_segmentation"].volume(), np.where(over, 7, 0).astype(np.uint8)
    )
    assert all(image.spacing == pytest.approx(SPACING) for image in got.values())


def test_a_rescaled_result_has_the_voxel_size_of_its_grid(tmp_path: Path, everything: Path) -> None:
    path = write_stack(tmp_path / "a.tif", stack(1, (4, 33, 41)))
    request = SegmentRequest(everything, tmp_path / "out", rescale=0.5, save_steps=True, preview=True)
    (outcome,) = segment_files(path, request)
    assert outcome.ok, outcome.traceback
    mask = read(tmp_path / "out" / "a_struct_segmentation.tiff")
    assert mask.shape[2:] == (4, 16, 20)
    adapted = (SPACING[0], SPACING[1] * 32 / 15, SPACING[2] * 40 / 19)
    assert mask.spacing == pytest.approx(adapted)
    before, after = (read(tmp_path / "out" / f"a_{n}.tiff") for n in ("im_norm", "im"))
    assert (before.shape[2:], after.shape[2:]) == ((4, 33, 41), (4, 16, 20))
    assert before.spacing == pytest.approx(SPACING)
    assert after.spacing == pytest.approx(adapted)
    assert (tmp_path / "out" / "a_preview.png").is_file()


def test_ome_zarr_holds_the_same(tmp_path: Path, everything: Path) -> None:
    path = write_stack(tmp_path / "a.tif")
    volumes = []
    for form, suffix in (("ome-tiff", "tiff"), ("ome-zarr", "zarr")):
        (outcome,) = segment_files(path, SegmentRequest(everything, tmp_path / suffix, format=form))
        assert outcome.outputs == (tmp_path / suffix / f"a_struct_segmentation.{suffix}",)
        image = read(outcome.outputs[0])
        assert image.spacing == pytest.approx(SPACING)
        volumes.append(image.volume())
    np.testing.assert_array_equal(*volumes)


def test_a_preview_shows_the_image(tmp_path: Path) -> None:
    array = np.zeros((4, 32, 32), np.uint16)
    array[:, 8:16, 8:16] = 1000
    path = write_stack(tmp_path / "a.tif", array)
    request = SegmentRequest(write_workflow(tmp_path, BRIGHT), tmp_path / "out", preview=True)
    (outcome,) = segment_files(path, request)
    with Picture.open(outcome.outputs[1]) as picture:
        values = np.asarray(picture.convert("RGB"))
    assert outcome.outputs[1].name == "a_preview.png"
    yellow = (values == (255, 214, 10)).all(axis=-1)
    assert yellow.any()
    assert not yellow[:, : values.shape[1] // 2].any()


@pytest.mark.parametrize(
    ("old", "new", "factors"),
    [
        ((5, 11, 21), (5, 6, 11), (2, 2)),
        ((5, 11, 21), (5, 11, 21), (1, 1)),
        ((5, 11, 21), (5, 1, 41), (1, 0.5)),
        ((5, 1, 21), (5, 3, 21), (1, 1)),
    ],
)
def test_first_and_last_samples_keep_their_places(
    old: tuple[int, ...], new: tuple[int, ...], factors: tuple[float, float]
) -> None:
    z, y, x = SPACING
    assert rescaled_spacing(SPACING, old, new) == pytest.approx((z, y * factors[0], x * factors[1]))
    assert rescaled_spacing(None, old, new) is None


def test_the_displayed_image_is_linear_between_its_ends() -> None:
    ramp = np.arange(9, dtype=np.uint16) * np.ones((3, 5, 9), np.uint16)
    shown = on_grid(ramp, (3, 3, 17))
    assert shown.shape == (3, 3, 17)
    np.testing.assert_allclose(shown[1], np.tile(np.linspace(0, 8, 17), (3, 1)), atol=1e-6)
    assert on_grid(ramp, ramp.shape) is ramp


def test_names_of_steps_are_unique_and_spare_the_other_outputs() -> None:
    text = """\
schema_version: 1
name: names
steps:
  - {id: norm, operator: invert_image, inputs: [image]}
  - {id: im, operator: rescale_xy, inputs: [norm], when: rescale}
  - {id: preview, operator: invert_image, inputs: [im]}
  - {id: first, operator: greater_than, inputs: [preview], parameters: {value: 0}}
  - {id: last, operator: invert_mask, inputs: [first]}
result: {step: last}
exposes: {first: last, struct_segmentation: norm, again: last}
"""
    workflow = parse_text(text, "names")
    assert step_names(workflow, rescaled=True) == {
        "norm": "step_struct_segmentation",
        "im": "im",
        "preview": "step_preview",
        "first": "step_first",
        "last": "first",
    }
    assert "im" not in step_names(workflow, rescaled=False)


@pytest.mark.parametrize("name", library_names())
def test_library_steps_have_distinct_names(name: str) -> None:
    workflow = get_workflow(name)
    names = step_names(workflow, rescaled=True)
    assert set(names) == {s.id for s in workflow.steps}
    assert len(set(names.values())) == len(names)
    assert {names[s] for s in workflow.exposes.values()} <= set(workflow.exposes)
