"""Image, truth and cost stay aligned under every change of geometry; intensities change as they are said to."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from scipy import ndimage as ndi

from fastseg.unet.training.augmentation import (
    AugmentationSettings,
    Intensity,
    draw_intensity,
    draw_turn,
)
from fastseg.unet.training.geometry import Turn, bend, middle, turned_offsets
from fastseg.unet.training.patch import PatchShape, Placement, offsets_of, read_patch
from fastseg.unet.training.placement import _in_turned
from fastseg.unet.training.resample import change_intensity, resample, resample_8bit
from fastseg.unet.training.volumes import Volumes

PLAIN = AugmentationSettings.none()
LINEAR = AugmentationSettings(interpolation="linear")
REFERENCE = AugmentationSettings.reference()


def volumes_of(image: np.ndarray, truth: np.ndarray, cost: np.ndarray | None = None) -> Volumes:
    largest = 1.0 if cost is None else float(cost.max())
    foreground = np.zeros((1, len(truth)), np.int64)
    return Volumes("made", image, truth, cost, foreground, None, largest)


def coordinates(shape: tuple[int, int, int]) -> Volumes:
    """An image with the row and the column as channels, the row as truth and the column as cost, counted from 1."""
    rows = np.broadcast_to(np.arange(1, shape[1] + 1)[:, None], shape)
    columns = np.broadcast_to(np.arange(1, shape[2] + 1), shape)
    return volumes_of(
        np.stack([rows, columns]).astype(np.float32), rows.astype(np.int32), columns.astype(np.float32)
    )


def made(
    volumes: Volumes,
    placement: Placement,
    shape: PatchShape,
    settings: AugmentationSettings = PLAIN,
    bent: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The patch (image, truth, cost)."""
    raw = read_patch(volumes, placement, offsets_of(placement.turn, shape, bent), shape, settings)
    box = torch.from_numpy(raw.image)
    image = (
        resample_8bit(box, raw.places)
        if settings.quantise
        else resample(box, raw.places, settings.interpolation)
    )
    return image.numpy(), raw.truth, raw.cost


def cropped(image: np.ndarray, shape: PatchShape) -> np.ndarray:
    """The middle of an image patch, where its truth lies."""
    inner = (slice(m, m + n) for m, n in zip(shape.margin, shape.size_out, strict=True))
    return image[(slice(None), *inner)]


# alignment ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "turn",
    [
        Turn(angle, (z, y, x))
        for angle in (0.0, 90.0, 180.0, 270.0)
        for z, y, x in product((False, True), repeat=3)
    ],
)
def test_right_angles_and_flips_move_voxels(turn: Turn) -> None:
    rng = np.random.default_rng(1)
    image = rng.random((1, 12, 30, 30), dtype=np.float32)
    truth, cost = (image[0] > 0.7).astype(np.uint8), image[0] + 1
    shape = PatchShape((8, 14, 14), (4, 6, 6), "mirror")
    got_image, got_truth, got_cost = made(
        volumes_of(image, truth, cost), Placement(0, 5, (14.5, 12.5), turn), shape
    )
    np.testing.assert_array_equal(got_truth, (cropped(got_image, shape)[0] > 0.7))
    np.testing.assert_array_equal(got_cost, cropped(got_image, shape)[0] + 1)
    expected = np.rot90(image[0, 3:11, 8:22, 6:20], int(turn.angle) // 90, axes=(1, 2))
    expected = expected[tuple(slice(None, None, -1 if f else 1) for f in turn.flip)]
    np.testing.assert_array_equal(got_image[0], expected)


@given(
    angle=st.floats(-180, 180),
    flip=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    centre=st.tuples(st.floats(8, 40), st.floats(8, 50)),
    size_out=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    margin=st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 5)),
    deviation=st.sampled_from([0.0, 2.0]),
    interpolation=st.sampled_from(["bicubic", "linear"]),
)
@settings(max_examples=60)
def test_truth_and_cost_are_the_voxels_nearest_to_where_the_image_is_taken(
    angle: float,
    flip: tuple[bool, bool, bool],
    centre: tuple[float, float],
    size_out: tuple[int, int, int],
    margin: tuple[int, int, int],
    deviation: float,
    interpolation: Any,
) -> None:
    """Interpolation gives planes back exactly: the image says where each pixel was taken."""
    volumes = coordinates((8, 49, 59))
    z, y, x = (n + 2 * m for n, m in zip(size_out, margin, strict=True))
    shape = PatchShape((z, y, x), size_out, "mirror")
    bent = bend((y, x), deviation, 20.0, np.random.default_rng(3)) if deviation else None
    chosen = AugmentationSettings(interpolation=interpolation)
    image, truth, cost = made(volumes, Placement(0, 3, centre, Turn(angle, flip)), shape, chosen, bent)
    rows, columns = cropped(image, shape)
    # at the border the image goes on mirrored, and its first voxel has both truths
    inside = (cost > 0) & (rows > 2) & (rows < 48) & (columns > 2) & (columns < 58)
    assert np.abs(truth - rows)[inside].max(initial=0) <= 0.5 + 1e-3
    assert np.abs(cost - columns)[inside].max(initial=0) <= 0.5 + 1e-3


