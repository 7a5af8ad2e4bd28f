"""Batches are a pure function of the seed and the epoch, whoever reads them and however far ahead."""

from __future__ import annotations

import gc
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fastseg.errors import InputError, Problems, ReadError, UsageError
from fastseg.unet.training.augmentation import AugmentationSettings
from fastseg.unet.training.background import Background
from fastseg.unet.training.items import TrainingItem, load_item
from fastseg.unet.training.patch import read_patch
from fastseg.unet.training.sampling import SamplingSettings
from fastseg.unet.training.stream import Batch, PatchStream
from tests.unet.training.made import data_set, item

SIZES: dict[str, Any] = {"size_in": (6, 20, 20), "size_out": (4, 12, 12), "channels": 1}
EVERYTHING = AugmentationSettings(intensity_share=1, elastic=2, flip_z=True)
STRATEGIES = {
    "fresh": (SamplingSettings(patches=12), EVERYTHING),
    "buffer": (SamplingSettings.reference(patches=11, refill=2), AugmentationSettings.reference()),
    "focus": (
        SamplingSettings(strategy="focus", patches=11, refill=2, focus_voxels=100),
        AugmentationSettings(),
    ),
}


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[TrainingItem]:
    return data_set(tmp_path_factory.mktemp("data"), [(6, 30, 26), (5, 24, 24), (4, 40, 30)])


def stream(items: list[TrainingItem], strategy: str = "fresh", **changes: Any) -> PatchStream:
    sampling, augmentation = STRATEGIES[strategy]
    given = {
        "sampling": sampling,
        "augmentation": augmentation,
        "batch": 4,
        "seed": 7,
        "device": "cpu",
        **SIZES,
        **changes,
    }
    return PatchStream(items, **given)


def epoch(items: list[TrainingItem], number: int, strategy: str = "fresh", **changes: Any) -> list[Batch]:
    with stream(items, strategy, **changes) as opened:
        return list(opened.epoch(number))


def same(one: list[Batch], other: list[Batch]) -> bool:
    """Whether batches are equal bit for bit."""
    return len(one) == len(other) and all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in zip(one, other, strict=True)
        for name in ("image", "truth", "cost")
    )


def joined(ranks: list[list[Batch]]) -> list[Batch]:
    """The batches of all ranks, one after the other in each step."""
    return [
        Batch(*(torch.cat([getattr(b, name) for b in step]) for name in ("image", "truth", "cost")))
        for step in zip(*ranks, strict=True)
    ]


