"""Patches and batches that are chosen fit images and memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastseg.arrays import Device
from fastseg.unet.networks.registry import NETWORKS, architecture
from fastseg.unet.training import footprint
from fastseg.unet.training.footprint import choose_batch, choose_patch, step_bytes


@given(name=st.sampled_from(sorted(NETWORKS)), shape=st.tuples(*[st.integers(1, 400)] * 3))
def test_patches_are_valid_and_their_output_fits(name: str, shape: tuple[int, int, int]) -> None:
    sizes = architecture(name).sizes
    patch = choose_patch(architecture(name), shape)
    sizes.check(patch)
    for out, n, rule in zip(sizes.size_out(patch), shape, sizes.axes, strict=True):
        assert out <= max(n, rule.smallest_output)


def test_the_advised_patch_for_images_that_are_large_enough() -> None:
    assert choose_patch(architecture("unet_xy"), (60, 500, 500)) == (44, 140, 140)


def test_more_patches_take_more_memory_and_half_precision_less() -> None:
    graph = architecture("unet_xy").graph
    one, two = (step_bytes(graph, (44, 140, 140), (0, 1, 2), n) for n in (1, 2))
    half = step_bytes(graph, (44, 140, 140), (0, 1, 2), 2, 2)
    assert one <= half < two
    assert 2 * 2**30 < two < 12 * 2**30  # the reference trains 4 of them on GPUs of 12 GB


@pytest.mark.parametrize(
    ("free", "devices", "expected"),
    [(2**40, 1, 2), (2**40, 2, 2), (2**40, 4, 4), (2**20, 1, 1), (2**20, 3, 3)],
)
def test_batches_fit_the_memory(
    monkeypatch: pytest.MonkeyPatch, free: int, devices: int, expected: int
) -> None:
    monkeypatch.setattr(footprint, "free_bytes", lambda device: free)
    arch = architecture("residual_unet")
    assert choose_batch(arch, (44, 140, 140), (0,), Device("cpu"), devices) == expected