@pytest.mark.parametrize("angle", [1.0, 29.0, 77.5, 179.0, -121.3])
def test_angles_against_scipy(angle: float) -> None:
    """Rotating the patch is rotating the volume about its middle, counter-clockwise as displayed."""
    rng = np.random.default_rng(2)
    smooth = ndi.gaussian_filter(rng.random((3, 41, 41)), (0, 4, 4))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    truth = (smooth > 0.5).astype(np.uint8)
    shape = PatchShape((3, 21, 21), (3, 21, 21), "mirror")
    image, got, _ = made(
        volumes_of(smooth[None].astype(np.float32), truth),
        Placement(0, 0, (20.0, 20.0), Turn(angle)),
        shape,
        AugmentationSettings(),
    )
    expected = ndi.rotate(smooth, angle, axes=(2, 1), reshape=False, order=3)[:, 10:31, 10:31]
    assert np.abs(image[0] - expected).max() < 0.005  # splines there, cubic convolution here
    nearest = ndi.rotate(truth, angle, axes=(2, 1), reshape=False, order=0)[:, 10:31, 10:31]
    np.testing.assert_array_equal(got, nearest)


@given(
    shape=st.tuples(st.integers(2, 7), st.integers(3, 12), st.integers(3, 12)),
    margin=st.tuples(st.integers(0, 4), st.integers(0, 15), st.integers(0, 15)),
    extension=st.sampled_from(["mirror", "zeros"]),
    data=st.data(),
)
@settings(max_examples=60)
def test_images_go_on_beyond_their_border_as_in_prediction(
    shape: tuple[int, int, int], margin: tuple[int, int, int], extension: str, data: st.DataObject
) -> None:
    size_out = tuple(data.draw(st.integers(1, n)) for n in shape)
    start = tuple(data.draw(st.integers(0, n - m)) for n, m in zip(shape, size_out, strict=True))
    image = np.random.default_rng(0).random((2, *shape), dtype=np.float32) + 1
    truth = (image[0] > 1.5).astype(np.uint8)
    sides = [(m, m) for m in margin]
    if extension == "mirror":
        padded = np.pad(image, [(0, 0), (0, 0), *sides[1:]], "symmetric")
        padded = np.pad(padded, [(0, 0), sides[0], (0, 0), (0, 0)])
    else:
        padded = np.pad(image, [(0, 0), *sides])
    size_in = tuple(n + 2 * m for n, m in zip(size_out, margin, strict=True))
    centre = (start[1] + (size_out[1] - 1) / 2, start[2] + (size_out[2] - 1) / 2)
    got_image, got_truth, got_cost = made(
        volumes_of(image, truth),
        Placement(0, start[0], centre, Turn()),
        PatchShape(size_in, size_out, extension),  # type: ignore[arg-type]
    )
    inner = tuple(slice(s, s + n) for s, n in zip(start, size_out, strict=True))
    outer = tuple(slice(s, s + n) for s, n in zip(start, size_in, strict=True))
    np.testing.assert_array_equal(got_image, padded[(slice(None), *outer)])
    np.testing.assert_array_equal(got_truth, truth[inner])
    assert (got_cost == 1).all()


@pytest.mark.parametrize("with_cost", [False, True])
def test_what_is_turned_in_from_outside_does_not_count(with_cost: bool) -> None:
    shape = PatchShape((4, 20, 20), (4, 20, 20), "mirror")
    volumes = coordinates((4, 20, 20))
    if not with_cost:
        volumes = volumes_of(volumes.image, volumes.truth)
    _, truth, cost = made(volumes, Placement(0, 0, (9.5, 9.5), Turn(45.0)), shape, LINEAR)
    y, x = np.mgrid[:20, :20] - 9.5
    outside = (np.abs(y + x) > 10 * 2**0.5) | (np.abs(y - x) > 10 * 2**0.5)
    assert outside.sum() == 60
    np.testing.assert_array_equal(cost == 0, np.broadcast_to(outside, cost.shape))
    np.testing.assert_array_equal(truth == 0, np.broadcast_to(outside, cost.shape))


