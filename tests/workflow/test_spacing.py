"""Images of another pixel size than the one a workflow was tuned for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage as ndi

import fastseg
from fastseg import Image
from fastseg.errors import InputError, UsageError
from fastseg.workflow.load import get_workflow, library_names
from fastseg.workflow.spacing import matching_ratio, spacing_note, to_grid
from tests.support import image

TUNED = get_workflow("tomm20")
FIXED = next(w for w in map(get_workflow, library_names()) if w.rescale == "ignored")


def test_the_library_says_what_it_was_tuned_for() -> None:
    found = {w.name: w.tuned_yx_um for w in map(get_workflow, library_names())}
    assert {name for name, size in found.items() if size is None} == {
        w.name for w in map(get_workflow, library_names()) if w.rescale == "ignored"
    }
    assert set(found.values()) == {None, 0.108}
    assert sum(size == 0.108 for size in found.values()) == 38


@pytest.mark.parametrize(
    ("pixel", "ratio"), [(0.216, 2.0), (0.054, 0.5), (0.108, None), (0.10805, None), (0.1083, 0.1083 / 0.108)]
)
def test_ratios(pixel: float, ratio: float | None) -> None:
    assert matching_ratio(TUNED, (0.3, pixel, pixel)) == pytest.approx(ratio)


def test_what_cannot_be_matched() -> None:
    with pytest.raises(UsageError, match="voxel size is unknown: give it with --spacing"):
        matching_ratio(TUNED, None)
    with pytest.raises(InputError, match=r"pixels of 0.1 x 0.2 um are not square"):
        matching_ratio(TUNED, (0.3, 0.1, 0.2))
    with pytest.raises(UsageError, match="does not rescale"):
        matching_ratio(FIXED, (0.3, 0.1, 0.1))
    with pytest.raises(UsageError, match=r"does not say at which pixel size it was tuned \(tuned_yx_um\)"):
        matching_ratio(TUNED.model_copy(update={"tuned_yx_um": None}), (0.3, 0.1, 0.1))


@pytest.mark.parametrize(
    ("pixel", "rescale", "noted"),
    [
        (0.108, None, False),
        (0.129, None, False),
        (0.131, None, True),
        (0.085, None, True),
        (0.216, None, True),
        (0.216, 2.0, False),
        (0.108, 2.0, True),
    ],
)
def test_a_remark_from_twenty_percent_on(pixel: float, rescale: float | None, noted: bool) -> None:
    note = spacing_note(TUNED, (0.3, pixel, pixel), rescale)
    assert (note is not None) == noted
    if note:
        assert f"{pixel / (rescale or 1):.4g} um" in note
        assert f"--rescale {pixel / 0.108:.4g} " in note


def test_no_remark_about_what_is_unknown() -> None:
    assert spacing_note(TUNED, None) is None
    assert spacing_note(FIXED, (1, 1, 1)) is None


@pytest.mark.parametrize("pixel", [0.06, 0.108, 0.17])
def test_matching_is_rescaling_there_and_back(pixel: float) -> None:
    stack = image("blobs", (6, 33, 41), 5)
    given = Image.from_array(stack, spacing=(0.3, pixel, pixel))
    before = stack.copy()
    got = fastseg.segment(given, "tomm20", match_spacing=True)
    np.testing.assert_array_equal(stack, before)
    assert got.shape == stack.shape
    assert got.dtype == np.uint8
    assert set(np.unique(got)) == {0, 255}
    if pixel == 0.108:
        np.testing.assert_array_equal(got, fastseg.segment(stack, "tomm20"))
        return
    there = fastseg.segment(stack, "tomm20", rescale=pixel / 0.108)
    assert there.shape != stack.shape
    # An independent way back: nearest neighbours by scipy, first and last samples coinciding.
    rows, columns = (np.linspace(0, m - 1, n) for n, m in zip(stack.shape[1:], there.shape[1:], strict=True))
    grid = np.meshgrid(np.arange(6), rows, columns, indexing="ij")
    back = ndi.map_coordinates(there, grid, order=0, mode="nearest")
    # Exactly halfway, either neighbour is nearest.
    half = (np.abs(np.meshgrid(rows % 1, columns % 1, indexing="ij")) == 0.5).any(axis=0)
    np.testing.assert_array_equal(got[:, ~half], back[:, ~half])
    assert half.mean() < 0.2
    assert (got != fastseg.segment(stack, "tomm20")).any()


def test_images_go_back_linearly_labels_by_the_nearest() -> None:
    ramp = np.broadcast_to(np.arange(5, dtype=np.float32), (2, 3, 5))
    back = to_grid(ramp, (2, 7, 9))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, np.broadcast_to(np.linspace(0, 4, 9), (2, 7, 9)), atol=1e-6)
    labels = to_grid(np.arange(5) * np.ones((2, 3, 1), int), (2, 7, 13))
    assert labels.dtype.kind == "i"
    np.testing.assert_array_equal(labels[0, 0], [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4])
    slope = np.arange(12, dtype=np.float32).reshape(3, 4)
    oracle = ndi.map_coordinates(slope, np.mgrid[0:2:7j, 0:3:5j], order=1)
    np.testing.assert_allclose(to_grid(slope, (9, 7, 5)), oracle, atol=1e-5)
    single = to_grid(np.float32([[[3]]]), (1, 4, 2))
    np.testing.assert_array_equal(single, np.full((1, 4, 2), 3, np.float32))
    assert to_grid(slope, (1, 3, 4)) is slope


def test_python_refuses_what_it_cannot_match() -> None:
    stack = image("blobs", (4, 20, 20), 5)
    given = Image.from_array(stack, spacing=(0.3, 0.2, 0.2))
    with pytest.raises(UsageError, match="needs an Image with a voxel size"):
        fastseg.segment(stack, "tomm20", match_spacing=True)
    with pytest.raises(UsageError, match=r"leave out rescale=0\.5"):
        fastseg.segment(given, "tomm20", match_spacing=True, rescale=0.5)
    with pytest.raises(UsageError, match="voxel size is unknown"):
        fastseg.segment(Image.from_array(stack), "tomm20", match_spacing=True)
