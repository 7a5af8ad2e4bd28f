"""Quotas and shares are exact, patches lie where they should, and what does not count is not drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.errors import InputError, UsageError
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.geometry import Turn
from fastseg.unet.training.patch import PatchShape, Placement, offsets_of, read_patch
from fastseg.unet.training.placement import buffer_placements, place_anywhere, place_on_foreground
from fastseg.unet.training.sampling import (
    SamplingSettings,
    balanced_items,
    batches,
    fresh_patches,
    on_foreground,
    quotas,
)
from fastseg.unet.training.volumes import Volumes, VolumeStore
from tests.unet.training.made import item

PLAIN = AugmentationSettings.none()
REFERENCE = AugmentationSettings.reference()


def stored(folder: Path, truth: np.ndarray, cost: np.ndarray | None = None) -> Volumes:
    image = np.zeros(truth.shape, np.float32)
    return VolumeStore([item(folder, "made", image, truth, cost)], 1, 1 << 20)[0]


def maps(volumes: Volumes, placement: Placement, shape: PatchShape) -> tuple[np.ndarray, np.ndarray]:
    """Truth and cost of a patch."""
    raw = read_patch(volumes, placement, offsets_of(placement.turn, shape), shape, PLAIN)
    return raw.truth, raw.cost


# how many -----------------------------------------------------------------------------------------------------------


@given(st.integers(0, 300), st.integers(1, 50))
def test_quotas_are_the_references(patches: int, images: int) -> None:
    found = quotas(patches, images)
    if images >= patches:
        assert found == [1] * patches + [0] * (images - patches)
    else:
        each = patches // images
        more = patches - images * each
        assert found == [each + 1] * more + [each] * (images - more)


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 5))
def test_every_image_gives_equally_many(patches: int, images: int, seed: int) -> None:
    found = balanced_items(patches, images, np.random.default_rng(seed))
    assert len(found) == patches
    for start in range(0, patches, images):
        part = found[start : start + images]
        assert len(set(part)) == len(part)


@given(st.integers(0, 400), st.integers(0, 1000), st.integers(0, 200))
def test_the_share_on_foreground_is_exact(count: int, permille: int, skipped: int) -> None:
    flags = [on_foreground(i, permille / 1000) for i in range(skipped + count)]
    assert sum(flags) == (skipped + count) * permille // 1000
    assert abs(sum(flags[skipped:]) - count * permille / 1000) <= 1


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 5))
def test_steps_of_an_epoch(patches: int, batch: int, world: int) -> None:
    found = batches(patches, batch, world)
    assert all(n % world == 0 for n in found)
    assert all(n == batch * world for n in found[:-1])
    assert found == [] or 0 < found[-1] <= batch * world
    assert patches - world < sum(found) <= patches
    if world == 1:  # the reference: the last short batch is kept
        assert len(found) == -(-patches // batch)


@given(st.integers(1, 300), st.integers(1, 40))
def test_fresh_epochs_have_whole_batches(patches: int, whole: int) -> None:
    found = fresh_patches(SamplingSettings(patches=patches), whole)
    assert found % whole == 0
    assert patches <= found < patches + whole


# anywhere and on foreground -----------------------------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 14), st.integers(1, 14)),
    angle=st.sampled_from([0.0, 30.0, 90.0, 145.0]),
    seed=st.integers(0, 100),
    data=st.data(),
)
def test_patches_lie_in_the_image(
    shape: tuple[int, int, int], angle: float, seed: int, data: st.DataObject
) -> None:
    z, y, x = (data.draw(st.integers(1, n)) for n in shape)
    patch = PatchShape((z + 2, y + 4, x + 4), (z, y, x), "mirror")
    rng = np.random.default_rng(seed)
    truth = (rng.random(shape) < 0.2).astype(np.uint8)
    foreground = truth.sum((1, 2))[None].astype(np.int64)
    volumes = Volumes("made", np.zeros((1, *shape), np.float32), truth, None, foreground, None, 1.0)
    turn = Turn(angle)
    for place in (place_anywhere, place_on_foreground):
        got = place(volumes, 0, turn, offsets_of(turn, patch), patch, rng)
        assert 0 <= got.plane <= shape[0] - z
        for centre, n, m in zip(got.centre, shape[1:], (y, x), strict=True):
            start = centre - (m - 1) / 2
            assert start == int(start)
            assert 0 <= start <= n - m


def test_every_position_is_drawn_equally_often() -> None:
    shape, size_out = (2, 4, 5), (1, 3, 3)
    patch = PatchShape((1, 3, 3), size_out, "mirror")
    volumes = Volumes(
        "made",
        np.zeros((1, *shape), np.float32),
        np.zeros(shape, np.uint8),
        None,
        np.zeros((0, 2), np.int64),
        None,
        1.0,
    )
    rng = np.random.default_rng(0)
    drawn = [place_anywhere(volumes, 0, Turn(), offsets_of(Turn(), patch), patch, rng) for _ in range(3000)]
    counts = Counter((p.plane, p.centre) for p in drawn)
    assert len(counts) == 2 * 2 * 3  # both ends of each axis included
    assert min(counts.values()) > 190
    assert max(counts.values()) < 310


@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 90.0])
def test_patches_on_foreground_show_it(tmp_path: Path, angle: float) -> None:
    """Also in the corners of images that are hardly larger than a patch, which turning takes out of it."""
    truth = np.zeros((4, 24, 24), np.uint8)
    truth[1, :2, :2] = 1  # in a corner, where an angle of 45 degrees does not see it
    truth[3, 9:14, 10:14] = 1
    volumes = stored(tmp_path, truth)
    patch = PatchShape((4, 28, 28), (2, 20, 20), "mirror")
    rng = np.random.default_rng(0)
    turn = Turn(angle)
    for _ in range(50):
        got = place_on_foreground(volumes, 0, turn, offsets_of(turn, patch), patch, rng)
        assert maps(volumes, got, patch)[0].any()


def test_patches_are_centred_on_foreground(tmp_path: Path) -> None:
    truth = np.zeros((9, 40, 40), np.uint8)
    truth[4, 20, 17] = 1
    volumes = stored(tmp_path, truth)
    patch = PatchShape((5, 11, 11), (3, 7, 7), "mirror")
    got = place_on_foreground(
        volumes, 0, Turn(33.0), offsets_of(Turn(33.0), patch), patch, np.random.default_rng(0)
    )
    assert (got.plane, got.centre) == (3, (20.0, 17.0))


def test_classes_are_drawn_equally_often_and_voxels_of_a_class_too(tmp_path: Path) -> None:
    truth = np.zeros((3, 20, 20), np.uint8)
    truth[0, :10] = 1
    truth[1, 3, 4] = 3
    truth[2, 15, 5:9] = 3
    cost = np.ones(truth.shape, np.float32)
    cost[2, 15, 8] = 0  # does not count
    volumes = stored(tmp_path, truth, cost)
    patch = PatchShape((1, 1, 1), (1, 1, 1), "mirror")
    rng = np.random.default_rng(0)
    drawn = Counter(
        (p.plane, p.centre)
        for p in (
            place_on_foreground(volumes, 0, Turn(), offsets_of(Turn(), patch), patch, rng)
            for _ in range(4000)
        )
    )
    rare = {(1, (3.0, 4.0)), (2, (15.0, 5.0)), (2, (15.0, 6.0)), (2, (15.0, 7.0))}
    assert {place for place in drawn if place[0] > 0} == rare
    assert all(abs(drawn[place] - 500) < 80 for place in rare)
    assert len([place for place in drawn if place[0] == 0]) == 200


@pytest.mark.parametrize("place", [place_anywhere, place_on_foreground])
@pytest.mark.parametrize("angle", [0.0, 45.0])
def test_patches_without_any_cost_are_not_drawn(
    tmp_path: Path, place: Callable[..., Placement], angle: float
) -> None:
    truth = np.ones((6, 60, 60), np.uint8)
    cost = np.zeros(truth.shape, np.float32)
    cost[2, 57:, 2:4] = 0.5
    volumes = stored(tmp_path, truth, cost)
    patch = PatchShape((4, 12, 12), (2, 8, 8), "mirror")
    rng = np.random.default_rng(0)
    turn = Turn(angle)
    for _ in range(20):
        got = place(volumes, 0, turn, offsets_of(turn, patch), patch, rng)
        found = maps(volumes, got, patch)[1]
        assert set(np.unique(found)) == {0, 0.5}


def test_an_image_without_any_cost_is_refused(tmp_path: Path) -> None:
    truth = np.ones((3, 8, 8), np.uint8)
    volumes = stored(tmp_path, truth, np.zeros(truth.shape, np.float32))
    patch = PatchShape((2, 4, 4), (2, 4, 4), "mirror")
    for place in (place_anywhere, place_on_foreground):
        with pytest.raises(InputError, match="made has no voxel with a cost"):
            place(volumes, 0, Turn(), offsets_of(Turn(), patch), patch, np.random.default_rng(0))


# buffers of the reference -------------------------------------------------------------------------------------------

SHAPES = [(6, 30, 34), (5, 28, 28), (4, 40, 22)]
PATCH = PatchShape((4, 16, 16), (2, 12, 12), "zeros")


def never(index: int) -> Volumes:
    raise AssertionError("the loader 'default' looks at no voxel to draw patches")


def drawn(patches: int, number: int = 0, seed: int = 1, images: int = 3) -> list[Placement]:
    sampling = SamplingSettings.reference(patches=patches)
    return buffer_placements(never, SHAPES[:images], PATCH, sampling, REFERENCE, seed, number)


@pytest.mark.parametrize("patches", [1, 2, 3, 4, 20])
def test_images_fill_a_buffer_by_quota_in_random_order(patches: int) -> None:
    firsts: Counter[int] = Counter()
    for number in range(30):
        held = drawn(patches, number)
        assert len(held) == patches
        runs = list(dict.fromkeys(p.item for p in held))
        counts = Counter(p.item for p in held)
        assert [counts[i] for i in runs] == [q for q in quotas(patches, 3) if q]
        assert len({(p.item, p.turn) for p in held}) == len(runs)  # one rotation an image and buffer
        firsts[runs[0]] += 1
    assert set(firsts) == {0, 1, 2}


def test_loaders_of_the_reference_by_name() -> None:
    assert SamplingSettings.reference("default").strategy == "buffer"
    assert SamplingSettings.reference("focus").strategy == "focus"
    with pytest.raises(UsageError, match="loader 'validation' is unknown: use default or focus"):
        SamplingSettings.reference("validation")


def test_buffers_differ_and_come_back() -> None:
    assert drawn(20, 3) == drawn(20, 3)
    assert drawn(20, 3) != drawn(20, 4)
    assert drawn(20, 3) != drawn(20, 3, seed=2)


def test_starts_are_drawn_on_the_turned_image() -> None:
    """Turned back, the centres of patches fill the rectangle of possible ones, up to its corners."""
    held = drawn(3000, images=1)
    turn = held[0].turn
    middle_of = (np.array(SHAPES[0][1:]) - 1) / 2
    away = np.array([turn.matrix.T @ (np.array(p.centre) - middle_of) for p in held])
    starts = away + middle_of - (np.array(PATCH.size_out[1:]) - 1) / 2
    assert np.abs(starts - np.rint(starts)).max() < 1e-9
    starts = np.rint(starts).astype(int)
    assert starts.min(0).tolist() == [0, 0]
    assert starts.max(0).tolist() == [30 - 12, 34 - 12]
    assert {p.plane for p in held} == set(range(6 - 2 + 1))
    assert np.abs(starts.mean(0) - [9, 11]).max() < 0.5


def focus(folder: Path, kept: list[slice], patches: int, voxels: int) -> list[Placement]:
    """A buffer of `focus` from images of which only some columns count."""
    items = []
    for number, columns in enumerate(kept):
        truth = np.zeros((4, 30, 30), np.uint8)
        cost = np.zeros(truth.shape, np.float32)
        cost[:, :, columns] = 1
        items.append(item(folder, f"img_{number}", cost, truth, cost))
    store = VolumeStore(items, 1, 1 << 20)
    sampling = SamplingSettings(strategy="focus", patches=patches, focus_voxels=voxels, extension="zeros")
    held = buffer_placements(store.__getitem__, store.shapes, PATCH, sampling, REFERENCE, 5, 0)
    for placement in held:
        raw = read_patch(
            store[placement.item], placement, offsets_of(placement.turn, PATCH), PATCH, REFERENCE
        )
        assert np.count_nonzero(raw.cost > 1e-5) >= voxels
    return held


def test_focus_takes_patches_that_count(tmp_path: Path) -> None:
    held = focus(tmp_path, [slice(0, 15), slice(10, 30)], 12, 200)
    assert Counter(p.item for p in held) == {0: 6, 1: 6}


def test_focus_gives_what_an_image_lacks_to_the_others_once(tmp_path: Path) -> None:
    """One of two images has nothing: it lacks 5 of 10, of which the other is given 3 or 2 in the second round."""
    held = focus(tmp_path, [slice(0, 0), slice(0, 30)], 10, 100)
    assert {p.item for p in held} == {1}
    assert len(held) in (5 + 2, 5 + 3)
    assert len({p.turn for p in held}) == 2  # a new rotation in the second round
    assert focus(tmp_path, [slice(0, 0), slice(0, 0)], 10, 100) == []


def test_focus_gives_an_image_up_after_51_rejected_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws: Counter[str] = Counter()
    from fastseg.unet.training import placement as module

    draw = module._draw_start

    def counted(*arguments: object) -> object:
        draws["all"] += 1
        return draw(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_draw_start", counted)
    focus(tmp_path, [slice(0, 0), slice(0, 0), slice(0, 0)], 10, 100)
    assert draws["all"] == 51 * 3 * 2