def test_a_patch_reads_only_the_box_it_needs() -> None:
    shape = PatchShape((5, 40, 40), (3, 30, 30), "mirror")
    volumes = coordinates((5, 200, 200))
    turn = Turn(30.0)
    raw = read_patch(
        volumes, Placement(0, 1, (100.0, 100.0), turn), offsets_of(turn, shape), shape, AugmentationSettings()
    )
    needed = 39 * (np.cos(np.pi / 6) + np.sin(np.pi / 6)) + 1
    assert needed < raw.image.shape[2] <= needed + 4
    assert raw.image.shape[:2] == (2, 5)


def test_the_truth_patch_is_in_the_middle_of_the_image_patch() -> None:
    turn = Turn(33.0, (False, True, False))
    whole, part = turned_offsets(turn, (21, 18)), turned_offsets(turn, (9, 10))
    np.testing.assert_array_equal(middle(whole, (9, 10)), part)


# the reference's rotation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [1, 45, 90, 133, 179])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("size", [(3, 31, 31), (3, 27, 34)])
def test_the_reference_rotates_whole_planes_in_8_bits(
    angle: int, mirror: bool, size: tuple[int, int, int]
) -> None:
    """Pillow is what the numbers of the reference were taken from: bicubic with parameter -1, on bytes."""
    rng = np.random.default_rng(angle)
    image = np.clip(rng.random(size) * 1.2 - 0.1, 0, 1).astype(np.float32)
    truth = (ndi.gaussian_filter(rng.random(size), (0, 2, 2)) > 0.5).astype(np.uint8)
    cost = (rng.random(size) * 3).astype(np.float32)
    margin, size_out = (1, 6, 6), (2, 12, 14)
    size_in = tuple(n + 2 * m for n, m in zip(size_out, margin, strict=True))
    start = (1, 5, 9)
    turn = Turn(float(angle), (False, False, mirror))
    placement = _in_turned(0, start, turn, size, size_out)
    got = made(
        volumes_of(image[None], truth, cost),
        placement,
        PatchShape(size_in, size_out, "zeros"),  # type: ignore[arg-type]
        REFERENCE,
    )

    def by_pillow(planes: np.ndarray, filter_: Image.Resampling) -> np.ndarray:
        turned = [np.asarray(Image.fromarray(p).rotate(angle, filter_)) for p in planes]
        return np.stack(turned)[..., :: -1 if mirror else 1]

    padded = np.pad((255 * image).astype(np.uint8), [(m, m) for m in margin])
    outer = tuple(slice(s, s + n) for s, n in zip(start, size_in, strict=True))
    inner = tuple(slice(s, s + n) for s, n in zip(start, size_out, strict=True))
    expected = by_pillow(padded, Image.Resampling.BICUBIC)[outer]
    np.testing.assert_array_equal(np.rint(got[0][0] * 255), expected)
    np.testing.assert_array_equal(got[1], by_pillow(truth, Image.Resampling.NEAREST)[inner])
    scale = max(1.0, float(cost.max()))
    levels = by_pillow((255 * cost / scale).astype(np.uint8), Image.Resampling.NEAREST)[inner]
    np.testing.assert_allclose(got[2], scale * levels / 255, rtol=1e-6)


def test_values_outside_the_unit_range_wrap_in_8_bits() -> None:
    values = np.array([-0.5, -0.001, 0.0, 0.5, 1.0, 1.001, 1.5, 2.0], np.float32)
    box = torch.from_numpy(values.reshape(1, 1, 1, -1))
    places = np.stack([np.zeros((1, 8)), np.arange(8.0)[None]])
    got = np.rint(resample_8bit(box, places).numpy().ravel() * 255)
    np.testing.assert_array_equal(got, [129, 0, 0, 127, 255, 255, 126, 254])


def test_bicubic_does_not_overshoot() -> None:
    box = torch.zeros(1, 1, 12, 12)
    box[..., 6:] = 1
    places = np.stack(np.meshgrid(np.arange(3, 8.0), np.arange(3, 8, 0.25), indexing="ij"))
    got = resample(box, places, "bicubic")
    assert (got.min(), got.max()) == (0, 1)
    assert ((got > 0) & (got < 1)).any()


