"""Options of runs of ``fastseg train`` that take a moment."""

from __future__ import annotations

TINY_NETWORK = (
    *("--network", "residual_unet", "--device", "cpu", "--epochs", "1"),
    *("--set", "network.width=4", "--set", "network.levels=1", "--set", "sampling.patches=2"),
)
"""Four features, two patches an epoch."""

TINY = (*TINY_NETWORK, "--patch", "16,24,24", "--batch", "2")
"""Patches of 4 x 8 x 8 voxels."""