# the contract -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_shapes_and_types(items: list[TrainingItem], strategy: str) -> None:
    with stream(items, strategy) as opened:
        found = list(opened.epoch(0))
        assert len(found) == opened.steps() == 3
    assert [len(b.image) for b in found] == [4, 4, 4 if strategy == "fresh" else 3]
    for batch in found:
        count = len(batch.image)
        assert batch.image.shape == (count, 1, 6, 20, 20)
        assert batch.truth.shape == batch.cost.shape == (count, 4, 12, 12)
        assert (batch.image.dtype, batch.truth.dtype, batch.cost.dtype) == (
            torch.float32,
            torch.int64,
            torch.float32,
        )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_epoch_does_not_depend_on_how_it_is_made(items: list[TrainingItem], strategy: str) -> None:
    expected = epoch(items, 3, strategy, ahead=0)
    for changes in (
        {},
        {"ahead": 1, "readers": 1},
        {"ahead": 5, "readers": 4},
        {"memory": 0},
        {"memory": 20_000},
    ):
        assert same(epoch(items, 3, strategy, **changes), expected), changes
    with stream(items, strategy) as opened:  # with a history
        for number in (0, 5, 2):
            list(opened.epoch(number))
        assert same(list(opened.epoch(3)), expected)
        next(opened.epoch(4))  # given up half-way
        assert same(list(opened.epoch(3)), expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_batches_of_one_process(items: list[TrainingItem], strategy: str, world: int) -> None:
    alone = epoch(items, 1, strategy, batch=4)
    ranks = [epoch(items, 1, strategy, batch=4 // world, rank=rank, world=world) for rank in range(world)]
    together = joined(ranks)
    if strategy != "fresh":  # 11 patches: those that do not divide are left out of the last step
        rest = 3 - 3 % world
        last = Batch(*(getattr(alone[2], name)[:rest] for name in ("image", "truth", "cost")))
        alone = [*alone[:2], last] if rest else alone[:2]
    assert same(together, alone)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("start", [1, 2, 3, 7])
@pytest.mark.parametrize(("rank", "world"), [(0, 1), (1, 2)])
def test_an_epoch_begins_at_any_step_and_reads_nothing_before_it(
    items: list[TrainingItem],
    strategy: str,
    start: int,
    rank: int,
    world: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ranks = {"rank": rank, "world": world, "batch": 4 // world}
    expected = epoch(items, 1, strategy, **ranks)[start:]
    read: list[Any] = []

    def counted(*arguments: Any) -> Any:
        read.append(arguments)
        return read_patch(*arguments)

    monkeypatch.setattr("fastseg.unet.training.stream.read_patch", counted)
    with stream(items, strategy, **ranks) as opened:
        assert same(list(opened.epoch(1, start)), expected)
    assert len(read) == sum(len(batch.image) for batch in expected)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_seeds_and_epochs_differ(items: list[TrainingItem], strategy: str) -> None:
    found = [
        epoch(items, number, strategy, seed=seed)[0].image.numpy().tobytes()
        for number in (0, 1, 2)
        for seed in (1, 2)
    ]
    assert len(set(found)) == 6


def test_buffers_are_kept_for_some_epochs_in_new_orders(items: list[TrainingItem]) -> None:
    def patches(number: int) -> list[bytes]:
        return [image.numpy().tobytes() for batch in epoch(items, number, "buffer") for image in batch.image]

    found = [patches(number) for number in range(4)]
    assert sorted(found[0]) == sorted(found[1])
    assert found[0] != found[1]
    assert sorted(found[2]) == sorted(found[3])
    assert set(found[1]).isdisjoint(found[2])


def test_images_and_foreground_have_their_shares(items: list[TrainingItem]) -> None:
    sampling = SamplingSettings(patches=30, foreground_share=0.3)
    with stream(items, sampling=sampling, batch=5) as opened:
        counts = np.bincount([p.item for p in opened.placements(0)])
        assert sum(d.foreground for d in opened._draws(0)) == 9
    assert counts.tolist() == [10, 10, 10]


def test_patches_are_parts_of_the_images(items: list[TrainingItem]) -> None:
    """Without augmentation every patch is found in its image, with its truth and its cost."""
    with stream(items, augmentation=AugmentationSettings.none()) as opened:
        places = opened.placements(2)
        found = list(opened.epoch(2))
    whole = [load_item(one) for one in items]
    images = torch.cat([b.image for b in found])
    for image, truth, cost, place in zip(
        images,
        torch.cat([b.truth for b in found]),
        torch.cat([b.cost for b in found]),
        places,
        strict=True,
    ):
        source, classes, costs = whole[place.item]
        corner = (place.plane, *(int(c - 5.5) for c in place.centre))
        inner = tuple(slice(s, s + n) for s, n in zip(corner, (4, 12, 12), strict=True))
        np.testing.assert_array_equal(image[0, 1:5, 4:16, 4:16], source[0][inner])
        np.testing.assert_array_equal(truth, classes[inner])
        np.testing.assert_array_equal(cost, costs[inner])


def test_images_of_several_channels(tmp_path: Path) -> None:
    items = data_set(tmp_path, [(5, 24, 24)], channels=3)
    batch = epoch(items, 0, channels=3)[0]
    assert batch.image.shape == (4, 3, 6, 20, 20)
    assert not torch.equal(batch.image[:, 0], batch.image[:, 1])


# what goes wrong ----------------------------------------------------------------------------------------------------


def patch_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("fastseg-")]


@pytest.mark.parametrize("ahead", [0, 2])
def test_errors_come_through(items: list[TrainingItem], tmp_path: Path, ahead: int) -> None:
    copies = data_set(tmp_path, [(6, 30, 26)])
    with stream(copies, ahead=ahead) as opened:
        content = copies[0].truth.read_bytes()
        copies[0].truth.write_bytes(content[: len(content) // 2])
        with pytest.raises(ReadError, match=r"img_001_GT\.ome\.tif"):
            next(opened.epoch(0))
    assert patch_threads() == []


def test_files_that_cannot_be_read_are_found_at_once(tmp_path: Path) -> None:
    copies = data_set(tmp_path, [(6, 30, 26)])
    copies[0].image.write_bytes(b"II*\0")
    with pytest.raises(ReadError, match=r"img_001\.ome\.tif"):
        stream(copies)


def test_focus_without_a_patch(items: list[TrainingItem]) -> None:
    sampling = SamplingSettings(strategy="focus", patches=4)
    with (
        stream(items, sampling=sampling) as opened,
        pytest.raises(
            InputError,
            match="0 patches with at least 1000 voxels that have a cost were found, and 1 are needed",
        ),
    ):
        next(opened.epoch(0))


def test_images_smaller_than_a_patch(items: list[TrainingItem], tmp_path: Path) -> None:
    zero = np.zeros((4, 11, 30), np.uint8)
    small = item(tmp_path, "small", zero.astype(np.float32), zero)
    with pytest.raises(Problems, match=r"4 x 12 x 12 voxels: 1 problem\n  - small has 4 x 11 x 30 voxels"):
        stream([*items, small])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 0}, "batch is 0: at least 1"),
        ({"rank": 2, "world": 2}, "rank 2 of 2"),
        ({"seed": -1}, "seed -1"),
        ({"size_in": (6, 21, 20)}, "an even number of voxels"),
        ({"size_in": (2, 20, 20)}, "cannot have an output"),
        ({"world": 16, "sampling": SamplingSettings.reference(patches=11)}, "too few for 16 processes"),
    ],
)
def test_wrong_requests(items: list[TrainingItem], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        stream(items, **changes)


def test_negative_epochs_and_no_images(items: list[TrainingItem]) -> None:
    with stream(items) as opened, pytest.raises(UsageError, match="epoch -1"):
        opened.epoch(-1)
    with stream(items) as opened, pytest.raises(UsageError, match="epoch 0 from step -1 on"):
        opened.epoch(0, -1)
    with pytest.raises(UsageError, match="no images"):
        stream([])


# threads ------------------------------------------------------------------------------------------------------------


def test_no_thread_stays_behind(items: list[TrainingItem]) -> None:
    opened = stream(items)
    running = opened.epoch(0)
    next(running)
    opened.close()
    assert patch_threads() == []
    with pytest.raises(StopIteration):
        next(running)
    lost = opened.epoch(1)
    next(lost)
    del lost
    gc.collect()
    assert patch_threads() == []
    opened.close()


def test_the_background_makes_no_more_than_asked_for() -> None:
    made: list[int] = []
    third = threading.Event()

    def numbers() -> Generator[int, None, None]:
        for n in range(10):
            made.append(n)
            if n == 2:
                third.set()
            yield n

    running = Background(numbers(), 2)
    assert next(running) == 0
    assert third.wait(10)
    assert made == [0, 1, 2]  # one taken, two ready
    assert list(running) == list(range(1, 10))
    running.close()


def test_what_was_made_before_an_error_is_given_first() -> None:
    closed = threading.Event()

    def numbers() -> Generator[int, None, None]:
        try:
            yield 1
            yield 2
            raise InputError("broken")
        finally:
            closed.set()

    running = Background(numbers(), 5)
    assert closed.wait(10)
    assert [next(running), next(running)] == [1, 2]
    with pytest.raises(InputError, match="broken"):
        next(running)
    with pytest.raises(StopIteration):
        next(running)