# what is drawn ------------------------------------------------------------------------------------------------------


def turns(settings: AugmentationSettings, count: int = 2000) -> list[Turn]:
    rng = np.random.default_rng(0)
    return [draw_turn(settings, rng) for _ in range(count)]


def test_turns_of_the_reference() -> None:
    found = turns(REFERENCE, 4000)
    assert {t.angle for t in found} == set(map(float, range(1, 180)))
    flips = [t.flip for t in found]
    assert set(flips) == {(False, False, False), (False, False, True)}
    assert 0.45 < sum(f[2] for f in flips) / len(flips) < 0.55


def test_turns_by_default() -> None:
    found = turns(AugmentationSettings())
    angles = np.array([t.angle for t in found])
    assert angles.min() < -175
    assert angles.max() > 175
    assert len(set(angles)) == len(angles)
    assert {t.flip for t in found} == {(False, y, x) for y in (False, True) for x in (False, True)}


def test_limits_and_switches() -> None:
    found = turns(AugmentationSettings(largest_angle=10, flip_z=True, flip_x=False))
    assert 9 < max(abs(t.angle) for t in found) <= 10
    assert {t.flip for t in found} == {(z, y, False) for z in (False, True) for y in (False, True)}
    assert set(turns(PLAIN)) == {Turn()}


def test_bends_are_smooth_and_as_large_as_asked_for() -> None:
    rng = np.random.default_rng(1)
    many = np.stack([bend((50, 61), 3.0, 16.0, rng) for _ in range(400)])
    deviation = many.std(0)
    assert np.abs(deviation - 3.0).max() < 0.5
    assert np.abs(many.mean()) < 0.1
    slopes = [np.diff(many, axis=axis).std() for axis in (2, 3)]
    assert (
        max(slopes) * 4.9 < 3.0 / 16.0 * 6
    )  # a fold takes a slope of 1; the largest deviation allowed is spacing / 6


def test_elastic_settings_that_fold_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"elastic 5 folds the image: .* up to 4"):
        AugmentationSettings(elastic=5, elastic_spacing=24)
    AugmentationSettings(elastic=4, elastic_spacing=24)


def test_intensities_that_are_drawn() -> None:
    rng = np.random.default_rng(0)
    chosen = AugmentationSettings(intensity_share=0.3, gain=0.2, offset=0.1, gamma=1.0, noise=0.05)
    drawn = [draw_intensity(chosen, 2, rng) for _ in range(3000)]
    found = [i for i in drawn if i is not None]
    assert 0.27 < len(found) / len(drawn) < 0.33
    for name, low, high in (("gamma", 0.5, 2), ("gain", 0.8, 1.2), ("offset", -0.1, 0.1), ("noise", 0, 0.05)):
        values = np.array([getattr(i, name) for i in found])
        assert values.shape == (len(found), 2)
        assert low <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high
        assert np.abs(np.corrcoef(values.T)[0, 1]) < 0.1  # each channel has its own
    assert len({i.noise_seed for i in found}) == len(found)


def test_intensities_are_changed_by_the_formula() -> None:
    image = np.random.default_rng(0).uniform(0.2, 0.9, (2, 3, 8, 9)).astype(np.float32)
    change = Intensity((2.0, 1.0), (1.1, 0.8), (0.05, -0.1), (0.0, 0.0), 3)
    got = change_intensity(torch.from_numpy(image), change).numpy()
    low, high = image[0].min(), image[0].max()
    first = low + (high - low) * ((image[0] - low) / (high - low)) ** 2
    np.testing.assert_allclose(got[0], first * 1.1 + 0.05, rtol=1e-5)
    np.testing.assert_allclose(got[1], image[1] * 0.8 - 0.1, rtol=1e-5)


def test_a_constant_patch_stays_finite() -> None:
    change = Intensity((0.5,), (1.0,), (0.0,), (0.0,), 3)
    assert (change_intensity(torch.full((1, 2, 3, 3), 0.25), change) == 0.25).all()


def test_noise_has_its_deviation_and_its_seed() -> None:
    image = torch.zeros(2, 10, 40, 40)
    noise = [
        change_intensity(image, Intensity((1.0, 1.0), (1.0, 1.0), (0.0, 0.0), (0.1, 0.02), seed))
        for seed in (5, 5, 6)
    ]
    assert torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[0], noise[2])
    assert noise[0][0].std().item() == pytest.approx(0.1, rel=0.02)
    assert noise[0][1].std().item() == pytest.approx(0.02, rel=0.02)
